# SPDX-License-Identifier: GPL-3.0-or-later
"""The line protocol: cutting, bounds, and answers that cannot forge their own end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_server.mgmt.protocol import (
    MAX_LINE,
    Answer,
    Garbage,
    LineReceiver,
    Request,
    parse_line,
)


def test_requests() -> None:
    assert parse_line(b"show  call\r") == Request(("show", "call"), False, " call")
    assert parse_line(b"status --json") == Request(("status",), True, "")
    assert parse_line(b"echo a  b ") == Request(("echo", "a", "b"), False, "a  b")
    assert parse_line(b" \t\r") is None


@pytest.mark.parametrize("line", [b"\xff\xfb\x01", b"a\x00", b"a\x1b[2J", b"a\rb", b"x" * 4097])
def test_garbage(line: bytes) -> None:
    assert isinstance(parse_line(line), Garbage)


def test_several_in_one_piece_and_one_in_pieces() -> None:
    receiver = LineReceiver()
    assert [item.words for item in receiver.feed(b"a\nb\n\nc") if isinstance(item, Request)] == [
        ("a",),
        ("b",),
    ]
    assert receiver.feed(b"d") == []
    assert receiver.feed(b" e\n") == [Request(("cd", "e"), False, "e")]


def test_a_line_of_any_length_costs_one_complaint_and_no_memory() -> None:
    receiver = LineReceiver()
    found = [item for _ in range(100) for item in receiver.feed(b"x" * 1000)]
    assert len(found) == 1
    assert receiver.feed(b"tail\nhelp\n") == [Request(("help",), False, "")]


def test_the_longest_line_passes() -> None:
    line = b"echo " + b"x" * (MAX_LINE - 5)
    (request,) = LineReceiver().feed(line + b"\r\n")
    assert isinstance(request, Request)


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_bytes_in_any_pieces_give_the_same(pieces: list[bytes]) -> None:
    whole = LineReceiver().feed(b"".join(pieces))
    receiver = LineReceiver()
    assert [item for piece in pieces for item in receiver.feed(piece)] == whole


@given(st.lists(st.text(max_size=20), max_size=5), st.none() | st.text(max_size=20))
def test_an_answer_has_one_end(lines: list[str], error: str | None) -> None:
    encoded = Answer(tuple(lines), error).encode()
    sent = encoded.decode().split("\n")
    assert sent.pop() == ""
    assert sent.pop().startswith("OK" if error is None else "ERROR: ")
    assert len(sent) == len(lines)
    assert not any(line == "OK" or line.startswith("ERROR:") for line in sent)
    assert all(line.isprintable() for line in sent)
