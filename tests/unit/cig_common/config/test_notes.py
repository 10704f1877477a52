# SPDX-License-Identifier: GPL-3.0-or-later
"""Very many mistakes and very big files: what is kept, what is counted, and that it stays cheap."""

import pickle
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.config import ConfigError, Diagnostic, loads
from cig_common.config.errors import MAX_SHOWN, shortened
from cig_common.config.lookup import is_slip
from cig_common.config.model import Position
from cig_common.config.notes import MAX_KEPT, Notes


def refused(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        loads(text)
    return caught.value


def test_the_first_ten_thousand_mistakes_are_kept_and_the_rest_counted() -> None:
    error = refused("map m {\n" + "wrong;\n" * (MAX_KEPT + 5) + "}\n")
    assert (len(error.problems), error.untold) == (MAX_KEPT, 5)
    assert error.problems[-1].line == MAX_KEPT + 1
    lines = str(error).splitlines()
    assert lines[-1] == f"… and {MAX_KEPT + 5 - MAX_SHOWN} more mistakes"
    assert len(lines) == 4 * MAX_SHOWN + 1


def test_all_that_is_told_survives_the_way_between_processes() -> None:
    error = ConfigError([Diagnostic("f", 1, 2, "m", "h", "s", None, 3)], [], 4, 5)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.problems, copy.untold, copy.untold_warnings) == (error.problems, 4, 5)
    assert str(copy) == str(error)


def test_warnings_are_kept_and_counted_likewise() -> None:
    notes = Notes("f", "")
    for _ in range(MAX_KEPT + 7):
        notes.warn("W999", Position(1, 1), "m")
    assert (len(notes.warnings), notes.untold_warnings, notes.mistakes) == (MAX_KEPT, 7, 0)


@given(st.lists(st.text("ab\u4e2d\r", max_size=9), max_size=1200), st.integers(1, 1300))
def test_a_line_is_found_by_its_number(lines: list[str], number: int) -> None:
    notes = Notes("f", "\n".join(lines))
    for line in (number, 1, number + 1, max(1, number - 300)):
        notes.error(Position(line, 1), "m")
        expected = lines[line - 1].rstrip("\r") if line <= len(lines) else ""
        assert notes.problems[-1].source == expected


def test_many_mistakes_in_one_big_line_keep_small_pieces_of_it() -> None:
    begin = time.process_time()
    error = refused("map m { " + "wrong; " * 60_000 + "}")
    assert time.process_time() - begin < 20
    assert max(len(problem.source) for problem in error.problems) <= 400
    for problem in error.problems[::997]:
        assert problem.source[problem.column - 1 - problem.cut :].startswith("wrong;")
        shown, caret = problem.render().splitlines()[1:3]
        assert shown[caret.index("^") :].startswith("wrong;")


def test_lines_of_a_big_text_are_found_without_taking_it_apart() -> None:
    text = "0123456789\n" * 3_000_000
    notes = Notes("f", text)
    begin = time.process_time()
    for line in range(1, 3_000_000, 300):
        notes.error(Position(line, 4), "m")
    assert time.process_time() - begin < 5
    assert {problem.source for problem in notes.problems} == {"0123456789"}


def test_many_maps_and_many_names_that_are_not_defined_stay_quick() -> None:
    maps = "".join(f"map office{number} {{ }}\n" for number in range(5000))
    uses = "".join(f"extension map branch{number};\n" for number in range(5000))
    begin = time.process_time()
    error = refused(f"{maps} interfaces {{ tel {{ {uses} }} }}")
    assert time.process_time() - begin < 30
    assert len(error.problems) == 5000


@pytest.mark.parametrize(
    ("source", "column", "shown", "indent"),
    [
        ("\tport 0;", 7, "port 0;", 5),
        ("日本 port 0;", 9, "日本 port 0;", 10),
        ("re\u0301 port 0;", 10, "re\u0301 port 0;", 8),
        ("a\x1b\u200b port 0;", 10, "a?? port 0;", 9),
        ("x" * 300 + " port 0;", 307, "…" + "x" * 74 + " port 0;", 81),
    ],
)
def test_the_caret_is_under_the_right_character(
    source: str, column: int, shown: str, indent: int
) -> None:
    lines = Diagnostic("f", 1, column, "m", None, source).render().splitlines()
    assert lines[1:] == [f"    {shown}", "    " + " " * indent + "^"]


def test_long_words_are_cut_and_the_sense_of_a_message_stays() -> None:
    text = shortened(f"`{'x' * 5000}` is no statement in `sip`")
    assert text == f"`{'x' * 59}…{'x' * 18}` is no statement in `sip`"
    assert len(shortened("x" * 5000)) == 401
    prose = "`a` " + "word " * 30 + "`b`"
    assert shortened(prose) == prose


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("maptel2spi", "maptel2sip"),
        ("ofice", "office"),
        ("offfice", "office"),
        ("Office", "office"),
        ("the-office", "the_office"),
        ("maps", "map"),
    ],
)
def test_a_slip(name: str, other: str) -> None:
    assert is_slip(name, other)
    assert is_slip(other, name)


@pytest.mark.parametrize(
    ("name", "other"), [("a", "b"), ("office", "branch"), ("sip", "tel"), ("office", "office")]
)
def test_no_slip(name: str, other: str) -> None:
    assert not is_slip(name, other)
