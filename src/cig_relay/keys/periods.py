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
   After that nothing may use the keys any more: the period is over.
6. Engines hold the periods that rules 2 and 5 allow now, an hour more at both ends, so that no
   call waits for keys at the stroke of midnight. That is one month, and two around its ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cig_common.control.key_facts import PeriodState
from cig_material.period import Period
from mikey_sakke.periods import DAYS_AFTER, DAYS_BEFORE, acceptable_months, month_of

TEXT_DAYS_AFTER = 8
"""The last month's keys open texts through this day of a month."""
_MARGIN = 3600.0


@dataclass(frozen=True, slots=True)
class Window:
    """The moments of a month's keys, in seconds since 1970.

    Calls are accepted from ``accepted_from`` until just before ``accepted_until``; the month itself
    goes from ``begins`` until just before ``ends``; texts are opened until ``over_at``.
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
        ends = _first_of_next(first).timestamp()
        day = timedelta(days=1).total_seconds()
        return Window(
            accepted_from=begins - DAYS_BEFORE * day,
            begins=begins,
            ends=ends,
            accepted_until=ends + DAYS_AFTER * day,
            over_at=ends + TEXT_DAYS_AFTER * day,
        )


def _first_of_next(first: datetime) -> datetime:
    if (first.year, first.month) == (datetime.max.year, 12):
        return datetime.max.replace(tzinfo=UTC)
    return (first + timedelta(days=31)).replace(day=1)


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


def in_use(periods: Iterable[str], *, now: float) -> tuple[str, ...]:
    """Give the periods that engines hold at ``now``, oldest first (rule 6)."""
    held = tuple(periods)
    months = acceptable_months(now - _MARGIN, days_after=TEXT_DAYS_AFTER)
    months |= acceptable_months(now + _MARGIN, days_after=TEXT_DAYS_AFTER)
    best = (_highest(held, month) for month in sorted(months))
    return tuple(period for period in best if period is not None)


def over(periods: Iterable[str], *, now: float) -> tuple[str, ...]:
    """Give the periods that nothing may use any more at ``now`` (rule 5), oldest first."""
    found = [period for period in periods if now >= _window(period).over_at + _MARGIN]
    return tuple(sorted(found, key=Period.parse))


def state(period: str, periods: Iterable[str], *, now: float) -> PeriodState:
    """Tell what ``period``, one of ``periods``, is good for at ``now``."""
    month, window = Period.parse(period).month, _window(period)
    if now >= window.over_at:
        return PeriodState.OVER
    if _highest(periods, month) != period:
        return PeriodState.SUPERSEDED
    if month == month_of(now):
        return PeriodState.VALID
    if accepted(month, now):
        return PeriodState.ACCEPTED
    return PeriodState.COMING if now < window.begins else PeriodState.TEXTS


def _window(period: str) -> Window:
    return Window.of(Period.parse(period).month)
