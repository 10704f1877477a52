# SPDX-License-Identifier: GPL-3.0-or-later
"""The clock: keys are chosen by the month, and calls refused whose time differs by 300 s.

Whether it is right only another clock could tell; what the kernel knows is whether something keeps
it right, and how wrong it may be at most (adjtimex(2)).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from cig_cli.check.row import Row, fail, ok, skip, warn

ALLOWED_SKEW = 300.0
"""Seconds between the clocks of two ends at which calls between them begin to fail."""
_EARLIEST, _LATEST = 2025, 2100
_STA_UNSYNC = 0x0040
_TIMEX_OCTETS = 512
_KEEP = "have it kept: install chrony, or run: timedatectl set-ntp true"


@dataclass(frozen=True, slots=True)
class KernelClock:
    """What the kernel says of its clock; ``max_error`` in seconds."""

    synchronised: bool
    max_error: float


class _Timex(ctypes.Structure):
    """The begin of `struct timex` on 64-bit Linux; the rest is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * _TIMEX_OCTETS),
    )


def clock_rows(utc: float) -> Iterator[Row]:
    """Yield the rows about the clock; `utc` is what it shows."""
    yield date(utc)
    try:
        yield synchronisation(kernel_clock())
    except (OSError, AttributeError):
        yield skip("clock kept", "the kernel does not tell", _KEEP)


def kernel_clock() -> KernelClock:
    """Ask the kernel; changes nothing. Raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    timex = _Timex()
    if library.adjtimex(ctypes.byref(timex)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return KernelClock(not timex.status & _STA_UNSYNC, timex.maxerror / 1e6)


def date(utc: float) -> Row:
    """Look whether the date can be."""
    try:
        moment = datetime.fromtimestamp(utc, UTC)
    except (ValueError, OverflowError, OSError):
        return fail("clock", f"{utc:.0f} s since 1970 is no date", "set it: date -u -s …")
    text = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    if not _EARLIEST <= moment.year < _LATEST:
        return fail("clock", f"{text} cannot be", f"set it (date -u -s …), then {_KEEP}")
    return ok("clock", text)


def synchronisation(clock: KernelClock) -> Row:
    """Judge what the kernel says."""
    if not clock.synchronised:
        advice = f"calls fail where two clocks differ by {ALLOWED_SKEW:.0f} s: {_KEEP}"
        return warn("clock kept", "nothing keeps the clock right", advice)
    if clock.max_error >= ALLOWED_SKEW:
        advice = "look at `chronyc tracking` or `timedatectl timesync-status`"
        return warn("clock kept", f"it may be wrong by {clock.max_error:.0f} s", advice)
    return ok("clock kept", f"synchronised; wrong by {clock.max_error:.3f} s at the most")
