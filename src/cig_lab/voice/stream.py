# SPDX-License-Identifier: GPL-3.0-or-later
"""One call's voice as a sans-IO core: RTP packets out every 20 ms, RTP packets in.

A phone always sends: what it was given to play, or else silence, so that a path stays open and a
gap in the middle is a fault. Digits take the place of audio while they last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cig_lab.signals import Samples
from cig_lab.voice.digits import DigitDetector, DigitSender
from cig_lab.voice.recorder import Recorder
from cig_relay.media import codec as codecs
from cig_relay.media.reception import RESTARTED, Source
from cig_relay.media.rtp import RtpError, RtpPacket

FRAME = 160
"""Samples of one packet: 20 ms at 8000 Hz."""
FRAME_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Format:
    """What the two sides agreed on.

    ``codec`` is ``PCMA/8000`` or ``PCMU/8000``; the others are RFC 4733 payload types: the one
    that the peer wants to get, and the one that we said we want.
    """

    codec: str
    send_dtmf: int | None
    receive_dtmf: int | None


@dataclass(slots=True)
class Counters:
    """What a stream counted; ``ignored`` are packets that no agreed format explains."""

    sent: int = 0
    octets_sent: int = 0
    received: int = 0
    ignored: int = 0


@dataclass(slots=True)
class Start:
    """The random beginnings that RFC 3550 section 5.1 asks for."""

    ssrc: int
    sequence: int
    timestamp: int

    @staticmethod
    def draw(random: bytes, ssrc: int | None = None) -> Start:
        """Make one from 10 random octets; ``ssrc`` is used where it was settled before."""
        if len(random) < 10:
            raise ValueError("a stream's start takes 10 random octets")
        return Start(
            int.from_bytes(random[:4], "big") if ssrc is None else ssrc,
            int.from_bytes(random[4:6], "big"),
            int.from_bytes(random[6:10], "big"),
        )


@dataclass(slots=True)
class VoiceStream:
    """Both directions of one call's voice."""

    format: Format
    start: Start
    muted: bool = False
    recorder: Recorder = field(default_factory=Recorder)
    detector: DigitDetector = field(default_factory=DigitDetector)
    counters: Counters = field(default_factory=Counters)
    source: Source | None = None
    on_audio: Callable[[Samples], None] | None = None
    """Gets the samples of each audio packet as it comes: for an echo."""
    _digits: DigitSender = field(default_factory=DigitSender)
    _queue: deque[bytes] = field(default_factory=deque)
    _frames: int = 0
    _talkspurt: bool = True

    def play(self, samples: Samples) -> None:
        """Queue samples; the last packet is filled up with silence."""
        padded = np.zeros(-(-len(samples) // FRAME) * FRAME, dtype=np.int16)
        padded[: len(samples)] = samples
        for at in range(0, len(padded), FRAME):
            self._queue.append(padded[at : at + FRAME].tobytes())

    def send_digits(self, digits: str) -> None:
        """Queue DTMF digits; raises ValueError when the peer wants none or one is no digit."""
        if self.format.send_dtmf is None:
            raise ValueError("the peer did not agree to telephone events")
        self._digits.send(digits)

    @property
    def idle(self) -> bool:
        """Whether everything that was queued has been sent."""
        return not self._queue and self._digits.idle

    @property
    def timestamp(self) -> int:
        """The RTP timestamp of the next frame."""
        return (self.start.timestamp + self._frames * FRAME) & 0xFFFF_FFFF

    def frame(self) -> bytes | None:
        """Give the RTP packet for the 20 ms that begin now; None while muted."""
        number = self._frames
        self._frames += 1
        if self.muted:
            self._talkspurt = True
            return None
        event = self._digits.frame()
        if event is not None and self.format.send_dtmf is not None:
            packet = self._packet(
                self.format.send_dtmf, number - event.offset, event.payload, event.first
            )
        else:
            linear = self._queue.popleft() if self._queue else bytes(2 * FRAME)
            codec = codecs.by_name(self.format.codec)
            payload = codec.from_linear(linear)
            packet = self._packet(codec.payload_type, number, payload, self._talkspurt)
            self._talkspurt = False
        self.counters.sent += 1
        self.counters.octets_sent += len(packet.payload)
        return packet.encode()

    def _packet(self, kind: int, frame: int, payload: bytes, marker: bool) -> RtpPacket:
        return RtpPacket(
            kind,
            (self.start.sequence + self.counters.sent) & 0xFFFF,
            (self.start.timestamp + frame * FRAME) & 0xFFFF_FFFF,
            self.start.ssrc,
            payload,
            marker,
        )

    def receive(self, data: bytes, now: float) -> None:
        """Take one RTP packet (already decrypted) that came at ``now``; a bad one is counted."""
        try:
            packet = RtpPacket.parse(data)
        except RtpError:
            self.counters.ignored += 1
            return
        codec = codecs.by_name(self.format.codec)
        if packet.payload_type in (codec.payload_type, self.format.receive_dtmf):
            self._account(packet)
        if packet.payload_type == codec.payload_type:
            if self.source is not None:
                self.source.measure(packet.timestamp, now)
            samples = np.frombuffer(codec.to_linear(packet.payload), dtype=np.int16)
            self.recorder.add(packet.ssrc, packet.timestamp, samples, now)
            if self.on_audio is not None:
                self.on_audio(samples)
        elif packet.payload_type == self.format.receive_dtmf:
            self.detector.receive(packet.ssrc, packet.timestamp, packet.payload)
        else:
            self.counters.ignored += 1

    def _account(self, packet: RtpPacket) -> None:
        self.counters.received += 1
        if self.source is None or self.source.ssrc != packet.ssrc:
            self.source = Source(packet.ssrc, packet.sequence)
        if self.source.receive(packet.sequence) == RESTARTED:
            self.source = Source(packet.ssrc, packet.sequence)
            self.source.receive(packet.sequence)
