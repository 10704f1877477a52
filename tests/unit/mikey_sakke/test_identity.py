# SPDX-License-Identifier: GPL-3.0-or-later
"""Identity schemes: tel URIs by month, UIDs by periods in seconds."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mikey_sakke import IdentifierError, MikeySakkeError, ParameterError, PeriodError, periods
from mikey_sakke.identity import TEL_MONTHLY, HashedUid, TelMonthly
from mikey_sakke.keys import UserKeys
from unit.mikey_sakke.mcx_calls import ALICE, PERIOD, SCHEME, uid_user
from unit.mikey_sakke.support import CALLER, MONTH, NOW, user, vector

UIDS = vector("ts33180")["uids"]
schemes = st.builds(
    HashedUid, st.just("kms.example.org"), st.integers(1, 10**8), st.integers(0, 10**8)
)
times = st.integers(0, 8 * 10**9).map(float)


@pytest.mark.parametrize("entry", UIDS, ids=lambda entry: entry["uid"][:8])
def test_uid_vectors(entry):
    scheme = HashedUid(entry["kms_uri"], entry["period_seconds"], entry["period_offset"])
    uid = scheme.identifier(entry["uri"], str(entry["period_number"]))
    assert uid.hex() == entry["uid"]


def test_the_period_counts_seconds_since_1900():
    assert SCHEME.period_of(-2_208_988_800.0) == "0"
    assert SCHEME.period_of(NOW) == str((1_794_900_000 + 2_208_988_800) // 2_592_000)
    offset = HashedUid("kms.example.org", 100, 7)
    assert offset.period_of(7 - 2_208_988_800.0) == "0"
    assert offset.period_of(106.5 - 2_208_988_800) == "0"
    assert offset.period_of(107 - 2_208_988_800.0) == "1"
    with pytest.raises(PeriodError):
        offset.period_of(6.9 - 2_208_988_800)


@given(schemes, times)
def test_a_time_lies_in_its_period(scheme, t):
    period = scheme.period_of(t)
    assert scheme.check_period(period) == period
    assert scheme.period_begin(period) <= t < scheme.period_begin(period) + scheme.period_seconds


@given(schemes, times, st.integers(0, 40), st.integers(0, 40))
def test_the_window_has_the_present_period_and_no_more_than_its_neighbours(
    scheme, now, before, after
):
    present = int(scheme.period_of(now))
    window = scheme.acceptable_periods(now, days_before=before, days_after=after)
    numbers = {int(period) for period in window}
    assert present in numbers
    assert numbers <= {present - 1, present, present + 1}


def test_the_window_of_a_long_period_is_two_days():
    begin = SCHEME.period_begin(PERIOD)
    end = begin + SCHEME.period_seconds
    last, following = str(int(PERIOD) - 1), str(int(PERIOD) + 1)
    two_days = 2 * periods.DAY
    assert SCHEME.acceptable_periods(begin + two_days - 1) == {last, PERIOD}
    assert SCHEME.acceptable_periods(begin + two_days) == {PERIOD}
    assert SCHEME.acceptable_periods(end - two_days - 1) == {PERIOD}
    assert SCHEME.acceptable_periods(end - two_days) == {PERIOD, following}


@pytest.mark.parametrize("uri", ["", " ", "sip:a b", "sip:a\0", "sip:a\n", "\ud800", "x" * 1025])
def test_what_can_be_no_uri(uri):
    for use in (SCHEME.check_uri, SCHEME.bare_uri, lambda u: SCHEME.identifier(u, "1")):
        with pytest.raises(IdentifierError):
            use(uri)
    with pytest.raises(IdentifierError):
        HashedUid(uri, 1)


@given(st.text(max_size=40), st.text(max_size=20))
def test_any_text_gives_a_uid_or_a_library_error(uri, period):
    try:
        assert len(SCHEME.identifier(uri, period)) == 32
    except MikeySakkeError:
        return
    assert str(int(period)) == period


@pytest.mark.parametrize("period", ["", "-1", "01", "1.0", "٤", "1" * 19, "2026-11", "1\n"])
def test_what_names_no_period(period):
    with pytest.raises(IdentifierError):
        SCHEME.check_period(period)


@pytest.mark.parametrize(("seconds", "offset"), [(0, 0), (-1, 0), (1, -1)])
def test_periods_have_a_length(seconds, offset):
    with pytest.raises(ParameterError):
        HashedUid("kms.example.org", seconds, offset)


def test_the_tel_scheme_is_what_the_functions_say():
    assert TEL_MONTHLY.identifier(CALLER, MONTH) == user(CALLER).identifier
    assert TEL_MONTHLY.period_of(NOW) == MONTH
    assert TEL_MONTHLY.acceptable_periods(NOW) == periods.acceptable_months(NOW)
    assert TEL_MONTHLY.bare_uri(CALLER + ";101") == CALLER
    assert TEL_MONTHLY.id_scheme == 1
    assert TEL_MONTHLY.kms_uri is None


def test_schemes_are_values():
    assert pickle.loads(pickle.dumps(SCHEME)) == SCHEME
    assert pickle.loads(pickle.dumps(TEL_MONTHLY)) == TelMonthly()
    assert HashedUid("kms.example.org", 2_592_001) != SCHEME


def test_keys_of_a_uid():
    keys = uid_user(ALICE)
    assert keys.identifier == SCHEME.identifier(ALICE, PERIOD)
    assert (keys.period, keys.month, keys.kms_uri) == (PERIOD, PERIOD, "kms.example.org")
    keys.validate()
    assert PERIOD in repr(keys)


def test_keys_know_their_kms_by_the_scheme():
    keys = uid_user(ALICE)
    parts = (ALICE, PERIOD, keys.kpak, keys.z, keys.ssk.reveal(), keys.pvt, keys.rsk.reveal())
    assert UserKeys(*parts, kms_uri="kms.example.org", scheme=SCHEME).kms_uri == "kms.example.org"
    with pytest.raises(IdentifierError):
        UserKeys(*parts, kms_uri="kms.example.net", scheme=SCHEME)
