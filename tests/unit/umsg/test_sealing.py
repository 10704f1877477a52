# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealing and opening a text's content, against AES-GCM as the library does it in one go."""

from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from umsg.sealing import SealError, TextOpener, TextSealer

KEY = b"K" * 16
DATA = b"mid\0tel:+1\0tel:+2\0"
CONTENTS = st.binary(max_size=300)
CUTS = st.lists(st.integers(0, 316), max_size=8)


def pieces(octets: bytes, cuts: list[int]) -> list[bytes]:
    bounds = sorted({0, len(octets), *(cut for cut in cuts if cut < len(octets))})
    return [octets[start:end] for start, end in pairwise(bounds)]


def seal(content: bytes, cuts: list[int] | None = None) -> bytes:
    sealer = TextSealer(KEY, DATA)
    return b"".join(map(sealer.update, pieces(content, cuts or []))) + sealer.finish()


def open_(sealed: bytes, cuts: list[int], key: bytes = KEY, data: bytes = DATA) -> bytes:
    opener = TextOpener(key, data)
    content = b"".join(map(opener.update, pieces(sealed, cuts)))
    opener.finish()
    return content


@given(CONTENTS, CUTS, CUTS)
def test_any_content_in_any_pieces_comes_back(content, sealing, opening):
    sealed = seal(content, sealing)
    assert sealed == AESGCM(KEY).encrypt(bytes(12), content, DATA)
    assert open_(sealed, opening) == content


@given(CONTENTS, st.data())
def test_any_flipped_bit_is_refused(content, data):
    sealed = bytearray(seal(content))
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealError):
        open_(bytes(sealed), [])


@given(CONTENTS, st.data())
def test_what_was_cut_off_or_added_is_refused(content, data):
    sealed = seal(content)
    shorter = sealed[: data.draw(st.integers(0, len(sealed) - 1))]
    longer = sealed + data.draw(st.binary(min_size=1, max_size=20))
    for altered in (shorter, longer):
        with pytest.raises(SealError):
            open_(altered, [])


@pytest.mark.parametrize("change", [{"key": b"k" * 16}, {"data": DATA + b"\0"}, {"data": b""}])
def test_another_key_or_other_data_open_nothing(change):
    with pytest.raises(SealError):
        open_(seal(b"content"), [], **change)


def test_the_tag_is_never_given_out_as_content():
    opener = TextOpener(KEY, DATA)
    sealed = seal(b"0123456789")
    given_out = b"".join(opener.update(sealed[n : n + 1]) for n in range(len(sealed)))
    assert given_out == b"0123456789"
    opener.finish()
