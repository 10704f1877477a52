# SPDX-License-Identifier: GPL-3.0-or-later
"""The replay cache: nothing is accepted twice, whatever the clock, the room or a restart do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mikey_sakke import MalformedError, ParameterError, ReplayError
from mikey_sakke.replay import ReplayCache
from unit.mikey_sakke.support import NOW


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_second_insert_is_a_replay():
    cache = ReplayCache()
    assert not cache.seen(key(1), NOW)
    cache.insert(key(1), NOW, NOW)
    assert cache.seen(key(1))
    with pytest.raises(ReplayError):
        cache.insert(key(1), NOW, NOW)
    cache.insert(key(2), NOW, NOW)
    assert len(cache) == 2


def test_expired_entries_raise_the_floor():
    cache = ReplayCache(keep=600)
    cache.insert(key(1), NOW, NOW)
    cache.insert(key(2), NOW + 700, NOW + 700)
    assert len(cache) == 1
    assert not cache.seen(key(1))
    assert cache.seen(key(1), NOW)
    with pytest.raises(ReplayError):
        cache.insert(key(1), NOW, NOW)  # the clock was set back


def test_clock_set_back_opens_nothing():
    cache = ReplayCache(keep=600)
    cache.insert(key(1), NOW, NOW)
    cache.expire(NOW + 5000)
    with pytest.raises(ReplayError):
        cache.insert(key(1), NOW, NOW - 100)


def test_full_cache_refuses_what_it_forgot():
    cache = ReplayCache(capacity=3)
    for number in range(5):
        cache.insert(key(number), NOW + number, NOW)
    assert len(cache) == 3
    for number in range(5):
        with pytest.raises(ReplayError):
            cache.insert(key(number), NOW + number, NOW)
    cache.insert(key(9), NOW + 9, NOW)


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(-50, 50), st.integers(-100, 100))),
    st.integers(1, 4),
)
def test_nothing_is_accepted_twice(events, capacity):
    cache = ReplayCache(capacity=capacity, keep=40)
    accepted = set()
    for number, t, now in events:
        message = (number, t)  # a message's T is part of what its key stands for
        try:
            cache.insert(key(number * 1000 + t + 500), t, now)
        except ReplayError:
            continue
        assert message not in accepted
        assert len(cache) <= capacity
        accepted.add(message)


def test_export_and_load():
    cache = ReplayCache(capacity=2)
    lines = [cache.insert(key(number), NOW + number, NOW) for number in range(3)]
    exported = list(cache.export())
    assert exported[0].startswith("floor ")
    for stored in (exported, [line + "\n" for line in lines], exported + lines):
        again = ReplayCache.load(stored, now=NOW, capacity=2)
        for number in range(3):
            assert again.seen(key(number), NOW + number)
        assert list(again.export()) == exported


def test_torn_last_line_is_passed_over():
    cache = ReplayCache()
    lines = [cache.insert(key(number), NOW, NOW) for number in range(3)]
    again = ReplayCache.load([*lines[:2], lines[2][:40]], now=NOW)
    assert len(again) == 2


@pytest.mark.parametrize("line", ["", "garbage", "floor x", "floor 1 2", "ab 12", "0" * 64])
def test_any_other_broken_line_is_an_error(line):
    good = ReplayCache().insert(key(1), NOW, NOW)
    with pytest.raises(MalformedError):
        ReplayCache.load([line, good], now=NOW)


def test_after_a_loss_nothing_old_is_taken():
    cache = ReplayCache.after_loss(now=NOW, skew=300)
    for t in (NOW - 300, NOW, NOW + 300):
        with pytest.raises(ReplayError):
            cache.insert(key(1), t, NOW)
    cache.insert(key(1), NOW + 300.001, NOW + 301)


def test_wrong_arguments():
    with pytest.raises(ParameterError):
        ReplayCache(capacity=0)
    with pytest.raises(ParameterError):
        ReplayCache(keep=0)
    with pytest.raises(ParameterError):
        ReplayCache().insert(b"short", NOW, NOW)
