# SPDX-License-Identifier: GPL-3.0-or-later
"""The clocks, and time as the logs write it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.clock import ManualClock, SystemClock, minute, timestamp


def test_system_clock_reads_the_host() -> None:
    clock = SystemClock()
    before = time.monotonic()
    assert before <= clock.monotonic() <= time.monotonic()
    assert abs(clock.utc() - time.time()) < 5


def test_manual_clock_stands_still_until_it_is_advanced() -> None:
    clock = ManualClock(utc=100.0)
    monotonic = clock.monotonic()
    assert (clock.utc(), clock.monotonic()) == (100.0, monotonic)
    clock.advance(2.5)
    assert (clock.utc(), clock.monotonic()) == (102.5, monotonic + 2.5)


@pytest.mark.parametrize(
    ("utc", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_795_403_651.123, "2026-11-23T03:14:11.123Z"),
        (1_795_403_651.9999, "2026-11-23T03:14:11.999Z"),
    ],
)
def test_timestamp(utc: float, text: str) -> None:
    assert timestamp(utc) == text


@given(st.floats(min_value=0, max_value=4e9))
def test_timestamp_reads_back_to_the_millisecond(utc: float) -> None:
    read = datetime.strptime(timestamp(utc), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert abs(read.timestamp() - utc) <= 0.0011


@pytest.mark.parametrize(
    ("utc", "end", "text"),
    [
        (1_796_083_200.0, False, "2026-12-01 00:00"),
        (1_796_083_200.0, True, "2026-11-30 24:00"),
        (1_796_083_260.0, True, "2026-12-01 00:01"),
        (1e20, True, "-"),
    ],
)
def test_a_minute_for_a_person(utc: float, end: bool, text: str) -> None:
    assert minute(utc, end=end) == text
