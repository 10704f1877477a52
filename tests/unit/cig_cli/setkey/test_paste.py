# SPDX-License-Identifier: GPL-3.0-or-later
"""Pasted lines, with a terminal that is a list: the real one is in test_dialogue."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_cli.setkey.paste import is_begin_line, read_block
from cig_cli.setkey.source import SourceError
from cig_cli.setkey.terminal import LeaveError
from cig_common.carrier import armour


class Lines:
    """What a Terminal does for `read_block`, from a list of lines."""

    def __init__(self, *typed: str) -> None:
        self.typed = deque(typed)
        self.said: list[str] = []
        self.silent = 0

    def say(self, text: str = "", *, end: str = "\n") -> None:
        self.said.append(text)

    def line(self, prompt: str = "") -> str:
        self.said.append(prompt)
        if not self.typed:
            raise LeaveError
        return self.typed.popleft()

    def line_within(self, seconds: float) -> str | None:
        if self.silent:
            self.silent -= 1
            return None
        return self.line()

    def drain(self, seconds: float) -> bool:
        found = bool(self.typed)
        self.typed.clear()
        return found


def read(lines: Lines) -> bytes:
    return read_block(lines, lines.line())  # type: ignore[arg-type]


def armoured(sealed: bytes) -> list[str]:
    return armour.encode(sealed).splitlines()


def spoilt(line: str, at: int) -> str:
    return f"{line[:at]}{'A' if line[at] != 'A' else 'B'}{line[at + 1 :]}"


SEALED = bytes(range(256)) * 2


@given(st.binary(min_size=1, max_size=2000), st.sampled_from(["", "> ", "  "]))
def test_whole(sealed: bytes, quote: str) -> None:
    assert read(Lines(*(quote + line for line in armoured(sealed)))) == sealed


@given(st.data(), st.binary(min_size=1, max_size=400))
def test_one_mistyped_line_is_asked_for_again(data: st.DataObject, sealed: bytes) -> None:
    right = armoured(sealed)
    number = data.draw(st.integers(0, len(right) - 3))
    line = right[number + 1]
    at = data.draw(st.integers(0, len(line) - 1).filter(lambda at: line[at] != " "))
    wrong = [*right[: number + 1], spoilt(line, at), *right[number + 2 :]]
    lines = Lines(*wrong, line)
    assert read(lines) == sealed
    assert lines.said[-1] == f"Line {number} again: "


@given(st.data())
def test_missing_lines_are_asked_for(data: st.DataObject) -> None:
    right = armoured(SEALED)
    gone = sorted(data.draw(st.sets(st.integers(1, len(right) - 3), min_size=1, max_size=4)))
    left = [line for n, line in enumerate(right) if n - 1 not in gone]
    lines = Lines(*left, *(right[n + 1] for n in gone))
    assert read(lines) == SEALED
    asked = [said for said in lines.said if said.startswith("Line ")]
    assert asked == [f"Line {n} again: " for n in gone]


def test_it_gives_up_after_three_times() -> None:
    right = armoured(SEALED)
    wrong = spoilt(right[3], 20)
    lines = Lines(*right[:3], wrong, *right[4:], *[wrong] * 9)
    with pytest.raises(SourceError, match="line 2 of the key material is mistyped"):
        read(lines)
    assert len(lines.typed) == 7


def test_many_mistyped_lines_are_not_asked_for_one_by_one() -> None:
    right = armoured(SEALED)
    lines = Lines(right[0], *(spoilt(line, 20) for line in right[1:-1]), right[-1])
    with pytest.raises(SourceError, match="are mistyped"):
        read(lines)


def test_a_new_paste_instead_of_a_line() -> None:
    right = armoured(SEALED)
    lines = Lines(*right[:3], spoilt(right[3], 20), *right[4:], *right)
    assert read(lines) == SEALED


def test_a_torn_paste_that_is_pasted_once_more() -> None:
    right = armoured(SEALED)
    assert read(Lines(*right[:5], *right)) == SEALED


def test_a_torn_paste_is_told_while_one_waits() -> None:
    right = armoured(SEALED)
    lines = Lines(*right)
    lines.silent = 1
    assert read(lines) == SEALED
    assert any("(1 lines, and no END line yet" in said for said in lines.said)
    with pytest.raises(LeaveError):
        read(Lines(*right[:5]))


def test_no_end() -> None:
    endless = Lines(armour.BEGIN, *["x" * 1000] * 300)
    with pytest.raises(SourceError, match="no END line has come"):
        read(endless)


@given(st.text())
def test_begin_lines(text: str) -> None:
    assert is_begin_line(f"{text}{armour.BEGIN.lower()}")
    assert not is_begin_line(text)


@given(st.lists(st.text(alphabet="0123 >AB=\t", max_size=12), max_size=12))
def test_any_lines(typed: list[str]) -> None:
    with pytest.raises((SourceError, LeaveError)):
        read(Lines(armour.BEGIN, *typed, armour.END, *typed))
