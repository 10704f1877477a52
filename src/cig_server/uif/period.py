# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the key material's periods to sign in with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cig_common.errors import CryptoError

_NEIGHBOUR = timedelta(days=2)
"""A CRS takes a month from the second-to-last day before it, and through day 2 after it."""


def current_period(periods: Sequence[str], utc: float) -> str:
    """Give the highest revision (``YYYY-MM-REVISION``) of the month of ``utc`` seconds.

    Raises `CryptoError` when there is none for that month.
    """
    period = _highest(periods, datetime.fromtimestamp(utc, UTC))
    if period is None:
        month = f"{datetime.fromtimestamp(utc, UTC):%Y-%m}"
        held = ", ".join(periods) or "none"
        raise CryptoError(f"no keys for {month} (held: {held}): new key material must be loaded")
    return period


def login_period(periods: Sequence[str], utc: float) -> str:
    """Give the period to sign in with: of the present month or, without one, of a neighbour.

    A CRS accepts the neighbours around a month's ends, and calls from the secure side still come
    in with them. Raises `CryptoError` when there is none either.
    """
    now = datetime.fromtimestamp(utc, UTC)
    for moment in (now, now - _NEIGHBOUR, now + _NEIGHBOUR):
        if (period := _highest(periods, moment)) is not None:
            return period
    return current_period(periods, utc)


def _highest(periods: Sequence[str], moment: datetime) -> str | None:
    revisions = [period for period in periods if period.startswith(f"{moment:%Y-%m}-")]
    return max(revisions, key=lambda period: int(period.rpartition("-")[2]), default=None)
