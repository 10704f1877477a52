# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of one secure phone, by period."""

from __future__ import annotations

from collections.abc import Mapping

from mikey_sakke.errors import PeriodError
from mikey_sakke.keys import UserKeys


class PhoneKeys:
    """The keys of one tel URI; ``keys`` has them by period (``YYYY-MM-REVISION``)."""

    def __init__(self, keys: Mapping[str, UserKeys]) -> None:
        self.uri = next(iter(keys.values())).uri
        self._keys = dict(keys)

    def of_month(self, month: str) -> tuple[str, UserKeys]:
        """Give the period of a month (``YYYY-MM``) and its keys; raises PeriodError."""
        for period, keys in self._keys.items():
            if keys.month == month:
                return period, keys
        raise PeriodError(f"no keys of {month} are here")
