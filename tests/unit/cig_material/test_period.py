# SPDX-License-Identifier: GPL-3.0-or-later
"""The name of a key period: its one form, and its order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_material.period import Period


@given(st.builds(Period, st.integers(1, 9999), st.integers(1, 12), st.integers(0, 10**9 - 1)))
def test_round_trip(period: Period) -> None:
    assert Period.parse(str(period)) == period


@pytest.mark.parametrize(
    "text",
    ["", "2026-11", "2026-13-1", "2026-00-1", "2026-1-1", "2026-11-", "2026-11-1 ",
     "2026-11-1\n", "0000-11-1", "2026-11--1", "2026-11-1234567890", "٢٠٢٦-11-1"],
)  # fmt: skip
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="YYYY-MM-REVISION"):
        Period.parse(text)


def test_revisions_order_as_numbers() -> None:
    assert Period.parse("2026-11-10") > Period.parse("2026-11-9")
    assert Period.parse("2026-12-0") > Period.parse("2026-11-10")
