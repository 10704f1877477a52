# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's own RTP stream on one leg: one SSRC, and numbers that never jump.

Rules:
- While one source goes on, its numbers are shifted by a constant: loss and reordering before the
  gateway stay visible behind it, late packets keep their place.
- When another source takes over (a new SSRC, a sequence that started anew, a timestamp that does
  not agree with the time that has passed), its first packet gets the sequence number after the
  highest one sent, and a timestamp advanced by the time elapsed (RFC 3550 section 5.1).
- A packet that is not forwarded on purpose leaves no gap: the shift is corrected by one.
- No sequence number is ever sent twice: SRTP would encrypt two packets with one key stream.
- A telephone event's timestamp is that of its beginning in all its packets (RFC 4733 section 2.2).
- Audio that follows a pause or a change of source carries the marker (RFC 3551 section 4.1).
"""

from __future__ import annotations

from cig_relay.media.codec import CLOCK_RATE
from cig_relay.media.rtp import HEADER, VERSION_BITS

LATE_WINDOW = 64
"""How far behind the highest number sent a late packet may still be sent."""

TOLERANCE = CLOCK_RATE
"""A timestamp may differ from the time elapsed by 1 s before it counts as a jump."""

FRAME = 160
"""Timestamp units of a 20 ms packet: the least step to the first packet of another source."""

MARKER = 0x80
"""The M bit in the second octet of the header."""

_WINDOW_MASK = (1 << LATE_WINDOW) - 1
_TS_MASK = 0xFFFFFFFF
_TS_HALF = 1 << 31


class OutputStream:
    """Numbers and builds the packets of one leg's outgoing stream.

    ``sequence`` (16 bits) and ``timestamp`` (32 bits) are the random start. `packets` and `octets`
    count what was built, payload octets only. The anchor is the latest packet that moved the
    source's timestamp on: its timestamp as the source gave it, and when it came.
    """

    __slots__ = (
        "_anchor",
        "_anchor_at",
        "_event",
        "_floor",
        "_highest",
        "_marker",
        "_restart",
        "_sent",
        "_sequence_shift",
        "_timestamp_shift",
        "octets",
        "packets",
        "ssrc",
    )

    def __init__(self, ssrc: int, sequence: int, timestamp: int) -> None:
        self.ssrc = ssrc
        self.packets = 0
        self.octets = 0
        self._highest = sequence + (1 << 16)
        self._floor = self._highest
        self._sent = 0
        self._sequence_shift = 0
        self._timestamp_shift = timestamp
        self._anchor = 0
        self._anchor_at: float | None = None
        self._event: int | None = None
        self._restart = True
        self._marker = MARKER

    def restart(self) -> None:
        """Let the next packet begin another source."""
        self._restart = True

    def skip(self, extended: int) -> None:
        """Close the gap that the packet ``extended``, not forwarded on purpose, would leave."""
        self._marker = MARKER
        if not self._restart and extended + self._sequence_shift > self._highest:
            self._sequence_shift -= 1

    def audio(
        self, extended: int, timestamp: int, second: int, payload: bytes, now: float
    ) -> bytes | None:
        """Build the packet for the source's audio packet ``extended``.

        ``second`` is the header's second octet, marker and payload type. None when the number was
        sent already or lies too far back.
        """
        if self._restart or extended + self._sequence_shift > self._highest:
            self._follow(extended, timestamp, now)
            second |= self._marker
            self._marker = 0
        return self._build(extended, timestamp, second, payload)

    def event(
        self, extended: int, timestamp: int, second: int, payload: bytes, now: float
    ) -> bytes | None:
        """Build the packet for the source's telephone event packet, as `audio` does."""
        if self._restart or (
            # A long event repeats its timestamp for seconds: only a new one is held against time.
            timestamp != self._event and extended + self._sequence_shift > self._highest
        ):
            self._follow(extended, timestamp, now)
            self._event = timestamp
        return self._build(extended, timestamp, second, payload)

    def _follow(self, extended: int, timestamp: int, now: float) -> None:
        """Check an in-order packet's timestamp against the time elapsed, and move the anchor."""
        if self._restart or self._anchor_at is None:
            self._begin(extended, timestamp, now)
            return
        step = ((timestamp - self._anchor + _TS_HALF) & _TS_MASK) - _TS_HALF
        if abs(step - (now - self._anchor_at) * CLOCK_RATE) > TOLERANCE:
            self._begin(extended, timestamp, now)
        elif step > 0:
            self._anchor = timestamp
            self._anchor_at = now

    def _begin(self, extended: int, timestamp: int, now: float) -> None:
        elapsed = 0.0 if self._anchor_at is None else now - self._anchor_at
        step = max(FRAME, round(elapsed * CLOCK_RATE))
        self._timestamp_shift += self._anchor + step - timestamp
        self._sequence_shift = self._highest + 1 - extended
        self._floor = self._highest
        self._anchor = timestamp
        self._anchor_at = now
        self._event = None
        self._marker = MARKER
        self._restart = False

    def _build(self, extended: int, timestamp: int, second: int, payload: bytes) -> bytes | None:
        number = extended + self._sequence_shift
        ahead = number - self._highest
        if ahead > 0:
            self._sent = (self._sent << ahead | 1) & _WINDOW_MASK
            self._highest = number
        else:
            bit = 1 << -ahead
            if number <= self._floor or -ahead >= LATE_WINDOW or self._sent & bit:
                return None
            self._sent |= bit
        self.packets += 1
        self.octets += len(payload)
        timestamp = (timestamp + self._timestamp_shift) & _TS_MASK
        head = HEADER.pack(VERSION_BITS, second, number & 0xFFFF, timestamp, self.ssrc)
        return head + payload

    def timestamp_at(self, now: float) -> int:
        """Give the stream's timestamp for the instant ``now``, for a sender report."""
        elapsed = 0.0 if self._anchor_at is None else now - self._anchor_at
        return (self._anchor + self._timestamp_shift + round(elapsed * CLOCK_RATE)) & _TS_MASK
