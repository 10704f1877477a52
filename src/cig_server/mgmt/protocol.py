# SPDX-License-Identifier: GPL-3.0-or-later
r"""The management port's line protocol, without I/O.

A request is one line of UTF-8, `COMMAND [ARG…]\n` (`\r\n` too, so that telnet serves), at most
4096 bytes. The answer is text, closed by a line `OK` or `ERROR: what and why`. A line of the text
that would read as such an end is sent with one space before it, so that no answer can forge its
own end. With `--json` among the arguments the text is one JSON object on one line.
"""

from __future__ import annotations

from dataclasses import dataclass

from cig_common.config.errors import printable

MAX_LINE = 4096
"""The longest request, its line end not counted, in bytes."""


@dataclass(frozen=True, slots=True)
class Request:
    """One good request. `rest` is all that follows the command, for `echo`."""

    words: tuple[str, ...]
    json: bool
    rest: str


@dataclass(frozen=True, slots=True)
class Garbage:
    """A line that is no request, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: lines of text, and what went wrong, or None for `OK`."""

    lines: tuple[str, ...] = ()
    error: str | None = None

    def encode(self) -> bytes:
        """Return the answer's bytes, its closing line included."""
        lines = [_unmistakable(printable(line)) for line in self.lines]
        lines.append("OK" if self.error is None else f"ERROR: {printable(self.error)}")
        return ("\n".join(lines) + "\n").encode()


class LineReceiver:
    """Cuts what arrives into requests. Holds at most one line's bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[Request | Garbage]:
        """Take bytes as they come; return the requests that they complete, empty lines left out."""
        found: list[Request | Garbage] = []
        *ended, rest = data.split(b"\n")
        for piece in ended:
            line = bytes(self._buffer) + piece
            self._buffer.clear()
            if self._skipping:
                self._skipping = False
                continue
            request = parse_line(line)
            if request is not None:
                found.append(request)
        if not self._skipping:
            self._buffer += rest
            # One byte more than a line: the `\r` that may end it.
            if len(self._buffer) > MAX_LINE + 1:
                self._buffer.clear()
                self._skipping = True
                found.append(_TOO_LONG)
        return found


_TOO_LONG = Garbage(f"a request has at most {MAX_LINE} bytes")


def parse_line(line: bytes) -> Request | Garbage | None:
    r"""Parse one line without its `\n`; None for an empty one."""
    line = line.removesuffix(b"\r")
    if len(line) > MAX_LINE:
        return _TOO_LONG
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return Garbage("a request is UTF-8 text")
    if not text.replace("\t", " ").isprintable():
        return Garbage("a request holds no control characters")
    words = text.split()
    if not words:
        return None
    given = [word for word in words[1:] if word != "--json"]
    has_json = len(given) < len(words) - 1
    rest = " ".join(given) if has_json else text.strip()[len(words[0]) :].removeprefix(" ")
    return Request((words[0], *given), has_json, rest)


def _unmistakable(line: str) -> str:
    return f" {line}" if line == "OK" or line.startswith("ERROR:") else line
