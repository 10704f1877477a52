# SPDX-License-Identifier: GPL-3.0-or-later
"""The two clocks of the gateway, behind one object that tests replace.

Cores never read a clock: they are given ``now``. Shells hold a `Clock` and pass on what it says.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

_DAY_SECONDS = 86_400


class Clock(Protocol):
    """What a shell needs to know of time."""

    def monotonic(self) -> float:
        """Seconds that never step back; for timers and ages."""

    def utc(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z; for logs, key periods and MIKEY timestamps."""


class SystemClock:
    """The host's clocks."""

    def monotonic(self) -> float:
        """Seconds of CLOCK_MONOTONIC."""
        return time.monotonic()

    def utc(self) -> float:
        """Seconds of CLOCK_REALTIME."""
        return time.time()


class ManualClock:
    """A clock that stands still until `advance` moves it; both readings move together."""

    def __init__(self, utc: float = 1_795_000_000.0) -> None:
        self._monotonic = 1000.0
        self._utc = utc

    def monotonic(self) -> float:
        """Seconds since an arbitrary start."""
        return self._monotonic

    def utc(self) -> float:
        """Seconds since 1970 as set."""
        return self._utc

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self._monotonic += seconds
        self._utc += seconds


def minute(utc: float, *, end: bool = False) -> str:
    """Give ``utc`` seconds for a person to read: ``2026-11-23 03:14``, ``-`` where it is no date.

    With ``end``, the midnight that ends a day is given as that day's 24:00.
    """
    day_ends = end and utc % _DAY_SECONDS == 0
    try:
        moment = datetime.fromtimestamp(utc - 1 if day_ends else utc, UTC)
    except (ValueError, OverflowError, OSError):
        return "-"
    return f"{moment:%Y-%m-%d} 24:00" if day_ends else f"{moment:%Y-%m-%d %H:%M}"


def timestamp(utc: float) -> str:
    """Give ``utc`` seconds as the logs write it: ``2026-11-23T03:14:11.123Z``."""
    moment = datetime.fromtimestamp(utc, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
