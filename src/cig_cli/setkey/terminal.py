# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's terminal, read line by line by the kernel's own line editing.

No readline: what is typed here must stand in no history. A paste comes as lines too; the kernel
holds back what does not fit until it is read.
"""

from __future__ import annotations

import os
import select
import sys
from types import TracebackType

from cig_common.echo import without_echo

_READ_OCTETS = 4096
_PASTE_MARKS = ("\x1b[200~", "\x1b[201~")
"""What terminals put around a paste if an earlier program has asked for it and not taken back."""


class LeaveError(Exception):
    """The operator wants to leave: Ctrl-D, or the terminal is gone."""


class Terminal:
    """The controlling terminal, or the terminal that is the standard input; a context manager."""

    def __init__(self) -> None:
        """Open it. Raises OSError where there is none."""
        try:
            self._descriptor = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            os.ttyname(sys.stdin.fileno())  # raises where it is no terminal
            self._descriptor = os.dup(sys.stdin.fileno())

    def __enter__(self) -> Terminal:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        """Close it."""
        os.close(self._descriptor)

    def say(self, text: str = "", *, end: str = "\n") -> None:
        """Write a text; what could steer the terminal is written as an escape."""
        octets = memoryview((harmless(text) + end).encode("utf-8", "replace"))
        while octets:
            octets = octets[os.write(self._descriptor, octets) :]

    def line(self, prompt: str = "") -> str:
        """Read a line, without its end. Raises LeaveError."""
        self.say(prompt, end="")
        octets = bytearray()
        while not octets.endswith(b"\n"):
            piece = bytearray(_READ_OCTETS)
            octets += piece[: self._read(piece)]
        text = octets.decode("utf-8", "replace")
        for mark in _PASTE_MARKS:
            text = text.replace(mark, "")
        return text.rstrip("\r\n")

    def line_within(self, seconds: float) -> str | None:
        """Read a line; None if nothing comes within some seconds. Raises LeaveError."""
        return self.line() if self._waits(seconds) else None

    def secret(self, prompt: str) -> bytearray:
        """Read a line without echo. The caller wipes it. Raises LeaveError."""
        typed = bytearray(_READ_OCTETS)
        count = 0
        try:
            with without_echo(self._descriptor):
                self.say(prompt, end="")
                # The kernel makes no line longer than this buffer.
                while typed[count - 1 : count] != b"\n":
                    count += self._read(memoryview(typed)[count:])
        except BaseException:
            wipe(typed)
            raise
        finally:
            self.say()
        del typed[count - 1 :]
        return typed

    def drain(self, seconds: float) -> bool:
        """Drop what is typed or pasted until nothing comes for some seconds; tell if any was."""
        found = False
        while self._waits(seconds):
            self._read(bytearray(_READ_OCTETS))
            found = True
        return found

    def _waits(self, seconds: float) -> bool:
        return bool(select.select([self._descriptor], [], [], seconds)[0])

    def _read(self, into: bytearray | memoryview) -> int:
        """Read what there is, a line at the most; give its length. Raises LeaveError."""
        try:
            count = os.readv(self._descriptor, [into])
        except OSError:
            raise LeaveError from None  # the terminal is gone
        if not count:
            raise LeaveError
        return count


def wipe(octets: bytearray) -> None:
    """Overwrite a buffer with zeros."""
    octets[:] = bytes(len(octets))


def harmless(text: str) -> str:
    """Write what could steer a terminal as an escape, line ends excepted."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
