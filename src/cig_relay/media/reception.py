# SPDX-License-Identifier: GPL-3.0-or-later
"""One source that a leg hears: its sequence, loss and jitter (RFC 3550 A.1, A.3, A.8).

A source is one SSRC from its first packet until another one takes its place. A jump of its
sequence number that no loss explains is believed when the next packet follows it (A.1); it then
counts as a new source under the same SSRC.
"""

from __future__ import annotations

from cig_relay.media.codec import CLOCK_RATE
from cig_relay.media.rtcp import ReportBlock

MAX_DROPOUT = 3000
"""Largest gap forward that is taken for loss (RFC 3550 A.1)."""

MAX_MISORDER = 100
"""Furthest that a late packet may lie behind (RFC 3550 A.1)."""

STRAY = -1
"""Given by `Source.receive` for a packet far off; the next one decides."""

RESTARTED = -2
"""Given by `Source.receive` when a second packet confirms a jump."""

_NO_SEQUENCE = -1
_SEQUENCES = 1 << 16


class Source:
    """Reception state of one SSRC; ``sequence`` is that of its first packet."""

    __slots__ = (
        "_bad",
        "_expected_prior",
        "_first",
        "_jitter",
        "_received_prior",
        "_transit",
        "highest",
        "last_sr",
        "last_sr_at",
        "received",
        "ssrc",
    )

    def __init__(self, ssrc: int, sequence: int) -> None:
        self.ssrc = ssrc
        # One cycle in hand, so that a late packet before the first one has a number too.
        self._first = sequence + _SEQUENCES
        self.highest = self._first - 1
        self.received = 0
        self.last_sr = 0
        self.last_sr_at = 0.0
        self._bad = _NO_SEQUENCE
        self._expected_prior = 0
        self._received_prior = 0
        self._transit: float | None = None
        self._jitter = 0.0

    def receive(self, sequence: int) -> int:
        """Take a packet's 16-bit sequence number and give the extended one.

        Gives `STRAY` or `RESTARTED`, both below zero, for a jump; the packet is then not counted.
        """
        delta = (sequence - self.highest) & 0xFFFF
        if delta < MAX_DROPOUT:
            extended = self.highest + delta
            self.highest = extended
        elif delta >= _SEQUENCES - MAX_MISORDER:
            extended = self.highest + delta - _SEQUENCES
        elif sequence == self._bad:
            return RESTARTED
        else:
            self._bad = (sequence + 1) & 0xFFFF
            return STRAY
        self.received += 1
        return extended

    def measure(self, timestamp: int, now: float) -> None:
        """Update the interarrival jitter (A.8) by an audio packet that came at ``now`` seconds.

        Telephone events repeat one timestamp while time goes on and would spoil it.
        """
        transit = now * CLOCK_RATE - timestamp
        if self._transit is not None:
            difference = abs(transit - self._transit)
            # The timestamp's wrap, or the stream's own jump, is no delay of the network.
            if difference < CLOCK_RATE:
                self._jitter += (difference - self._jitter) / 16
        self._transit = transit

    @property
    def lost(self) -> int:
        """Packets expected less packets received (A.3); negative with duplicates."""
        return self._expected - self.received

    @property
    def jitter(self) -> float:
        """Interarrival jitter in timestamp units (A.8)."""
        return self._jitter

    @property
    def _expected(self) -> int:
        return self.highest - self._first + 1

    def sender_report(self, ntp: int, now: float) -> None:
        """Remember the source's sender report for LSR and DLSR."""
        self.last_sr = (ntp >> 16) & 0xFFFFFFFF
        self.last_sr_at = now

    @property
    def heard_lately(self) -> bool:
        """Whether a packet came since the last `report`."""
        return self.received != self._received_prior

    def report(self, now: float) -> ReportBlock:
        """Give the report block as of ``now`` and begin the next interval (A.3)."""
        expected = self._expected
        expected_interval = expected - self._expected_prior
        lost_interval = expected_interval - (self.received - self._received_prior)
        self._expected_prior, self._received_prior = expected, self.received
        fraction = 0
        if expected_interval > 0 and lost_interval > 0:
            fraction = min((lost_interval << 8) // expected_interval, 255)
        delay = int((now - self.last_sr_at) * 65536) if self.last_sr else 0
        return ReportBlock(
            self.ssrc,
            fraction,
            self.lost,
            (self.highest - _SEQUENCES) & 0xFFFFFFFF,
            int(self._jitter) & 0xFFFFFFFF,
            self.last_sr,
            min(max(delay, 0), 0xFFFFFFFF),
        )
