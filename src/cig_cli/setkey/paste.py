# SPDX-License-Identifier: GPL-3.0-or-later
"""Key material that is pasted or typed at the terminal, from its BEGIN to its END line.

Each line has a checksum and a number. Of a few that are wrong or missing, only these are asked for
again: nobody should have to type forty lines twice for one slip.
"""

from __future__ import annotations

import re

from cig_cli.setkey.preview import sentence
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
            mistyped = isinstance(error, MistypedError)
            numbers = error.lines if isinstance(error, MistypedError) else error.numbers
            left -= 1
            if not left or not 1 <= len(numbers) <= MAX_ASKED:
                raise SourceError(str(error)) from None
            terminal.say(sentence(error))
            lines = _corrected(terminal, lines, numbers, mistyped=mistyped)
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


def _corrected(
    terminal: Terminal, lines: list[str], numbers: tuple[int, ...], *, mistyped: bool
) -> list[str]:
    """Ask for single lines anew; give all lines, or those of a whole new paste."""
    lines = list(lines)
    for number in numbers:
        typed = terminal.line(f"Line {number} again: ")
        if is_begin_line(typed):
            return _until_end(terminal, typed)
        after = _predecessor(lines, number)
        if mistyped and (place := _place(lines, number, after)) is not None:
            lines[place] = typed
        else:
            lines.insert(after + 1, typed)
    return lines


def _place(lines: list[str], number: int, after: int) -> int | None:
    """Find the mistyped line: by its number or, if just that is wrong, behind the one before it."""
    said = _numbers(lines)
    if number in said:
        return said.index(number)
    return after + 1 if after + 1 < len(lines) - 1 else None


def _predecessor(lines: list[str], number: int) -> int:
    """Find the last line with a lower number, or the BEGIN line."""
    said = _numbers(lines)
    return max((at for at, one in enumerate(said) if one is not None and one < number), default=0)


def _numbers(lines: list[str]) -> list[int | None]:
    return [int(found[1]) if (found := _NUMBER.match(line)) else None for line in lines]
