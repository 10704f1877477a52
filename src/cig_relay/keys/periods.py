# SPDX-License-Identifier: GPL-3.0-or-later
"""Key periods: which of the keys that we hold count at a moment (RFC 6509 section 3.2; in UTC).

The rules:

1. Of a month the highest revision is the one in use (`cig_material.period`).
2. A month is accepted from the second-to-last day of the month before it until the end of its
   successor's day 2, and refused from day 3 on.
3. A message is served by the month of its own T payload, if that month is accepted at present.
4. What the gateway makes itself is of the present month; only for the login signature may the
   month before, or the month to come, stand in while its keys are accepted (rule 2).
5. Texts may be old when they come: their month is opened until the end of its successor's day 8.
   After that nothing may use the keys any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime

from cig_material.period import Period
from mikey_sakke.periods import DAYS_AFTER, DAYS_BEFORE, acceptable_months, month_of

TEXT_DAYS_AFTER = 8
"""The last month's keys open texts through this day of a month."""
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Window:
    """The moments of a month's keys, in seconds since 1970.

    The month goes from ``begins`` to just before ``ends``, calls are accepted from
    ``accepted_from`` to just before ``accepted_until``, texts are opened until ``over_at``.
    """

    accepted_from: float
    begins: float
    ends: float
    accepted_until: float
    over_at: float

    @staticmethod
    def of(month: str) -> Window:
        """Give the window of a month, ``YYYY-MM``."""
        first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
        begins = first.timestamp()
        ends = begins + 31 * _DAY  # right for December, also for the last one that there is
        if first.month < 12 or first.year < MAXYEAR:
            after = datetime.fromtimestamp(ends, UTC)
            ends = after.replace(day=1).timestamp()
        return Window(
            accepted_from=begins - DAYS_BEFORE * _DAY,
            begins=begins,
            ends=ends,
            accepted_until=ends + DAYS_AFTER * _DAY,
            over_at=ends + TEXT_DAYS_AFTER * _DAY,
        )


def accepted(month: str, now: float) -> bool:
    """Tell whether the keys of a month (``YYYY-MM``) count at ``now`` (rule 2)."""
    return month in acceptable_months(now)


def serving(periods: Iterable[str], *, moment: float, now: float) -> str | None:
    """Give the period that serves a message of T ``moment`` (rule 3), or None."""
    month = month_of(moment)
    return _highest(periods, month) if accepted(month, now) else None


def for_login(periods: Iterable[str], *, now: float) -> tuple[str, ...]:
    """Give the periods whose login signature a CRS accepts at ``now``, the best first (rule 4)."""
    held = tuple(periods)
    present = month_of(now)
    others = sorted(acceptable_months(now) - {present}, reverse=True)
    best = (_highest(held, month) for month in (present, *others))
    return tuple(period for period in best if period is not None)


def _highest(periods: Iterable[str], month: str) -> str | None:
    of_month = (period for period in periods if Period.parse(period).month == month)
    return max(of_month, key=Period.parse, default=None)
