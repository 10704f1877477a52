# SPDX-License-Identifier: GPL-3.0-or-later
"""Dates of texts; Python's email package is asked where it can tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.texts.dates import format_date, parse_date

EXAMPLE = datetime(2015, 11, 26, 17, 15, 44, tzinfo=UTC)
ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(1901, 1, 1), datetime(9998, 1, 1), timezones=ZONES)


@pytest.mark.parametrize(
    "text",
    [
        "26 Nov 2015 17:15:44 +0000",
        "Thu, 26 Nov 2015 17:15:44 +0000",
        "Mon,26 nov 2015 17:15:44 -0000",
        "  26  Nov\t2015   17:15:44 GMT ",
        "26 November 2015 17:15:44",
        "26 Nov 15 17:15:44 UT",
        "26 Nov 2015 12:15:44 EST",
        "26 Nov 2015 18:45:44 +0130 (a (nested) comment)",
        "(x)26(y)Nov(z)2015 17 : 15 : 44 Z",
        "26-Nov-2015 15:15:44 -0200",
    ],
)
def test_dates_that_are_read(text: str) -> None:
    moment = parse_date(text)
    assert moment == EXAMPLE
    assert moment is not None
    assert format_date(moment) == "26 Nov 2015 17:15:44 +0000"


def test_seconds() -> None:
    assert parse_date("26 Nov 2015 17:15 +0000") == EXAMPLE.replace(second=0)
    assert parse_date("31 Dec 2016 23:59:60 +0000") == datetime(2016, 12, 31, 23, 59, 59, 0, UTC)


def test_years_of_two_digits() -> None:
    assert (parse_date("1 Jan 49 00:00 Z") or EXAMPLE).year == 2049
    assert (parse_date("1 Jan 50 00:00 Z") or EXAMPLE).year == 1950


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2015-11-26T17:15:44Z",
        "31 Feb 2015 17:15:44 +0000",
        "26 Xyz 2015 17:15:44 +0000",
        "26 Nov 2015 24:00:00 +0000",
        "26 Nov 2015 17:61:00 +0000",
        "26 Nov 2015 17:15:44 +9999",
        "1 Jan 1900 00:00:00 +0100",
        "1 Jan 9999 00:00:00 +0000",
        "31 Dec 9999 23:59:59 -0100",
        "1 Jan 0001 00:00:00 +0100",
        "26 Nov 2015 17:15:44 +0000 (" + "x" * 200,
        "٢٦ Nov 2015 17:15:44 +0000",
    ],
)
def test_what_is_no_date(text: str) -> None:
    assert parse_date(text) is None


@given(MOMENTS)
def test_what_is_written_is_read_again(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    assert parse_date(format_date(moment)) == moment
    assert parse_date(format_datetime(moment)) == moment


@given(st.text(max_size=60) | st.text("0123456789 :+-,()NovZ", max_size=40))
def test_any_text(text: str) -> None:
    moment = parse_date(text)
    assert moment is None or parse_date(format_date(moment)) == moment
