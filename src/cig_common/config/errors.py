# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said about a configuration file: diagnostics with their place, and ConfigError."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_SHOWN_WIDTH = 120
_SHOWN_BEFORE = 80
MAX_SHOWN = 200
"""A ConfigError's text shows at most this many diagnostics; `.problems` has them all."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake (`code` is None) or one warning (`code` is W1xx) and where it stands.

    `line` and `column` count from 1; 0 for a file that could not be read at all. `source` is the
    line as it stands in the file, `hint` one short sentence that says what to do, or None.
    """

    filename: str
    line: int
    column: int
    message: str
    hint: str | None = None
    source: str = ""
    code: str | None = None

    @property
    def place(self) -> str:
        """`file:line:column`, or the file's name alone."""
        return f"{self.filename}:{self.line}:{self.column}" if self.line else self.filename

    def render(self) -> str:
        """Return the diagnostic as an operator reads it, with the source line and a caret."""
        kind = f"warning {self.code}" if self.code else "error"
        lines = [f"{printable(self.place)}: {kind}: {printable(self.message)}"]
        if self.line and self.source.strip():
            lines += [f"    {text}" for text in _excerpt(self.source, self.column)]
        if self.hint:
            lines.append(f"  {printable(self.hint)}")
        return "\n".join(lines)


class ConfigError(Exception):
    """A configuration that does not load. `problems` are all its mistakes, in file order.

    `exit_code` is what a daemon that refuses to start with this file exits with.
    """

    exit_code = 2

    def __init__(self, problems: Iterable[Diagnostic], warnings: Iterable[Diagnostic] = ()) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line, problem.column)))
        self.warnings = tuple(warnings)
        super().__init__(self.problems, self.warnings)

    def __str__(self) -> str:
        """Return every problem rendered, at most MAX_SHOWN of them."""
        shown = [problem.render() for problem in self.problems[:MAX_SHOWN]]
        if len(self.problems) > MAX_SHOWN:
            shown.append(f"… and {len(self.problems) - MAX_SHOWN} more")
        return "\n".join(shown)


def printable(text: str) -> str:
    """Return `text` with all that could steer a terminal written as an escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _excerpt(source: str, column: int) -> tuple[str, str]:
    """Cut a window out of a long line and set the caret under `column` (from 1)."""
    clean = "".join(char if char.isprintable() else " " if char == "\t" else "?" for char in source)
    index = column - 1
    start = max(0, index - _SHOWN_BEFORE) if len(clean) > _SHOWN_WIDTH else 0
    if not start:
        unindented = clean.lstrip()
        start = min(len(clean) - len(unindented), index)
    shown = clean[start : start + _SHOWN_WIDTH].rstrip()
    return shown, " " * (index - start) + "^"
