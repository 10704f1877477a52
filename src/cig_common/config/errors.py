# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said about a configuration file: diagnostics with their place, and ConfigError."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

MAX_SHOWN = 200
"""A ConfigError's text shows at most this many diagnostics; `.problems` has them."""

_SHOWN_WIDTH = 120
_SHOWN_BEFORE = 80
_MAX_TEXT = 400
_MAX_QUOTED = 80
_QUOTED = re.compile(r"`[^`]*`")


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake (`code` is None) or one warning (`code` is W1xx) and where it stands.

    `line` and `column` count from 1; 0 for a file that could not be read at all. `source` is the
    line as it stands in the file or, of a very long one, the piece around the column, before
    which `cut` characters are left out. `hint` is one short sentence that says what to do, or None.
    """

    filename: str
    line: int
    column: int
    message: str
    hint: str | None = None
    source: str = ""
    code: str | None = None
    cut: int = 0

    @property
    def place(self) -> str:
        """`file:line:column`, or the file's name alone."""
        return f"{self.filename}:{self.line}:{self.column}" if self.line else self.filename

    def render(self) -> str:
        """Return the diagnostic as an operator reads it, with the source line and a caret."""
        kind = f"warning {self.code}" if self.code else "error"
        lines = [f"{printable(self.place)}: {kind}: {printable(shortened(self.message))}"]
        if self.line and self.source.strip():
            lines += [f"    {text}" for text in _excerpt(self)]
        if self.hint:
            lines.append(f"  {printable(shortened(self.hint))}")
        return "\n".join(lines)


class ConfigError(Exception):
    """A configuration that does not load. `problems` are its mistakes, in file order.

    Of a file with very many mistakes only the first ones are kept: `untold` and `untold_warnings`
    say how many more were found. `exit_code` is what a daemon that refuses to start with this
    file exits with.
    """

    exit_code = 2

    def __init__(
        self,
        problems: Iterable[Diagnostic],
        warnings: Iterable[Diagnostic] = (),
        untold: int = 0,
        untold_warnings: int = 0,
    ) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line, problem.column)))
        self.warnings = tuple(warnings)
        self.untold = untold
        self.untold_warnings = untold_warnings
        super().__init__(self.problems, self.warnings, untold, untold_warnings)

    def __str__(self) -> str:
        """Return every problem rendered, at most MAX_SHOWN, then how many more there are."""
        shown = [problem.render() for problem in self.problems[:MAX_SHOWN]]
        more = len(self.problems) - len(shown) + self.untold
        if more:
            shown.append(f"… and {more} more mistake{'s' * (more > 1)}")
        return "\n".join(shown)


def printable(text: str) -> str:
    """Return `text` with all that could steer a terminal written as an escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def shortened(text: str) -> str:
    """Return `text` with what it quotes in backquotes, and then all of it, cut to a fit length."""
    if len(text) > _MAX_QUOTED:
        text = _QUOTED.sub(lambda found: _middle_cut(found[0]), text)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"


def _middle_cut(quoted: str) -> str:
    return quoted if len(quoted) <= _MAX_QUOTED else f"{quoted[:60]}…{quoted[-19:]}"


def _excerpt(told: Diagnostic) -> tuple[str, str]:
    """Cut a window out of a long line and set the caret under the column that is meant."""
    clean = [char if char.isprintable() else " " if char == "\t" else "?" for char in told.source]
    at = min(max(told.column - 1 - told.cut, 0), len(clean))
    start, room = at, _SHOWN_BEFORE
    while start and room > 0:
        start -= 1
        room -= _width(clean[start])
    if sum(map(_width, clean)) <= _SHOWN_WIDTH and not told.cut:
        start = 0
    mark = "…" if start or told.cut else ""
    if not mark:
        while start < at and clean[start] == " ":
            start += 1
    indent = len(mark) + sum(map(_width, clean[start:at]))
    stop, room = start, _SHOWN_WIDTH
    while stop < len(clean) and room > 0:
        room -= _width(clean[stop])
        stop += 1
    return mark + "".join(clean[start:stop]).rstrip(), " " * indent + "^"


def _width(char: str) -> int:
    """Return how many columns of a terminal a printable character takes."""
    if char.isascii():
        return 1
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1
