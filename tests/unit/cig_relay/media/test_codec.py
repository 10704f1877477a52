# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import sys

import pytest

from cig_common.errors import CodecError
from cig_relay.media import codec

EVERY = bytes(range(256))


@pytest.mark.parametrize(("source", "target"), [(codec.PCMA, codec.PCMU), (codec.PCMU, codec.PCMA)])
def test_the_table_is_the_two_conversions(source, target):
    table = codec.transcoding_table(source, target)
    for octet in range(256):
        one = bytes((octet,))
        assert one.translate(table) == target.from_linear(source.to_linear(one))


@pytest.mark.parametrize("law", [codec.PCMA, codec.PCMU])
def test_through_linear_and_back_changes_no_sample(law):
    linear = law.to_linear(EVERY)
    assert len(linear) == 512
    assert law.to_linear(law.from_linear(linear)) == linear
    assert codec.transcoding_table(law, law) is None


def test_known_values():
    # ITU-T G.711: A-law 0xD5 and u-law 0xFF are the smallest positive values.
    assert codec.PCMA.to_linear(b"\xd5") == (8).to_bytes(2, sys.byteorder)
    assert codec.PCMU.to_linear(b"\xff") == bytes(2)


def test_names():
    assert codec.by_name("PCMA/8000").payload_type == 8
    assert codec.by_name("PCMU/8000").payload_type == 0
    with pytest.raises(CodecError):
        codec.by_name("opus/48000")
