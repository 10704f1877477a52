# SPDX-License-Identifier: GPL-3.0-or-later
"""Months and timestamps: which keys count when (RFC 6509 §3.3), and NTP time (RFC 3830 §6.6).

Times are seconds since 1970 in UTC, as floats. A month begins at midnight UTC of its first day.
"""

from datetime import UTC, datetime, timedelta

NTP_ERA_SECONDS = 1 << 32
NTP_TO_UNIX = 2_208_988_800
"""Seconds from 1900 to 1970."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86_400.0
"""Seconds of a day."""

DAYS_BEFORE = 2
"""The next month's keys count from the second-to-last day of a month."""
DAYS_AFTER = 2
"""The last month's keys count through the second day of a month."""


def month_of(t: float) -> str:
    """Give the month of a time in UTC, as YYYY-MM (RFC 6509 §3.2)."""
    moment = _EPOCH + timedelta(seconds=t)
    return f"{moment.year:04d}-{moment.month:02d}"


def acceptable_months(
    now: float, *, days_before: int = DAYS_BEFORE, days_after: int = DAYS_AFTER
) -> frozenset[str]:
    """Give the months whose keys count now: the present one and, near its ends, a neighbour.

    RFC 6509 §3.3 recommends two days at either end.
    """
    return frozenset(month_of(t) for t in (now - days_after * DAY, now, now + days_before * DAY))


def to_ntp(t: float) -> int:
    """Give a time as a 64-bit NTP timestamp: 32 bits of seconds since 1900, 32 of fraction.

    This is the TS value of the T payload, 8 octets (RFC 3830 §6.6).
    """
    return int((t + NTP_TO_UNIX) * (1 << 32)) % (1 << 64)


def from_ntp(timestamp: int, *, near: float) -> float:
    """Give the time of a 64-bit NTP timestamp, in the era that brings it closest to `near`.

    The 32 bits of seconds roll over on 2036-02-07 at 06:28:16 UTC.
    """
    seconds = timestamp / (1 << 32)
    era = round((near + NTP_TO_UNIX - seconds) / NTP_ERA_SECONDS)
    return seconds + era * NTP_ERA_SECONDS - NTP_TO_UNIX
