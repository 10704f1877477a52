# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the key material's periods to sign in with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from cig_common.errors import CryptoError


def current_period(periods: Sequence[str], utc: float) -> str:
    """Give the highest revision (``YYYY-MM-REVISION``) of the month of ``utc`` seconds.

    Raises `CryptoError` when there is none for that month.
    """
    month = f"{datetime.fromtimestamp(utc, UTC):%Y-%m}"
    revisions = [period for period in periods if period.startswith(month + "-")]
    if not revisions:
        held = ", ".join(periods) or "none"
        raise CryptoError(f"no keys for {month} (held: {held}): new key material must be loaded")
    return max(revisions, key=lambda period: int(period.rpartition("-")[2]))
