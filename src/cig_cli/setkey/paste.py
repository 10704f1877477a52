# SPDX-License-Identifier: GPL-3.0-or-later
"""Key material that is pasted or typed at the terminal, from its BEGIN to its END line.

Each line has a checksum and a number. Of a few that are wrong or missing, only these are asked for
again: nobody should have to type forty lines twice for one slip.
"""

from __future__ import annotations

import re

from cig_cli.setkey.source import SourceError
from cig_cli.setkey.terminal import Terminal
from cig_common.carrier import CarrierError, MissingError, MistypedError, armour

TRIES = 3
MAX_ASKED = 4
"""So many single lines are asked for again; where more are wrong, the whole is."""

_PATIENCE_SECONDS = 5.0
_BEGIN = "BEGIN CIG KEY MATERIAL"
_NUMBER = re.compile(r"[\s>|]*([0-9]{4})")


def is_begin_line(line: str) -> bool:
    """Tell whether key material begins with this line."""
    return _BEGIN in line.upper()


def read_block(terminal: Terminal, first: str) -> bytes:
    """Read on from the BEGIN line; give the sealed octets. Raises SourceError, LeaveError."""
    lines = _until_end(terminal, first)
    left = TRIES
    while True:
        try:
            return armour.decode("\n".join((*lines, "")))
        except (MistypedError, MissingError) as error:
            wrong = error.lines if isinstance(error, MistypedError) else error.numbers
            left -= 1
            if not left or not 1 <= len(wrong) <= MAX_ASKED:
                raise SourceError(str(error)) from None
            terminal.say(f"{error}.")
            lines = _corrected(terminal, lines, wrong)
        except CarrierError as error:
            raise SourceError(str(error)) from None


def _until_end(terminal: Terminal, first: str) -> list[str]:
    lines = [first]
    size = len(first)
    while not armour.is_end_line(lines[-1]):
        line = terminal.line_within(_PATIENCE_SECONDS)
        if line is None:
            terminal.say(
                f"({len(lines)} lines, and no END line yet: paste or type the rest and press "
                "Enter, or leave with Ctrl-C)"
            )
            line = terminal.line()
        if is_begin_line(line):
            lines, size = [], 0  # it is pasted once more
        lines.append(line)
        size += len(line)
        if size > armour.MAX_TEXT:
            terminal.drain(_PATIENCE_SECONDS)
            raise SourceError("this is too long to be key material, and no END line has come")
    return lines


def _corrected(terminal: Terminal, lines: list[str], wrong: tuple[int, ...]) -> list[str]:
    """Ask for single lines anew; give all lines, or those of a whole new paste."""
    lines = list(lines)
    for number in wrong:
        typed = terminal.line(f"Line {number} again: ")
        if is_begin_line(typed):
            return _until_end(terminal, typed)
        place = _place(lines, number)
        if place is None:
            lines.insert(len(lines) - 1, typed)
        else:
            lines[place] = typed
    return lines


def _place(lines: list[str], number: int) -> int | None:
    """Find the line of a number: by what it says or, if just that is wrong, between its neighbours.

    None if it is not there.
    """
    said = [int(found[1]) if (found := _NUMBER.match(line)) else None for line in lines]
    if number in said:
        return said.index(number)
    for place, line in enumerate(lines[1:-1], 1):
        before = number == 0 if place == 1 else said[place - 1] == number - 1
        if before and line.strip() and said[place] != number + 1:
            return place
    return None
