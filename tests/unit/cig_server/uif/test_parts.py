# SPDX-License-Identifier: GPL-3.0-or-later
"""CRS addresses, and the period to sign in with."""

from datetime import datetime

import pytest

from cig_common.errors import CryptoError, LocalError
from cig_server.uif.connection import split_address
from cig_server.uif.period import current_period, login_period

NOVEMBER = 1_795_403_651.0


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("crs.example:5223", ("crs.example", 5223)),
        ("192.0.2.1:443", ("192.0.2.1", 443)),
        ("crs.example", ("crs.example", 5223)),
        ("[2001:db8::1]:5223", ("2001:db8::1", 5223)),
        ("[2001:db8::1]", ("2001:db8::1", 5223)),
    ],
)
def test_a_crs_address_is_split(address: str, expected: tuple[str, int]) -> None:
    assert split_address(address) == expected


@pytest.mark.parametrize("address", ["", ":5223", "host:", "host:0", "host:65536", "host:\uff15"])
def test_what_is_no_address_is_told(address: str) -> None:
    with pytest.raises(LocalError):
        split_address(address)


def test_the_highest_revision_of_the_month_is_taken() -> None:
    periods = ("2026-10-9", "2026-11-2", "2026-11-10", "2026-12-1")
    assert current_period(periods, NOVEMBER) == "2026-11-10"


def test_a_month_without_keys_names_what_is_held() -> None:
    with pytest.raises(CryptoError, match="2026-10-9"):
        current_period(("2026-10-9",), NOVEMBER)


@pytest.mark.parametrize(
    ("periods", "day", "period"),
    [
        (("2026-11-1", "2026-12-1"), "2026-11-15", "2026-11-1"),
        (("2026-11-1", "2026-12-1"), "2026-12-01", "2026-12-1"),
        (("2026-11-1", "2026-11-2"), "2026-12-02", "2026-11-2"),
        (("2026-12-3",), "2026-11-29", "2026-12-3"),
    ],
)
def test_a_neighbour_stands_in_around_a_month_s_ends(
    periods: tuple[str, ...], day: str, period: str
) -> None:
    assert login_period(periods, datetime.fromisoformat(f"{day}T12:00Z").timestamp()) == period


@pytest.mark.parametrize("moment", ["2026-11-28T23:59:59Z", "2027-01-03T00:00:00Z"])
def test_no_other_period_stands_in(moment: str) -> None:
    with pytest.raises(CryptoError, match="2026-12-1"):
        login_period(("2026-12-1",), datetime.fromisoformat(moment).timestamp())
