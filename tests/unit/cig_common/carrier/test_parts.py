# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbered parts: any order, any losses, and nothing but the whole comes out."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.carrier.errors import CarrierError, MissingError, OtherVersionError
from cig_common.carrier.parts import MAX_PARTS, MAX_WHOLE, OVERHEAD, Assembly, Part, set_id, split

SEALED = bytes(range(256)) * 3
PARTS = split(SEALED, 150)

sealed_octets = st.binary(min_size=1, max_size=600)
part_sizes = st.integers(OVERHEAD + 1, 200)


def assembled(parts: list[bytes]) -> Assembly:
    assembly = Assembly()
    for part in parts:
        assembly.add(part)
    return assembly


def sealed_with_checksum(octets: bytes) -> bytes:
    return octets + zlib.crc32(octets).to_bytes(4)


def test_parts_are_as_large_as_they_may_be_and_of_one_size() -> None:
    assert len(PARTS) == 6
    assert {len(part) for part in PARTS} == {OVERHEAD + 128}
    assert [Part.decode(part).number for part in PARTS] == [1, 2, 3, 4, 5, 6]


@given(sealed=sealed_octets, octets=part_sizes, data=st.data())
def test_any_order_with_any_repeats_gives_the_whole(
    sealed: bytes, octets: int, data: st.DataObject
) -> None:
    parts = split(sealed, octets)
    assert all(len(part) <= octets for part in parts)
    shuffled = data.draw(st.permutations(parts + parts[::2]))
    assembly = assembled(shuffled)
    assert assembly.complete
    assert assembly.missing() == ()
    assert assembly.result() == sealed


@given(sealed=sealed_octets, octets=part_sizes, data=st.data())
def test_the_numbers_of_lost_parts_are_told(
    sealed: bytes, octets: int, data: st.DataObject
) -> None:
    parts = split(sealed, octets)
    lost = data.draw(st.sets(st.integers(1, len(parts)), min_size=1))
    assembly = assembled([part for n, part in enumerate(parts, 1) if n not in lost])
    assert not assembly.complete
    with pytest.raises(MissingError) as caught:
        assembly.result()
    if len(lost) < len(parts):
        assert caught.value.numbers == assembly.missing() == tuple(sorted(lost))
        assert assembly.count == len(parts)
    else:
        assert assembly.missing() == ()


def test_one_lost_part_is_told_in_words() -> None:
    with pytest.raises(MissingError, match=r"^part 2 of 6 was not found: scan again"):
        assembled(PARTS[:1] + PARTS[2:]).result()
    with pytest.raises(MissingError, match=r"^parts 1, 3 and 6 of 6 were not found"):
        assembled([PARTS[1], PARTS[3], PARTS[4]]).result()


@given(number=st.integers(0, 5), bit=st.integers(0, 10**6))
def test_a_flipped_bit_is_found(number: int, bit: int) -> None:
    part = bytearray(PARTS[number])
    bit %= len(part) * 8
    part[bit // 8] ^= 1 << bit % 8
    assembly = assembled(PARTS[:number])
    before = assembly.missing()
    with pytest.raises(CarrierError):
        assembly.add(bytes(part))
    assert assembly.missing() == before
    assert assembled(PARTS).result() == SEALED


@given(number=st.integers(0, 5), kept=st.integers(0, 148))
def test_a_part_that_was_cut_short_is_refused(number: int, kept: int) -> None:
    with pytest.raises(CarrierError):
        Assembly().add(PARTS[number][:kept])


@given(st.one_of(st.binary(max_size=100), st.binary(max_size=60).map(b"CIGP\x01".__add__)))
def test_no_octets_raise_anything_else(octets: bytes) -> None:
    for one in (octets, sealed_with_checksum(octets)):
        try:
            part = Part.decode(one)
        except CarrierError as refused:
            assert str(refused).isprintable()
        else:
            assert part.encode() == one


def test_parts_of_two_sets_are_told_with_their_names() -> None:
    other = bytes(768)
    with pytest.raises(CarrierError, match="two different sets") as caught:
        assembled([PARTS[0], split(other, 150)[1]])
    assert set_id(SEALED).hex() in str(caught.value)
    assert set_id(other).hex() in str(caught.value)


def test_a_newer_version_is_told_as_such() -> None:
    with pytest.raises(OtherVersionError, match="version 2, this CIG knows version 1"):
        Assembly().add(b"CIGP\x02and whatever")


def test_a_part_of_a_set_that_is_cut_otherwise_is_refused() -> None:
    assembly = assembled(PARTS[:2])
    for odd in (
        Part(set_id(SEALED), 3, 7, SEALED[256:384]),
        Part(set_id(SEALED), 2, 6, b"another piece"),
    ):
        with pytest.raises(CarrierError, match=f"part {odd.number} does not fit"):
            assembly.add(odd.encode())
    assert assembly.missing() == (3, 4, 5, 6)


@pytest.mark.parametrize(
    ("number", "count"), [(0, 1), (2, 1), (1, 0), (1, MAX_PARTS + 1), (MAX_PARTS + 1,) * 2]
)
def test_numbers_that_cannot_be_are_refused(number: int, count: int) -> None:
    with pytest.raises(CarrierError, match="a head that cannot be"):
        Assembly().add(Part(bytes(8), number, count, b"piece").encode())


def test_a_whole_that_is_not_what_the_parts_say_is_refused() -> None:
    with pytest.raises(CarrierError, match="do not make a whole"):
        assembled([Part(bytes(8), 1, 1, b"piece").encode()]).result()


def test_parts_cannot_take_all_memory() -> None:
    assembly = assembled([Part(bytes(8), 1, 3, bytes(MAX_WHOLE - 1)).encode()])
    assert assembly.add(Part(bytes(8), 2, 3, b"1").encode()) == 2
    with pytest.raises(CarrierError, match="part 3 does not fit"):
        assembly.add(Part(bytes(8), 3, 3, b"1").encode())


def test_what_no_reader_would_take_is_not_split() -> None:
    for sealed, octets in ((b"", 100), (bytes(MAX_WHOLE + 1), 500), (SEALED, OVERHEAD)):
        with pytest.raises(ValueError, match="octets"):
            split(sealed, octets)
    with pytest.raises(ValueError, match="too few for a part"):
        split(bytes(MAX_PARTS + 1), OVERHEAD + 1)
    assert len(split(bytes(MAX_PARTS), OVERHEAD + 1)) == MAX_PARTS
