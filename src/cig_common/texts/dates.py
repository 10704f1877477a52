# SPDX-License-Identifier: GPL-3.0-or-later
"""Dates of texts: ``26 Nov 2015 17:15:44 +0000`` (date-time of RFC 5322 section 3.3)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

MAX_LENGTH = 200
"""Characters of what is read as a date, comments included."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NUMBERS = {name.lower(): number for number, name in enumerate(_MONTHS, 1)}
_ZONES = {"EDT": -4, "EST": -5, "CDT": -5, "CST": -6, "MDT": -6, "MST": -7, "PDT": -7, "PST": -8}
"""Hours of the zones of RFC 5322 section 4.3; all other names are UTC, as it says."""
_DATE = re.compile(
    r"(?:[a-z]{3,9} ?, ?)?(\d{1,2})[ -]([a-z]{3})[a-z]{0,6}[ -](\d{4}|\d\d)"
    r" (\d\d?) ?: ?(\d\d)(?: ?: ?(\d\d))?(?: ?([+-])(\d\d)(\d\d)| ?([a-z]{1,5}))?",
    re.IGNORECASE | re.ASCII,
)
_FIRST_YEAR, _LAST_YEAR = 1900, 9998


def format_date(moment: datetime) -> str:
    """Write an aware ``moment`` in UTC, whole seconds, in English whatever the locale is."""
    utc = moment.astimezone(UTC)
    return f"{utc.day:02} {_MONTHS[utc.month - 1]} {utc.year:04} {utc:%H:%M:%S} +0000"


def parse_date(text: str) -> datetime | None:
    """Read a date, in the obsolete formats too; None where it is none.

    The name of the day does not count, a leap second is the one before it. The year, in UTC, is
    from 1900 to 9998.
    """
    if len(text) > MAX_LENGTH:
        return None
    match = _DATE.fullmatch(" ".join(_without_comments(text).split()))
    if match is None or (month := _NUMBERS.get(match[2].lower())) is None:
        return None
    year = int(match[3])
    if len(match[3]) == 2:
        year += 2000 if year < 50 else 1900
    try:
        zone = _zone(match[7], match[8], match[9], match[10])
        second = min(int(match[6] or 0), 59)
        day, hour, minute = int(match[1]), int(match[4]), int(match[5])
        moment = datetime(year, month, day, hour, minute, second, 0, zone)
        in_range = _FIRST_YEAR <= moment.astimezone(UTC).year <= _LAST_YEAR
    except (ValueError, OverflowError):
        return None
    return moment if in_range else None


def _zone(sign: str | None, hours: str, minutes: str, name: str | None) -> timezone:
    if sign is None:
        return timezone(timedelta(hours=_ZONES.get((name or "").upper(), 0)))
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if sign == "-" else offset)


def _without_comments(text: str) -> str:
    """Leave out what stands in parentheses, which nest (RFC 5322 section 3.2.2)."""
    kept, depth = [], 0
    for character in text:
        if character == "(":
            depth += 1
        elif character == ")" and depth:
            depth -= 1
            kept.append(" ")
        elif not depth:
            kept.append(character)
    return "".join(kept)
