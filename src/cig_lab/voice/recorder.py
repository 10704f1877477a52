# SPDX-License-Identifier: GPL-3.0-or-later
"""Records what a listener hears: RTP payloads put on a timeline through a jitter buffer.

A packet has its place by its RTP timestamp, and must be here before that moment is played: what
comes later is lost for the listener, and stays silence in the recording. So a recording shows
losses, late packets and wrong timestamps alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cig_lab.signals import RATE, Samples

PLAYOUT_DELAY = 0.2
"""Seconds that the buffer holds back the first packet; room for the jitter of a busy computer."""

_JUMP_SECONDS = 5.0


@dataclass(slots=True)
class _Base:
    """Ties RTP timestamps of one stream to places on the timeline."""

    ssrc: int
    timestamp: int
    place: int


class Recorder:
    """Collects frames of linear PCM; sans-IO."""

    def __init__(self) -> None:
        self.late = 0
        self._frames: list[tuple[int, Samples]] = []
        self._start = 0.0
        self._base: _Base | None = None

    def add(self, ssrc: int, timestamp: int, samples: Samples, now: float) -> None:
        """Take the samples of one packet that came at ``now`` (seconds)."""
        if not self._frames and self._base is None:
            self._start = now
        played = round((now - self._start - PLAYOUT_DELAY) * RATE)
        place = self._place(ssrc, timestamp, played)
        if place is None or place + len(samples) <= played:
            self.late += 1
            return
        self._frames.append((place, samples))

    def _place(self, ssrc: int, timestamp: int, played: int) -> int | None:
        arrived = played + round(PLAYOUT_DELAY * RATE)
        base = self._base
        if base is not None and base.ssrc == ssrc:
            step = (timestamp - base.timestamp + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000
            place = base.place + step
            if abs(place - arrived) < _JUMP_SECONDS * RATE:
                return place if place >= 0 else None
        # A new stream, or a new beginning of the same one: it starts where we are now.
        self._base = _Base(ssrc, timestamp, arrived)
        return arrived

    def render(self) -> Samples:
        """Give the whole recording, from the first packet on."""
        length = max((place + len(samples) for place, samples in self._frames), default=0)
        timeline = np.zeros(length, dtype=np.int16)
        for place, samples in self._frames:
            timeline[place : place + len(samples)] = samples
        return timeline
