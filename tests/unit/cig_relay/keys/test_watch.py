# SPDX-License-Identifier: GPL-3.0-or-later
"""Warnings before the last keys end: each once, in time, and taken back by new keys."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_relay.keys.watch import THRESHOLDS, KeyWatch

DAY = 86_400.0
HELD = ("2026-11-1", "2026-12-2")
END = datetime(2027, 1, 1, tzinfo=UTC).timestamp()


def test_each_threshold_is_told_once() -> None:
    watch = KeyWatch()
    told = []
    moment = END - 20 * DAY
    while moment < END + 20 * DAY:
        told += [(text, moment) for text in watch.look(HELD, moment)]
        moment += 60.0
    texts, moments = zip(*told, strict=True)
    assert [END - moment for moment in moments] == [14 * DAY, 7 * DAY, 3 * DAY, DAY, 0.0]
    assert texts == (
        *(
            f"the last keys (2026-12-2) end in {days}, on 2026-12-31 at 24:00 UTC: get new key "
            "material from the CMS and install it with `cig-cli set-key`"
            for days in ("14 days", "7 days", "3 days", "1 day")
        ),
        "the last keys (2026-12-2) ended on 2026-12-31 at 24:00 UTC: get new key material from "
        "the CMS and install it with `cig-cli set-key`",
    )


@pytest.mark.parametrize(
    ("days_left", "threshold"),
    [(14, 14), (13.9, 14), (7.1, 14), (7, 7), (2.5, 3), (1, 1), (0.001, 1), (0, 0), (-400, 0)],
)
def test_a_watch_that_begins_late_tells_the_one_that_is_due(
    days_left: float, threshold: int
) -> None:
    watch = KeyWatch()
    assert len(watch.look(HELD, END - days_left * DAY)) == 1
    assert watch.warning is not None
    assert (watch.warning.days, watch.warning.ends) == (threshold, END)
    assert watch.warning.period == "2026-12-2"


def test_long_before_the_end_nothing_stands() -> None:
    watch = KeyWatch()
    assert watch.look(HELD, END - 14 * DAY - 1) == ()
    assert watch.warning is None


def test_new_keys_take_the_warning_back() -> None:
    watch = KeyWatch()
    assert watch.look(HELD, END - 2 * DAY)
    assert watch.look((*HELD, "2027-01-1"), END - 2 * DAY) == ()
    assert watch.warning is None
    late = watch.look((*HELD, "2027-01-1"), END + 20 * DAY)
    assert len(late) == 1
    assert "2027-01-1" in late[0]


def test_a_new_revision_of_the_last_month_is_warned_of_anew() -> None:
    watch = KeyWatch()
    assert watch.look(HELD, END - 2 * DAY)
    assert watch.look(("2026-12-3",), END - 2 * DAY)


def test_a_gap_is_told_once() -> None:
    watch = KeyWatch()
    held = ("2026-11-1", "2027-02-1")
    now = datetime(2026, 11, 15, tzinfo=UTC).timestamp()
    assert watch.look(held, now) == (
        "there are no keys of 2026-12, 2027-01, though of later ones: get new key material from "
        "the CMS and install it with `cig-cli set-key`",
    )
    assert watch.look(held, now + DAY) == ()
    closer = (*held, "2026-12-1")
    assert "2027-01," in watch.look(closer, now + 2 * DAY)[0]
    assert watch.look((*closer, "2027-01-1"), now + 3 * DAY) == ()
    assert watch.look(closer, now + 4 * DAY)


def test_many_missing_months_are_counted() -> None:
    told = KeyWatch().look(
        ("2026-11-1", "2027-11-1"), datetime(2026, 11, 1, tzinfo=UTC).timestamp()
    )
    assert told[0].startswith("there are no keys of 11 months between 2026-12 and 2027-10, though")


def test_without_keys_there_is_nothing_to_warn_of() -> None:
    watch = KeyWatch()
    assert watch.look(HELD, END)
    assert watch.look((), END) == ()
    assert watch.warning is None


@given(st.lists(st.integers(-160, 160), max_size=30))
def test_a_clock_that_jumps_repeats_nothing(quarters: list[int]) -> None:
    watch = KeyWatch()
    told = []
    for day in (quarter / 4 for quarter in quarters):
        told += [text for text in watch.look(("2026-12-2",), END + day * DAY) if "last" in text]
        due = [threshold for threshold in THRESHOLDS if day >= -threshold]
        assert (watch.warning.days if watch.warning else None) == (due[-1] if due else None)
    assert len(told) <= len(THRESHOLDS)
    assert len(set(told)) == len(told)
