# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cig_relay.media.reception import MAX_DROPOUT, RESTARTED, STRAY, Source
from cig_relay.media.rtp import RtpPacket
from cig_relay.media.stream import OutputStream


def audio(stream, extended, timestamp, now):
    wire = stream.audio(extended, timestamp, 8, b"x" * 160, now)
    return None if wire is None else RtpPacket.parse(wire)


actions = st.lists(
    st.tuples(
        st.sampled_from(["send", "skip", "event", "restart"]),
        st.integers(-70, 70),
        st.integers(-3000, 3000),
        st.floats(0, 3),
    ),
    max_size=60,
)


@given(actions, st.integers(0, 65535), st.integers(0, 2**32 - 1))
def test_no_number_is_ever_sent_twice(steps, sequence, timestamp):
    stream = OutputStream(1, sequence, timestamp)
    extended, moment, now = 70_000, 500, 0.0
    sent, highest = set(), None
    for action, ahead, later, pause in steps:
        extended += ahead
        moment = (moment + later) & 0xFFFFFFFF
        now += pause
        wire = None
        if action == "send":
            wire = stream.audio(extended, moment, 8, b"", now)
        elif action == "event":
            wire = stream.event(extended, moment, 101, b"", now)
        elif action == "skip":
            stream.skip(extended)
        else:
            stream.restart()
        if wire is not None:
            number = RtpPacket.parse(wire).sequence
            assert number not in sent
            sent.add(number)
            # Far from a whole cycle, so the 16 bits tell all; the highest only grows.
            ahead_of = None if highest is None else (number - highest) & 0xFFFF
            assert ahead_of is None or ahead_of < 0x4000 or ahead_of > 0xFFBF
            if ahead_of is None or ahead_of < 0x4000:
                highest = number


@given(st.permutations(range(20)), st.integers(0, 65535))
def test_any_order_within_the_window_keeps_its_places(order, sequence):
    stream = OutputStream(1, sequence, 0)
    start = audio(stream, 100_000, 1000, 0.0)
    for n in order:
        out = audio(stream, 100_001 + n, 1160 + 160 * n, 0.02 * n)
        assert (out.sequence - start.sequence) & 0xFFFF == n + 1
        assert (out.timestamp - start.timestamp) & 0xFFFFFFFF == 160 * (n + 1)
        assert audio(stream, 100_001 + n, 1160 + 160 * n, 0.02 * n) is None


def test_the_timestamp_of_an_instant():
    stream = OutputStream(1, 0, 0)
    out = audio(stream, 70_000, 4_000_000_000, 10.0)
    assert stream.timestamp_at(10.0) == out.timestamp
    assert stream.timestamp_at(10.5) == (out.timestamp + 4000) & 0xFFFFFFFF


def test_a_source_counts_loss_as_rfc_3550_does():
    source = Source(5, 65530)
    for number in (65530, 65531, 65533, 65535, 1, 2):  # 65532, 65534 and 0 are lost
        assert source.receive(number) >= 0
    block = source.report(0.0)
    assert (block.lost, block.fraction_lost) == (3, (3 << 8) // 9)
    assert block.highest == 65536 + 2
    assert not source.heard_lately
    for number in (3, 3, 4):
        source.receive(number)
    block = source.report(0.0)
    assert (block.lost, block.fraction_lost) == (2, 0)


def test_jitter_as_rfc_3550_does():
    source = Source(5, 0)
    for n, arrival in enumerate((0.0, 0.02, 0.05, 0.06)):
        source.measure(160 * n, arrival)
    expected = 0.0
    for difference in (0, 80, 80):
        expected += (difference - expected) / 16
    assert abs(source.jitter - expected) < 1e-6
    source.measure(160 * 4 + 2**31, 0.08)  # a stream that jumps is no jitter
    assert abs(source.jitter - expected) < 1e-6


def test_a_jump_needs_a_second_packet():
    source = Source(5, 100)
    first = source.receive(100)
    assert source.receive(100 + MAX_DROPOUT) == STRAY
    assert source.receive(40_000) == STRAY
    assert source.receive(101) == first + 1
    assert source.receive(50_000) == STRAY
    assert source.receive(50_001) == RESTARTED


@given(st.lists(st.integers(0, 65535), max_size=200))
def test_any_sequence_numbers_keep_a_report_encodable(values):
    source = Source(5, 0)
    for value in values:
        source.receive(value)
        source.measure(value * 65537 & 0xFFFFFFFF, value / 100)
    assert len(source.report(700.0).encode()) == 24
