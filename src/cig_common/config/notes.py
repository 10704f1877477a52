# SPDX-License-Identifier: GPL-3.0-or-later
"""Collects what is told about one file while it is read: mistakes and warnings."""

from __future__ import annotations

from typing import Protocol

from cig_common.config.errors import ConfigError, Diagnostic, shortened

MAX_KEPT = 10_000
"""So many mistakes, and so many warnings, are kept; more are counted only."""

_STRIDE = 256
_PIECE = 200


class Place(Protocol):
    """What has a line and a column, both from 1: a word or a position."""

    @property
    def line(self) -> int:
        """The line."""

    @property
    def column(self) -> int:
        """The column."""


class Notes:
    """The mistakes and warnings of one file.

    `doubtful` are names that stand in a block or statement that was refused: that they are not
    defined is no mistake of its own.
    """

    def __init__(self, filename: str, text: str) -> None:
        self.filename = filename
        self.problems: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []
        self.untold = 0
        self.untold_warnings = 0
        self.doubtful: set[str] = set()
        self._lines = _Lines(text)

    @property
    def mistakes(self) -> int:
        """How many mistakes were found, the untold ones included."""
        return len(self.problems) + self.untold

    @property
    def full(self) -> bool:
        """Whether a further warning would be counted only: then its words need not be made."""
        return len(self.warnings) >= MAX_KEPT

    def error(self, place: Place, message: str, hint: str | None = None) -> None:
        """Note a mistake at `place`."""
        if len(self.problems) < MAX_KEPT:
            self.problems.append(self._diagnostic(place, message, hint, None))
        else:
            self.untold += 1

    def warn(self, code: str, place: Place, message: str, hint: str | None = None) -> None:
        """Note a warning at `place`."""
        if self.full:
            self.untold_warnings += 1
        else:
            self.warnings.append(self._diagnostic(place, message, hint, code))

    def refusal(self) -> ConfigError:
        """Return the error that tells all that was noted."""
        return ConfigError(self.problems, self.warnings, self.untold, self.untold_warnings)

    def _diagnostic(
        self, place: Place, message: str, hint: str | None, code: str | None
    ) -> Diagnostic:
        source, cut = self._lines.around(place.line, place.column)
        message, hint = shortened(message), hint and shortened(hint)
        return Diagnostic(self.filename, place.line, place.column, message, hint, source, code, cut)


class _Lines:
    """Finds a line of a text by its number without taking the whole text apart.

    Remembers where every 256th line begins, as far as lines were asked for.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._known = [0]

    def around(self, line: int, column: int) -> tuple[str, int]:
        """Return a line, or the piece of it around a column, and how much is left out before."""
        start = self._begin(line)
        if start is None:
            return "", 0
        text, at = self._text, start + column - 1
        end = text.find("\n", start, start + 2 * _PIECE)
        if end < 0 and len(text) > start + 2 * _PIECE:
            # A long line, and perhaps a very long one: not even its end is looked for.
            left, stop = max(start, at - _PIECE), at + _PIECE
            return text[left:stop].partition("\n")[0].rstrip("\r"), left - start
        return text[start : end if end >= 0 else len(text)].rstrip("\r"), 0

    def _begin(self, line: int) -> int | None:
        """Return the offset of a line's first character; None behind the last line."""
        stride, steps = divmod(line - 1, _STRIDE)
        while len(self._known) <= stride:
            offset = self._skip(self._known[-1], _STRIDE)
            if offset is None:
                return None
            self._known.append(offset)
        return self._skip(self._known[stride], steps)

    def _skip(self, offset: int, lines: int) -> int | None:
        find = self._text.find
        for _ in range(lines):
            offset = find("\n", offset) + 1
            if not offset:
                return None
        return offset
