# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts that are left with the CRS for now: why, and when to ask for them again. Without I/O.

A text that cannot be taken for a reason that may pass is not receipted, so the CRS keeps it and
sends it once more after the next ``welcome``. The rules by which a new connection is asked for:

1. The cause of each such text is noted. A cause may be over once it has been noted for its pause,
   `FIRST_PAUSE` seconds at first, and what it is about looks well again.
2. When a cause may be over, and nothing else is under way, the CRS is asked once. Texts under way
   put it off by `PATIENCE` seconds at most.
3. The next ``welcome``, whoever caused it, brings all of them: everything noted is struck out.
4. A cause that is noted again soon after it was thought to be over was not: its pause doubles, up
   to `LONGEST_PAUSE`. Otherwise it begins with the first one again.
5. A lack of room of our own is different: texts that were receipted since have made progress, so
   its pause stays the first one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from cig_common.errors import CigError, NoKeysForPeerError, OverloadError, RelayUnavailableError
from cig_server.texts.model import StorageError

FIRST_PAUSE = 10.0
"""Seconds between a cause's first note and asking for what it held up, at least."""
LONGEST_PAUSE = 640.0
PATIENCE = 60.0
"""Seconds by which texts that are under way put off the asking."""
_BACK_SOON = 60.0
"""A cause that is noted so many seconds after it was thought to be over, and its pause, is the
same one."""


class Cause(StrEnum):
    """Why a text is left with the CRS; the value is the word in counters."""

    RELAY = "relay-down"
    KEYS = "no-keys"
    STORAGE = "storage"
    ROOM = "overload"
    STALLED = "stalled"
    OTHER = "internal"


def cause_of(error: CigError) -> Cause:
    """Return the cause that an error stands for."""
    match error:
        case RelayUnavailableError():
            return Cause.RELAY
        case NoKeysForPeerError():
            return Cause.KEYS
        case StorageError():
            return Cause.STORAGE
        case OverloadError():
            return Cause.ROOM
        case _:
            return Cause.OTHER


@dataclass(slots=True)
class _Note:
    words: str
    since: float
    texts: int = 0


@dataclass(slots=True)
class _History:
    pause: float = FIRST_PAUSE
    asked_at: float | None = None


@dataclass(slots=True)
class Postponed:
    """What is noted at present. All times are monotonic seconds."""

    notes: dict[Cause, _Note] = field(default_factory=dict)
    _history: dict[Cause, _History] = field(default_factory=dict)
    _progress: bool = False

    @property
    def texts(self) -> int:
        """How many times a text has been left with the CRS since the last ``welcome``."""
        return sum(note.texts for note in self.notes.values())

    @property
    def trouble(self) -> str:
        """The causes in words for an operator; empty where there are none."""
        if not self.notes:
            return ""
        return "texts are left with the CRS for now: " + "; ".join(
            note.words for note in self.notes.values()
        )

    def note(self, cause: Cause, words: str, now: float) -> bool:
        """Note that a text was left; tells whether its cause is new since the last ``welcome``."""
        note = self.notes.get(cause)
        if note is not None:
            note.texts, note.words = note.texts + 1, words
            return False
        past = self._history.setdefault(cause, _History())
        soon = past.asked_at is not None and now - past.asked_at < past.pause + _BACK_SOON
        if soon and not (cause is Cause.ROOM and self._progress):
            past.pause = min(2 * past.pause, LONGEST_PAUSE)
        else:
            past.pause = FIRST_PAUSE
        self.notes[cause] = _Note(words, now, 1)
        return True

    def due(self, now: float) -> list[Cause]:
        """Return the causes that have been noted, and not been asked about, for their pause."""
        return [cause for cause in self.notes if now - self._last(cause) >= self._pause(cause)]

    def patient(self, over: Iterable[Cause], now: float) -> bool:
        """Tell whether texts under way may still put off asking for what ``over`` held up."""
        return all(now - self._last(c) < self._pause(c) + PATIENCE for c in over)

    def asked(self, over: Iterable[Cause], now: float) -> None:
        """Remember that the CRS was asked since the causes ``over`` seemed to be over."""
        for cause in over:
            self._history[cause].asked_at = now
        self._progress = False

    def since(self, cause: Cause) -> float:
        """Return when a cause that is noted was noted first."""
        return self.notes[cause].since

    def receipted(self) -> None:
        """Take note that a text has been dealt with for good."""
        self._progress = True

    def welcomed(self) -> None:
        """Strike out everything: the CRS sends all that it was not given a receipt for."""
        self.notes.clear()

    def _pause(self, cause: Cause) -> float:
        return self._history[cause].pause

    def _last(self, cause: Cause) -> float:
        asked_at = self._history[cause].asked_at
        since = self.notes[cause].since
        return since if asked_at is None else max(since, asked_at)
