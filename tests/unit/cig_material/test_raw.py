# SPDX-License-Identifier: GPL-3.0-or-later
"""cig.raw against its vector; every truncation, every flipped bit, any octets."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_material import document, raw
from cig_material.errors import MaterialError, NewerVersionError
from unit.cig_relay.keys.lab import material

VECTOR = json.loads(
    (Path(__file__).resolve().parents[2] / "vectors" / "key_material.json").read_text()
)
WHOLE = bytes.fromhex(VECTOR["raw"])


def test_vector() -> None:
    held = raw.decode(WHOLE)
    assert document.encode(held).hex() == VECTOR["document"]
    assert raw.encode(held) == WHOLE


def test_round_trip() -> None:
    held = material("2026-11-1", "2026-12-2")
    assert raw.decode(raw.encode(held)) == held


def test_every_truncation_is_refused() -> None:
    for length in range(len(WHOLE)):
        with pytest.raises(MaterialError, match="make it again"):
            raw.decode(WHOLE[:length])


def test_every_flipped_bit_is_refused() -> None:
    for position in range(len(WHOLE)):
        for bit in range(8):
            octets = bytearray(WHOLE)
            octets[position] ^= 1 << bit
            with pytest.raises(MaterialError, match=r"cig\.raw"):
                raw.decode(bytes(octets))


@given(st.binary(max_size=200))
def test_no_octets_raise_anything_else(octets: bytes) -> None:
    head = raw.MAGIC + bytes([raw.VERSION]) + octets
    for tried in (octets, head, head + hashlib.sha256(head).digest()):
        with pytest.raises(MaterialError):
            raw.decode(tried)


def test_a_newer_version_is_told_as_such() -> None:
    with pytest.raises(NewerVersionError, match=r"cig\.raw has format version 2"):
        raw.decode(raw.MAGIC + b"\x02")
