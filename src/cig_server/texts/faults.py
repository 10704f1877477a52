# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the places that texts are kept in, until they have worked again."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping

from cig_common.clock import Clock
from cig_server.texts.model import StorageError

_MOST_TOLD = 3
LEAST_ROOM = 64 << 10
"""Octets for which there must be room at least, or there is none."""

logger = logging.getLogger("Texts")


class Faults:
    """The faults of mailboxes and the journal, by path; each is logged when it comes and goes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._present: dict[str, str] = {}
        self._last: dict[str, tuple[str, float]] = {}
        self._wanted: dict[str, int] = {}

    def wanted(self, path: str) -> int:
        """Return how many octets a place must have room for before it counts as mended."""
        return max(LEAST_ROOM, self._wanted.get(path, 0))

    def mended(self, path: str) -> None:
        """Note that a place was tried out, with the room that is `wanted`."""
        self._wanted.pop(path, None)
        self.note({}, (path,))

    @property
    def text(self) -> str:
        """What is wrong at present, for an operator; empty where nothing is."""
        told = list(self._present.values())
        more = [f"and {len(told) - _MOST_TOLD} more"] if len(told) > _MOST_TOLD else []
        return "; ".join(told[:_MOST_TOLD] + more)

    def last(self, path: str) -> tuple[str, float | None]:
        """Return the last fault of a place and when it was (seconds since 1970), or nothing."""
        return self._last.get(path, ("", None))

    def note(self, faults: Mapping[str, StorageError], worked: Iterable[str]) -> None:
        """Note what was wrong, and what worked; a fault counts for a place that has both."""
        for path in worked:
            if path not in faults and self._present.pop(path, None) is not None:
                logger.info("%s works again", path)
        for path, fault in faults.items():
            text = str(fault)
            if self._present.get(path) != text:
                logger.warning("texts are left for now: %s", text)
            self._present[path] = text
            self._wanted[path] = max(fault.wanted, self._wanted.get(path, 0))
            self._last[path] = (text, self._clock.utc())

    def keep_only(self, paths: Collection[str]) -> None:
        """Forget the places that are not among these."""
        self._present = {path: text for path, text in self._present.items() if path in paths}
        self._last = {path: last for path, last in self._last.items() if path in paths}
        self._wanted = {path: octets for path, octets in self._wanted.items() if path in paths}
