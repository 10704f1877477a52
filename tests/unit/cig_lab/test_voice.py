# SPDX-License-Identifier: GPL-3.0-or-later
"""Two voice streams wired together must hear and count exactly what was sent."""

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cig_lab import analysis, signals
from cig_lab.voice.digits import DIGITS
from cig_lab.voice.recorder import PLAYOUT_DELAY, Recorder
from cig_lab.voice.stream import FRAME_SECONDS, Format, Start, VoiceStream
from cig_lab.voice.ticker import Ticker


def a_pair(codec: str = "PCMA/8000") -> tuple[VoiceStream, VoiceStream]:
    # Sequence and timestamp begin just below their ends, so every test wraps both.
    start = Start(7, 0xFFFE, 0xFFFF_FF00)
    return (
        VoiceStream(Format(codec, 101, 96), start),
        VoiceStream(Format(codec, 96, 101), Start(9, 0, 0)),
    )


def run(sender: VoiceStream, receiver: VoiceStream, frames: int) -> None:
    for number in range(frames):
        packet = sender.frame()
        if packet is not None:
            receiver.receive(packet, 10 + number * FRAME_SECONDS)


@pytest.mark.parametrize("codec", ["PCMA/8000", "PCMU/8000"])
def test_signal_is_heard_whole(codec: str) -> None:
    sender, receiver = a_pair(codec)
    sent = signals.make("rise")
    sender.play(sent)
    run(sender, receiver, 160)
    assert sender.idle
    assert analysis.compare(sent, receiver.recorder.render()).ok


@settings(max_examples=40)
@given(st.text(DIGITS, max_size=12))
def test_digits_are_seen_once_each_in_order(digits: str) -> None:
    sender, receiver = a_pair()
    sender.send_digits(digits)
    run(sender, receiver, 12 * len(digits) + 1)
    assert receiver.detector.digits == digits
    for event in receiver.detector.events:
        assert (event.packets, event.duration, event.ended) == (8, 800, True)


@settings(max_examples=40)
@given(st.sets(st.integers(0, 59)))
def test_digits_survive_losses_of_all_but_one_end_packet(lost: set[int]) -> None:
    sender, receiver = a_pair()
    sender.send_digits("159*#")
    kept = [frame for frame in range(60) if frame not in lost or frame % 12 == 7]
    for number in range(60):
        packet = sender.frame()
        assert packet is not None
        if number in kept:
            receiver.receive(packet, number * FRAME_SECONDS)
            receiver.receive(packet, number * FRAME_SECONDS)
    assert receiver.detector.digits == "159*#"


def test_audio_goes_on_after_digits_without_a_slip() -> None:
    sender, receiver = a_pair()
    sender.send_digits("1")
    sent = signals.make("fall", 1)
    sender.play(sent)
    run(sender, receiver, 70)
    assert analysis.compare(sent, receiver.recorder.render()).ok


def test_unfinished_event_is_no_digit() -> None:
    sender, receiver = a_pair()
    sender.send_digits("5")
    run(sender, receiver, 3)
    assert receiver.detector.digits == ""
    assert receiver.detector.events[0].digit == "5"


def test_muted_stream_sends_nothing_and_keeps_its_clock() -> None:
    sender, receiver = a_pair()
    run(sender, receiver, 10)
    sender.muted = True
    run(sender, receiver, 10)
    assert sender.counters.sent == receiver.counters.received == 10
    sender.muted = False
    run(sender, receiver, 1)
    assert len(receiver.recorder.render()) == 21 * 160


@given(st.binary(max_size=60))
def test_garbage_is_counted(data: bytes) -> None:
    _, receiver = a_pair()
    receiver.receive(data, 0.0)
    counted = receiver.counters.received + receiver.counters.ignored
    assert counted == 1


def test_peer_without_telephone_events_gets_none() -> None:
    stream = VoiceStream(Format("PCMA/8000", None, None), Start(1, 1, 1))
    with pytest.raises(ValueError, match="did not agree"):
        stream.send_digits("1")
    with pytest.raises(ValueError, match="substring"):
        a_pair()[0].send_digits("x")


def test_late_packet_is_silence() -> None:
    recorder = Recorder()
    ones = np.ones(160, np.int16)
    recorder.add(1, 0, ones, 0.0)
    recorder.add(1, 160, ones, 0.02 + PLAYOUT_DELAY + 0.03)
    recorder.add(1, 320, ones, 0.04 + PLAYOUT_DELAY)
    assert recorder.late == 1
    assert recorder.render().tolist() == [1] * 160 + [0] * 160 + [1] * 160


def test_new_stream_begins_where_it_arrives() -> None:
    recorder = Recorder()
    ones = np.ones(160, np.int16)
    recorder.add(1, 0, ones, 5.0)
    recorder.add(2, 999_999, ones, 5.1)
    assert len(recorder.render()) == 800 + 160


def test_start_needs_its_randomness() -> None:
    assert Start.draw(bytes(range(10)), 5) == Start(5, 0x0405, 0x06070809)
    with pytest.raises(ValueError, match="10 random octets"):
        Start.draw(b"123")


async def test_ticker_plays_in_real_time_and_stops() -> None:
    stream, _ = a_pair()
    sent: list[bytes] = []
    ticker = Ticker(stream, sent.append)
    begin = asyncio.get_running_loop().time()
    await ticker.play(np.zeros(800, np.int16))
    await ticker.send_digits("1")
    elapsed = asyncio.get_running_loop().time() - begin
    assert elapsed >= 0.02 * (5 + 12 - 2)
    waiting = asyncio.ensure_future(ticker.play(np.zeros(80000, np.int16)))
    await asyncio.sleep(0)
    ticker.stop()
    ticker.stop()
    await asyncio.wait_for(waiting, 1)
    await ticker.play(np.zeros(80, np.int16))
