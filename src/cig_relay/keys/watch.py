# SPDX-License-Identifier: GPL-3.0-or-later
"""Warns in time that keys come to an end. It has no clock and writes no log: see `keeper`.

The rules:

1. The keys end when the month of the last period ends (UTC). The days after it in which its
   messages are still accepted are no reserve: calls that the gateway makes fail from then on.
2. A warning is due 14, 7, 3 and 1 days before the end, and when it is reached. Each is told once;
   a watch that begins later tells the one that is due then. Passing several at once tells one.
3. New keys with a later end take the warning back, or leave a smaller one.
4. A clock that is set back repeats no warning of the same end.
5. A month that is missing between the present one and the last is told once, as long as the same
   months are missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime

from cig_common.control.key_facts import KeysEnding
from cig_material.period import Period
from cig_relay.keys.periods import Window
from mikey_sakke.periods import month_of

THRESHOLDS = (14, 7, 3, 1, 0)
"""Days before the end at which a warning is due; 0 is the end itself."""
_DAY = 86_400.0
_NAMED = 3
_REMEDY = "get new key material from the CMS and install it with `cig-cli set-key`"


class KeyWatch:
    """Looks at the periods that are held; `look` gives what is to be told now."""

    def __init__(self) -> None:
        self._last = ""
        self._told: int | None = None
        self._missing: tuple[str, ...] = ()
        self.warning: KeysEnding | None = None
        """The warning that stands, None while the keys last longer than 14 days."""

    def look(self, periods: Iterable[str], now: float) -> tuple[str, ...]:
        """Take the periods held at ``now``; gives the sentences that are to be told, if any.

        ``warning`` is renewed at each look; without any period there is none (then other parts
        say that there are no keys).
        """
        held = sorted(periods, key=Period.parse)
        if not held:
            self._last, self._told, self._missing, self.warning = "", None, (), None
            return ()
        due = self._ending(held[-1], now)
        return tuple(text for text in (due, self._gap(held, now)) if text)

    def _ending(self, last: str, now: float) -> str:
        if last != self._last:
            self._last, self._told = last, None
        ends = Window.of(Period.parse(last).month).ends
        due = [days for days in THRESHOLDS if now >= ends - days * _DAY]
        if not due:
            self.warning = None
            return ""
        threshold = due[-1]
        self.warning = KeysEnding(last, ends, threshold, ending_text(last, ends, now))
        if self._told is not None and self._told <= threshold:
            return ""
        self._told = threshold
        return self.warning.text

    def _gap(self, held: list[str], now: float) -> str:
        months = {Period.parse(period).month for period in held}
        missing = tuple(m for m in _months(month_of(now), max(months)) if m not in months)
        if missing == self._missing:
            return ""
        self._missing = missing
        if not missing:
            return ""
        named = ", ".join(missing)
        if len(missing) > _NAMED:
            named = f"{len(missing)} months between {missing[0]} and {missing[-1]}"
        return f"there are no keys of {named}, though of later ones: {_REMEDY}"


def ending_text(period: str, ends: float, now: float) -> str:
    """Say that ``period``, the last one, ends at ``ends``."""
    # The last second of a month is easier to read than the first of the one after it.
    when = f"{datetime.fromtimestamp(ends - 1, UTC):%Y-%m-%d} at 24:00 UTC"
    if now >= ends:
        return f"the last keys ({period}) ended on {when}: {_REMEDY}"
    days = math.ceil((ends - now) / _DAY)
    return f"the last keys ({period}) end in {days} day{'s' * (days != 1)}, on {when}: {_REMEDY}"


def _months(first: str, last: str) -> Iterable[str]:
    year, month = int(first[:4]), int(first[5:])
    while (text := f"{year:04d}-{month:02d}") < last:
        yield text
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
