# SPDX-License-Identifier: GPL-3.0-or-later
"""The text form: whole through all that mail does, and wrong wherever a character is wrong."""

from __future__ import annotations

import base64
import hashlib
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cig_common.carrier import armour
from cig_common.carrier.crc24 import crc24
from cig_common.carrier.errors import (
    CarrierError,
    MissingError,
    MistypedError,
    OtherVersionError,
    TornError,
)

SEALED = bytes(range(256)) + b"the last octets"
LINES = armour.encode(SEALED).splitlines()
LAST = len(LINES) - 3
"""The number of the last line of content; before it stand BEGIN and line 0."""
TYPED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_.,é"


def text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def changed(number: int, line: str) -> str:
    return text([*LINES[: number + 1], line, *LINES[number + 2 :]])


def line(number: int) -> str:
    return LINES[number + 1]


def line_of(number: int, octets: bytes) -> str:
    check = crc24(number.to_bytes(2) + octets).to_bytes(3)
    return f"{number:04d} {base64.b64encode(octets).decode()} {base64.b64encode(check).decode()}"


def with_head(head: bytes) -> str:
    return changed(0, line_of(0, head))


def test_the_checksum_is_that_of_openpgp() -> None:
    assert crc24(b"123456789") == 0x21CF02


def test_lines_are_short_enough_for_mail_and_say_what_they_are() -> None:
    assert LINES[0] == armour.BEGIN
    assert LINES[-1] == armour.END
    assert max(map(len, LINES)) == 70
    assert [one[:5] for one in LINES[1:-1]] == [f"{number:04d} " for number in range(LAST + 1)]
    assert line(0) == line_of(
        0, b"\x01" + len(SEALED).to_bytes(4) + hashlib.sha256(SEALED).digest()[:16]
    )


@given(st.binary(min_size=1, max_size=400))
@settings(deadline=None)
def test_round_trip(sealed: bytes) -> None:
    assert armour.decode(armour.encode(sealed)) == sealed


@pytest.mark.parametrize("octets", [1, 44, 45, 46, 62000, armour.MAX_SEALED])
def test_round_trip_of_every_size(octets: int) -> None:
    sealed = hashlib.shake_128(b"size").digest(octets)
    assert armour.decode(armour.encode(sealed)) == sealed


@pytest.mark.parametrize("octets", [0, armour.MAX_SEALED + 1])
def test_what_no_reader_would_take_is_not_written(octets: int) -> None:
    with pytest.raises(ValueError, match="octets"):
        armour.encode(bytes(octets))


@pytest.mark.parametrize(
    "harmed",
    [
        "\r\n".join(LINES),
        "\n".join(f"> {one}" for one in LINES),
        "\n".join(f">> > {one}   \t" for one in LINES),
        "\n".join(f"| {one}" for one in LINES),
        "\n\n".join(LINES),
        text(LINES).replace(" ", "\u00a0"),
        text(LINES).replace(" ", ""),
        text([f"\ufeff{one[:20]} {one[20:]}\u200b" for one in LINES]),
        text(LINES).replace("-----", "\u2014"),
        f"Dear colleague,\n\n{text(LINES)}\n-- \nThe CMS\n",
        text(LINES).replace("BEGIN CIG", "Begin cig"),
        text([LINES[0], *reversed(LINES[1:-1]), LINES[-1]]),
    ],
)
def test_what_mail_and_paste_do_is_forgiven(harmed: str) -> None:
    assert armour.decode(harmed) == SEALED


@given(number=st.integers(0, LAST), place=st.integers(0, 200), typed=st.sampled_from(TYPED))
@settings(deadline=None)
def test_each_mistyped_character_is_found_and_its_line_named(
    number: int, place: int, typed: str
) -> None:
    whole = line(number)
    place %= len(whole)
    assume(whole[place] not in (" ", typed))
    with pytest.raises(MistypedError, match=rf"^line {number} of .* original$") as caught:
        armour.decode(changed(number, whole[:place] + typed + whole[place + 1 :]))
    assert caught.value.lines == (number,)


@given(number=st.integers(0, LAST), first=st.integers(0, 200), second=st.integers(0, 200))
@settings(deadline=None)
def test_two_characters_that_changed_places_are_found(number: int, first: int, second: int) -> None:
    letters = list(line(number).replace(" ", ""))
    first, second = first % len(letters), second % len(letters)
    assume(letters[first] != letters[second])
    letters[first], letters[second] = letters[second], letters[first]
    with pytest.raises(MistypedError) as caught:
        armour.decode(changed(number, "".join(letters)))
    assert len(caught.value.lines) == 1


def test_any_two_wrong_characters_of_a_line_are_found() -> None:
    # The checksum is linear: two changes go unnoticed only if both change it in the same way.
    zero = crc24(bytes(2 + armour.LINE_OCTETS))
    characters = armour.LINE_OCTETS * 4 // 3
    seen: set[int] = set()
    for place in range(characters + 4):
        for value in range(1, 64):
            bits = value << 6 * (characters + 4 - 1 - place)
            octets, check = bits >> 24, bits & 0xFFFFFF
            effect = crc24(octets.to_bytes(2 + armour.LINE_OCTETS)) ^ zero ^ check
            assert effect not in seen
            seen.add(effect)
    assert 0 not in seen


def test_the_place_of_a_single_wrong_character_is_told() -> None:
    whole = line(3)
    wrong = whole[:20] + ("A" if whole[20] != "A" else "B") + whole[21:]
    with pytest.raises(MistypedError, match=r"line 3 .* \(at character 16 after its number\)"):
        armour.decode(changed(3, wrong))


def test_two_neighbours_that_changed_places_are_told() -> None:
    whole = line(2)
    assert whole[10] != whole[11]
    wrong = whole[:10] + whole[11] + whole[10] + whole[12:]
    with pytest.raises(MistypedError, match=r"\(at characters 6 and 7 after its number\)"):
        armour.decode(changed(2, wrong))


@pytest.mark.parametrize("wrong", [line(2)[:30] + line(2)[31:], line(2)[:30] + "A" + line(2)[30:]])
def test_a_character_less_or_more_is_told(wrong: str) -> None:
    with pytest.raises(MistypedError, match=r"line 2 .* \(a character is missing, or one is too"):
        armour.decode(changed(2, wrong))


def test_a_mistyped_number_is_told_as_the_line_that_it_is() -> None:
    with pytest.raises(MistypedError, match="line 4 ") as caught:
        armour.decode(changed(4, "0005" + line(4)[4:]))
    assert caught.value.lines == (4,)


def test_several_mistyped_lines_are_all_named() -> None:
    lines = list(LINES)
    lines[2] = lines[2].swapcase()
    lines[4] = lines[4].swapcase()
    with pytest.raises(MistypedError, match="lines 1 and 3 of the key material are mi") as caught:
        armour.decode(text(lines))
    assert caught.value.lines == (1, 3)


def test_lines_that_a_mail_program_broke_anew_are_told_as_such() -> None:
    sealed = hashlib.shake_128(b"mail").digest(800)
    begin, *lines, end = armour.encode(sealed).splitlines()
    broken = text([begin, *(one.replace(" ", "\n") for one in lines), end])
    with pytest.raises(MistypedError, match="if a mail program broke the lines anew"):
        armour.decode(broken)


@pytest.mark.parametrize("number", range(LAST + 1))
def test_a_missing_line_is_named(number: int) -> None:
    lines = [one for one in LINES if one != line(number)]
    with pytest.raises(MissingError, match=rf"line {number} .*missing") as caught:
        armour.decode(text(lines))
    assert caught.value.numbers == (number,)


def test_a_line_that_is_there_twice_is_named() -> None:
    with pytest.raises(CarrierError, match="line 3 of the key material must be there once only"):
        armour.decode(text([*LINES[:5], LINES[4], *LINES[5:]]))


@pytest.mark.parametrize("kept", range(1, len(LINES)))
def test_a_torn_text_is_told_wherever_it_is_torn(kept: int) -> None:
    last = max(kept - 2, 0)
    with pytest.raises(TornError, match=f"the end of .* line {last} is the last one"):
        armour.decode(text(LINES[:kept]))
    with pytest.raises(TornError, match="the beginning of the key material is missing"):
        armour.decode(text(LINES[kept:]))


def test_a_second_text_is_told() -> None:
    with pytest.raises(CarrierError, match="holds the key material 2 times"):
        armour.decode(text(LINES) + text(LINES))


def test_a_text_with_no_key_material_is_told() -> None:
    with pytest.raises(CarrierError, match="there is no key material"):
        armour.decode("-----BEGIN CERTIFICATE-----\n")


def test_lines_of_another_material_are_told() -> None:
    others = armour.encode(bytes(len(SEALED))).splitlines()
    with pytest.raises(CarrierError, match="do not belong together"):
        armour.decode(text([*LINES[:3], others[3], *LINES[4:]]))


def test_a_newer_version_is_told_as_such() -> None:
    with pytest.raises(OtherVersionError, match="version 2, this CIG knows version 1") as caught:
        armour.decode(with_head(b"\x02 whatever"))
    assert caught.value.version == 2


@pytest.mark.parametrize("length", [0, len(SEALED) - 1, len(SEALED) - 45, armour.MAX_SEALED + 1])
def test_a_head_that_cannot_be_is_told(length: int) -> None:
    head = b"\x01" + length.to_bytes(4) + hashlib.sha256(SEALED).digest()[:16]
    with pytest.raises(CarrierError, match="key material"):
        armour.decode(with_head(head))
    with pytest.raises(CarrierError, match="line 0 of the key material is not 21 octets"):
        armour.decode(with_head(head[:-1]))


def test_bits_that_no_octet_has_are_refused() -> None:
    padded = armour.encode(b"one octet.").splitlines()
    number, content, check = padded[2].split()
    assert content.endswith("==")
    wrong = content[:-3] + chr(ord(content[-3]) + 1) + "=="
    assert base64.b64decode(wrong) == base64.b64decode(content)
    with pytest.raises(MistypedError):
        armour.decode(text([*padded[:2], f"{number} {wrong} {check}", padded[3]]))


def test_the_end_line_is_known_wherever_it_stands() -> None:
    for one in (armour.END, f"> {armour.END}\r\n", f"\ufeff  {armour.END}  "):
        assert armour.is_end_line(one)
    for one in (armour.BEGIN, "", "END", LINES[3], "-----END CERTIFICATE-----", "-" * 100_000):
        assert not armour.is_end_line(one)


def test_too_long_a_text_is_told() -> None:
    with pytest.raises(CarrierError, match="longer than 262144 characters"):
        armour.decode(" " * (armour.MAX_TEXT + 1))


@given(st.text(max_size=300))
@settings(deadline=None)
def test_no_text_raises_anything_else(inside: str) -> None:
    for one in (inside, f"{armour.BEGIN}\n{inside}\n{armour.END}"):
        with pytest.raises(CarrierError) as caught:
            armour.decode(one)
        assert str(caught.value).isprintable()


@given(
    place=st.integers(0, 10**6),
    length=st.integers(0, 80),
    put=st.one_of(st.text(max_size=5), st.sampled_from(LINES).map(lambda one: f"\n{one}\n")),
)
@settings(deadline=None)
def test_a_damaged_text_gives_the_same_octets_or_none(place: int, length: int, put: str) -> None:
    whole = text(LINES)
    place %= len(whole)
    damaged = whole[:place] + put + whole[place + length :]
    try:
        assert armour.decode(damaged) == SEALED
    except CarrierError as refused:
        assert str(refused).isprintable()


@pytest.mark.parametrize("shape", ["0001", "0001 A", ">", "-", "=\n", "0001 AAAA AAAA\n", "A\n"])
def test_no_text_takes_more_than_linear_time(shape: str) -> None:
    inside = (shape * (armour.MAX_TEXT // len(shape)))[: armour.MAX_TEXT - 80]
    begin = time.process_time()
    with pytest.raises(CarrierError):
        armour.decode(f"{armour.BEGIN}\n{inside}\n{armour.END}")
    # Each takes less than a second; with a square in it, it would be minutes.
    assert time.process_time() - begin < 20
