# SPDX-License-Identifier: GPL-3.0-or-later
from hypothesis import given
from hypothesis import strategies as st

from umsg.backoff import Backoff


@given(st.lists(st.binary(min_size=2, max_size=2), min_size=1, max_size=30))
def test_waits_grow_from_1_to_60_seconds_and_stay_within(randoms):
    source = iter(randoms)
    backoff = Backoff(addresses=1, random_bytes=lambda _: next(source))
    for attempt in range(len(randoms)):
        ceiling = min(2 ** (attempt + 1), 60)
        assert max(1, ceiling / 2) <= backoff.failed(0.0) <= ceiling


def test_the_next_address_is_tried_after_each_failure():
    backoff = Backoff(addresses=3, random_bytes=bytes)
    seen = [backoff.index]
    for _ in range(4):
        backoff.failed(0.0)
        seen.append(backoff.index)
    assert seen == [0, 1, 2, 0, 1]


def test_a_connection_that_stood_for_a_minute_clears_the_count():
    backoff = Backoff(addresses=1, random_bytes=bytes)
    for _ in range(5):
        backoff.failed(0.0)
    backoff.welcomed(100.0)
    assert backoff.failed(101.0) == 30
    backoff.welcomed(200.0)
    assert backoff.failed(260.0) == 1
