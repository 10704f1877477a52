# SPDX-License-Identifier: GPL-3.0-or-later
"""The name of a key period: ``YYYY-MM-REVISION``.

Keys are made for the month. A revision is a re-issue for the same month (a new SSK and PVT, or
new KMS parameters after a compromise); the highest revision of a month is the one in use.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])-([0-9]{1,9})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """One period; orders by month, then revision."""

    year: int
    month_number: int
    revision: int

    @staticmethod
    def parse(text: str) -> Period:
        """Read ``YYYY-MM-REVISION`` (a revision of 1 to 9 digits); raises ValueError."""
        match = _FORM.fullmatch(text)
        if match is None or match[1] == "0000":
            raise ValueError(f"{text[:40]!r} is no key period of the form YYYY-MM-REVISION")
        return Period(int(match[1]), int(match[2]), int(match[3]))

    @property
    def month(self) -> str:
        """The month that the keys are made for, ``YYYY-MM``."""
        return f"{self.year:04d}-{self.month_number:02d}"

    def __str__(self) -> str:
        return f"{self.month}-{self.revision}"
