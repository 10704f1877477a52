# SPDX-License-Identifier: GPL-3.0-or-later
"""Which period's keys serve a moment: the window at both ends of a month, and revisions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_relay.keys.periods import Window, accepted, for_login, in_use, over, serving


def _at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("month", "now", "counts"),
    [
        ("2026-11", "2026-10-29T23:59:59", False),
        ("2026-11", "2026-10-30T00:00:00", True),
        ("2026-11", "2026-11-15T12:00:00", True),
        ("2026-11", "2026-12-02T23:59:59", True),
        ("2026-11", "2026-12-03T00:00:00", False),
        ("2026-03", "2026-02-26T23:59:59", False),
        ("2026-03", "2026-02-27T00:00:00", True),
        ("2028-03", "2028-02-27T23:59:59", False),
        ("2028-03", "2028-02-28T00:00:00", True),
        ("2027-01", "2026-12-30T00:00:00", True),
        ("2026-12", "2027-01-02T23:59:59", True),
        ("2026-12", "2027-01-03T00:00:00", False),
    ],
)
def test_window_of_a_month(month: str, now: str, counts: bool) -> None:
    assert accepted(month, _at(now)) is counts


PERIODS = ("2026-10-04", "2026-11-2", "2026-11-10", "2026-12-0")


@pytest.mark.parametrize(
    ("moment", "now", "period"),
    [
        ("2026-11-15T12:00:00", "2026-11-15T12:01:00", "2026-11-10"),
        ("2026-10-31T23:59:59", "2026-11-01T00:01:00", "2026-10-04"),
        ("2026-12-01T00:00:10", "2026-11-30T23:59:50", "2026-12-0"),
        ("2026-10-31T23:59:59", "2026-11-03T00:00:00", None),
        ("2027-01-01T00:00:00", "2027-01-01T00:00:00", None),
    ],
)
def test_a_message_is_served_by_the_month_of_its_time(
    moment: str, now: str, period: str | None
) -> None:
    assert serving(PERIODS, moment=_at(moment), now=_at(now)) == period


@pytest.mark.parametrize(
    ("now", "periods"),
    [
        ("2026-11-15T12:00:00", ("2026-11-10",)),
        ("2026-11-01T00:00:00", ("2026-11-10", "2026-10-04")),
        ("2026-11-29T00:00:00", ("2026-11-10", "2026-12-0")),
        ("2027-01-02T00:00:00", ("2026-12-0",)),
        ("2027-01-03T00:00:00", ()),
    ],
)
def test_login_takes_the_highest_revision_of_a_month_that_counts(
    now: str, periods: tuple[str, ...]
) -> None:
    assert for_login(PERIODS, now=_at(now)) == periods


def test_the_window_of_a_month() -> None:
    window = Window.of("2028-02")
    assert window == Window(
        accepted_from=_at("2028-01-30T00:00"),
        begins=_at("2028-02-01T00:00"),
        ends=_at("2028-03-01T00:00"),
        accepted_until=_at("2028-03-03T00:00"),
        over_at=_at("2028-03-09T00:00"),
    )
    assert Window.of("9999-12").ends > Window.of("9999-12").begins


@given(st.integers(2000, 2400), st.integers(1, 12), st.floats(-40, 70))
def test_window_and_acceptance_say_the_same(year: int, number: int, day: float) -> None:
    month = f"{year:04d}-{number:02d}"
    window = Window.of(month)
    now = window.begins + day * 86_400
    assert accepted(month, now) == (window.accepted_from <= now < window.accepted_until)
    usable = window.accepted_from - 3600 <= now < window.over_at + 3600
    assert (in_use([f"{month}-1"], now=now) == (f"{month}-1",)) == usable
    assert (over([f"{month}-1"], now=now) == ()) == (now < window.over_at + 3600)


def test_two_months_at_the_most_are_in_use() -> None:
    held = [f"{year}-{month:02d}-{n}" for year in (2026, 2027) for month in range(1, 13)
            for n in (1, 2)]  # fmt: skip
    counts = set()
    for hour in range(24 * 365):
        found = in_use(held, now=_at("2026-03-01T00:00") + hour * 3600 + 1)
        assert all(period.endswith("-2") for period in found)
        counts.add(len(found))
    assert counts == {1, 2}
