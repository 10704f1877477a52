# SPDX-License-Identifier: GPL-3.0-or-later
"""Header blocks, read and written."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.texts.errors import ContentError
from cig_common.texts.headers import (
    MAX_HEADER,
    Headers,
    clean_value,
    has_control,
    header,
    read_headers,
)


def block(octets: bytes, *, whole: bool = True) -> tuple[Headers, int]:
    return read_headers(io.BytesIO(octets), 0, len(octets), whole=whole)


@pytest.mark.parametrize(
    "line",
    [
        b"To: <a>",
        b"To:<a>",
        b"To : <a>",
        b"to\t:\t<a>  ",
        b"TO:\n <a>",
        b"To:\n \n\t<a>\n ",
        b"\xef\xbb\xbfTo: <a>",
        b" To: <a>",
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_ways_to_write_a_header(line: bytes, end: bytes) -> None:
    octets = (line + b"\nX: y\n\n").replace(b"\n", end)
    headers, position = block(octets + b"rest")
    assert (headers.get("To"), headers.get("tO"), headers.get("x")) == ("<a>", "<a>", "y")
    assert position == len(octets)


def test_folded_lines_are_one_value() -> None:
    headers, _ = block(b"A: b;\n\tc;\n d\nE: f\n\n")
    assert headers.get("a") == "b; c; d"
    assert headers.get("e") == "f"


def test_a_line_without_a_colon_after_a_semicolon_goes_on() -> None:
    headers, _ = block(b"A: b;\nboundary=c\nD: e\n\n")
    assert headers.get("a") == "b; boundary=c"
    assert headers.get("d") == "e"


def test_the_first_of_a_name_counts() -> None:
    headers, _ = block(b"A: 1\na: 2\nA: 3\n\n")
    assert headers.get("A") == "1"
    assert len(headers) == 1
    assert "a" in headers
    assert "b" not in headers


def test_octets_that_are_not_utf_8() -> None:
    assert block(b"A: \xff\xc3\xa4\n\n")[0].get("a") == "\ufffdä"


@pytest.mark.parametrize("octets", [b"x\n\n", b": x\n\n", b"A: b\nx\n\n", b" \n\n"])
def test_what_is_no_header(octets: bytes) -> None:
    with pytest.raises(ContentError) as caught:
        block(octets)
    assert caught.value.word == "header"


def test_its_end_may_be_missing_in_a_part_only() -> None:
    for octets in (b"", b"A: b", b"A: b\n"):
        headers, position = block(octets, whole=False)
        assert headers.get("A") == ("b" if octets else None)
        assert position == len(octets)
        with pytest.raises(ContentError) as caught:
            block(octets)
        assert caught.value.word == "cut-off"


def test_its_length_is_limited() -> None:
    value = b"x" * (MAX_HEADER - len(b"A: \n\n"))
    assert block(b"A: " + value + b"\n\nbody")[1] == MAX_HEADER
    for octets in (b"A: " + value + b"x\n\nbody", b"A:b\n" * (MAX_HEADER // 4) + b"\nx"):
        with pytest.raises(ContentError) as caught:
            block(octets)
        assert caught.value.word == "header"


def test_it_ends_where_its_part_ends() -> None:
    headers, position = read_headers(io.BytesIO(b"A: bcd\n\n"), 0, 5, whole=False)
    assert headers.get("A") == "bc"
    assert position == 5


@given(st.text(max_size=2500))
def test_what_is_written_is_read_again(value: str) -> None:
    octets = header("Name", value)
    assert octets.startswith(b"Name:")
    assert octets.endswith(b"\n")
    assert max(map(len, octets.split(b"\n"))) <= 998
    headers, _ = block(octets + b"\n")
    said = clean_value(value)
    assert not has_control(said)
    read = headers.get("name") or ""
    assert read.replace(" ", "") == said.replace(" ", "")
    if octets.count(b"\n") == 1:
        assert read == said


def test_long_values_are_folded() -> None:
    words = header("X", " ".join(["word"] * 500))
    assert words.count(b"\n ") == 2
    assert block(words + b"\n")[0].get("x") == " ".join(["word"] * 500)
    one = header("X", "ä" * 2000)
    assert max(map(len, one.split(b"\n"))) <= 998
    assert (block(one + b"\n")[0].get("x") or "").replace(" ", "") == "ä" * 2000


def test_no_value_makes_a_header_of_its_own() -> None:
    assert header("A", "b\r\nTo: <c>\n\nd\x85\u2028e").count(b"\n") == 1
    assert header("A", "\ud800") == b"A: ?\n"


def test_values_are_not_shown() -> None:
    assert "swordfish" not in repr(block(b"A: swordfish\n\n")[0])
