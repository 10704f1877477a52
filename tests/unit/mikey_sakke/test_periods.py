# SPDX-License-Identifier: GPL-3.0-or-later
"""Months and their window; NTP timestamps over the roll-over of 2036."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mikey_sakke.periods import acceptable_months, from_ntp, month_of, to_ntp
from unit.mikey_sakke.support import vector


def at(*moment: int) -> float:
    return datetime(*moment, tzinfo=UTC).timestamp()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("moment", "months"),
    [
        ((2026, 11, 15, 12), {"2026-11"}),
        ((2026, 11, 28, 23, 59, 59), {"2026-11"}),
        ((2026, 11, 29), {"2026-11", "2026-12"}),
        ((2026, 11, 30, 23, 59, 59), {"2026-11", "2026-12"}),
        ((2026, 12, 1), {"2026-11", "2026-12"}),
        ((2026, 12, 2, 23, 59, 59), {"2026-11", "2026-12"}),
        ((2026, 12, 3), {"2026-12"}),
        ((2026, 12, 30), {"2026-12", "2027-01"}),
        ((2027, 2, 26, 23, 59, 59), {"2027-02"}),
        ((2027, 2, 27), {"2027-02", "2027-03"}),
        ((2028, 2, 27), {"2028-02"}),
        ((2028, 2, 28), {"2028-02", "2028-03"}),
    ],
)
def test_window(moment, months):
    assert acceptable_months(at(*moment)) == months


def test_window_for_stored_texts():
    assert acceptable_months(at(2026, 12, 8, 23), days_after=8) == {"2026-11", "2026-12"}
    assert acceptable_months(at(2026, 12, 9), days_after=8) == {"2026-12"}


def test_month_is_that_of_utc():
    assert month_of(at(2026, 12, 1) - 0.001) == "2026-11"
    assert month_of(at(2026, 12, 1)) == "2026-12"
    assert month_of(-1.0) == "1969-12"


def test_vector_time():
    data = vector("imessage_tel")
    assert to_ntp(at(2011, 2, 14, 12)) == int(data["T"], 16)
    assert from_ntp(int(data["T"], 16), near=at(2011, 3, 1)) == at(2011, 2, 14, 12)


def test_era_roll_over():
    rollover = at(2036, 2, 7, 6, 28, 16)
    assert to_ntp(rollover) == 0
    assert to_ntp(rollover - 1) >> 32 == 0xFFFFFFFF
    assert from_ntp(0, near=rollover) == rollover
    assert from_ntp(0xFFFFFFFF << 32, near=rollover + 10) == rollover - 1
    assert from_ntp(5 << 32, near=rollover - 10) == rollover + 5


@given(st.floats(0, 4e9), st.floats(-1e6, 1e6))
def test_round_trip(t, distance):
    assert abs(from_ntp(to_ntp(t), near=t + distance) - t) < 1e-6
