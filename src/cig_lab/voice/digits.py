# SPDX-License-Identifier: GPL-3.0-or-later
"""DTMF digits as RFC 4733 events: the packets of a sender, and what a receiver saw."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from cig_relay.media.telephone_event import TelephoneEvent, TelephoneEventError

DIGITS = "0123456789*#ABCD"
"""The digit of each event code (RFC 4733 section 3.2, table 7)."""

_FRAME = 160
_EVENT_FRAMES = 5
_END_PACKETS = 3
_PAUSE_FRAMES = 4
_VOLUME = 10


@dataclass(frozen=True, slots=True)
class EventPacket:
    """What to put into the RTP packet of this frame; ``offset`` frames after the event's start."""

    payload: bytes
    first: bool
    offset: int


class DigitSender:
    """Gives one event packet a frame while a digit lasts (RFC 4733 section 2.5.1), sans-IO."""

    def __init__(self) -> None:
        self._schedule: deque[EventPacket | None] = deque()

    def send(self, digits: str) -> None:
        """Queue digits: each lasts 100 ms, its end is told three times, then a pause of 80 ms.

        Raises ValueError for a character that is no digit.
        """
        for digit in digits:
            code = DIGITS.index(digit)
            for frame in range(_EVENT_FRAMES + _END_PACKETS):
                end = frame >= _EVENT_FRAMES
                duration = min(frame + 1, _EVENT_FRAMES) * _FRAME
                payload = TelephoneEvent(code, end, _VOLUME, duration).encode()
                self._schedule.append(EventPacket(payload, frame == 0, frame))
            self._schedule.extend([None] * _PAUSE_FRAMES)

    @property
    def idle(self) -> bool:
        """Whether every queued digit and its pause are over."""
        return not self._schedule

    def frame(self) -> EventPacket | None:
        """Give the packet for the frame that begins now, None where audio may flow."""
        return self._schedule.popleft() if self._schedule else None


@dataclass(slots=True)
class SeenEvent:
    """One event as it arrived: ``duration`` in timestamp units, ``packets`` counts all of it."""

    digit: str
    duration: int
    packets: int
    ended: bool


class DigitDetector:
    """Collects events; packets of one RTP timestamp are one event (RFC 4733 section 2.5.2.2)."""

    def __init__(self) -> None:
        self.malformed = 0
        self.packets = 0
        self._seen: dict[tuple[int, int], SeenEvent] = {}
        self._ended: list[SeenEvent] = []

    def receive(self, ssrc: int, timestamp: int, payload: bytes) -> None:
        """Take the payload of one telephone-event packet; a malformed one is counted."""
        try:
            event = TelephoneEvent.parse(payload)
        except TelephoneEventError:
            self.malformed += 1
            return
        if event.event >= len(DIGITS):
            self.malformed += 1
            return
        self.packets += 1
        seen = self._seen.setdefault((ssrc, timestamp), SeenEvent(DIGITS[event.event], 0, 0, False))
        seen.packets += 1
        seen.duration = max(seen.duration, event.duration)
        if event.end and not seen.ended:
            seen.ended = True
            self._ended.append(seen)

    @property
    def digits(self) -> str:
        """The digits whose end was seen, in order, each once."""
        return "".join(event.digit for event in self._ended)

    @property
    def events(self) -> tuple[SeenEvent, ...]:
        """All events in the order of their first packets, unfinished ones too."""
        return tuple(self._seen.values())
