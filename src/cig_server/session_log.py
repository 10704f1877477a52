# SPDX-License-Identifier: GPL-3.0-or-later
"""session.log: one line for each event of a call, in the manual's format.

``event, Time, Caller, Callee, Routed-Caller, Routed-Callee, State, Caller-if-ID, Callee-if-ID``.
A field that holds a comma, a quote or a space at its edge is quoted as in RFC 4180, and control
characters are escaped, so that no caller can forge a line. A full disk stops no call.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

from cig_common.clock import timestamp
from cig_common.logs import escape_controls

logger = logging.getLogger("Session")


class SessionState(StrEnum):
    """The states that the manual names."""

    ROUTING = "routing"
    ROUTED = "routed"
    FAILED = "failed"
    TRYING = "trying"
    RINGING = "ringing"
    TALK = "talk"
    HANGUP = "hangup"


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """One line of session.log; a field that is not known yet is empty."""

    caller: str
    callee: str
    routed_caller: str
    routed_callee: str
    state: SessionState
    caller_if_id: str
    callee_if_id: str

    def encode(self, utc: float) -> str:
        """Give the line without its line feed, stamped with ``utc`` seconds."""
        fields = (
            self.caller,
            self.callee,
            self.routed_caller,
            self.routed_callee,
            self.state.value,
            self.caller_if_id,
            self.callee_if_id,
        )
        return ", ".join(["event", timestamp(utc), *(quote(field) for field in fields)])


def quote(field: str) -> str:
    """Give ``field`` ready for a line: control characters escaped, RFC 4180 quotes if needed."""
    text = escape_controls(field)
    if "," in text or '"' in text or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return text


class SessionLog:
    """Appends events to a file; ``path`` None keeps the log off."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stream: IO[str] | None = None
        self.lost = 0
        self.reopen()

    def reopen(self) -> None:
        """Open the file by its name (again).

        Raises OSError from the first opening alone; later the old file is kept where that fails.
        """
        if self._path is None:
            return
        try:
            fresh = self._path.open("a", encoding="utf-8", buffering=1)
        except OSError as error:
            if self._stream is None:
                raise
            logger.warning("session.log cannot be opened anew: %s; the old file is kept", error)
            return
        self.close()
        self._stream = fresh

    def write(self, event: SessionEvent, utc: float) -> None:
        """Append one event; an OSError is counted in ``lost`` and told once in cig.log."""
        if self._stream is None:
            return
        try:
            self._stream.write(event.encode(utc) + "\n")
        except (OSError, ValueError) as error:
            if not self.lost:
                logger.warning("session.log cannot be written: %s; calls go on", error)
            self.lost += 1

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            with contextlib.suppress(OSError):  # what the full disk did not take is counted already
                self._stream.close()
            self._stream = None
