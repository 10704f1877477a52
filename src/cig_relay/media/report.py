# SPDX-License-Identifier: GPL-3.0-or-later
"""RTCP of one leg: when to report, what to say, and what the other side's reports tell.

The wall clock of the reports runs with the monotonic clock from the call's start on, so that a
step of the host's clock makes no round trip negative.
"""

from __future__ import annotations

from collections.abc import Callable

from cig_relay.media import rtcp
from cig_relay.media.reception import Source
from cig_relay.media.stream import OutputStream

INTERVAL = 5.0
"""Mean seconds between reports (RFC 3550 section 6.2: the minimum for so small a session)."""

_NTP_EPOCH = 2_208_988_800
_LONGEST_ROUND_TRIP = 60.0


class Reporter:
    """The RTCP of one leg.

    ``cname`` names this side of the call; ``utc_offset`` is UTC less the monotonic clock, seconds;
    ``random_bytes`` spreads the intervals. `next_at` is None until `start`; `round_trip` is in
    seconds, None until a report block gave it.
    """

    def __init__(self, cname: str, utc_offset: float, random_bytes: Callable[[int], bytes]) -> None:
        self._cname = cname
        self._utc_offset = utc_offset
        self._random_bytes = random_bytes
        # Packets sent as of the last two reports: who has sent since then is a sender (6.4).
        self._sent_before = (0, 0)
        self.next_at: float | None = None
        self.round_trip: float | None = None
        self.sent = 0

    def start(self, now: float) -> None:
        """Begin to report; the first report comes after half an interval (section 6.2)."""
        if self.next_at is None:
            self.next_at = now + self._interval() / 2

    def _interval(self) -> float:
        # Section 6.3.1: spread over 0.5 to 1.5 times the interval.
        return INTERVAL * (0.5 + int.from_bytes(self._random_bytes(4), "big") / (1 << 32))

    def ntp(self, now: float) -> int:
        """Give the 64-bit NTP time of the instant ``now`` (section 4)."""
        return int((now + self._utc_offset + _NTP_EPOCH) * (1 << 32)) & 0xFFFF_FFFF_FFFF_FFFF

    def poll(self, output: OutputStream, source: Source | None, now: float) -> bytes | None:
        """Give the compound packet to send when one is due at ``now``."""
        if self.next_at is None or now < self.next_at:
            return None
        self.next_at = now + self._interval()
        return rtcp.encode_compound(self._report(output, source, now))

    def goodbye(self, output: OutputStream, source: Source | None, now: float) -> bytes | None:
        """Give the last compound packet, with BYE; None when nothing was ever started."""
        if self.next_at is None:
            return None
        self.next_at = None
        packets = self._report(output, source, now)
        return rtcp.encode_compound((*packets, rtcp.Goodbye((output.ssrc,))))

    def _report(
        self, output: OutputStream, source: Source | None, now: float
    ) -> tuple[rtcp.RtcpPacket, ...]:
        self.sent += 1
        blocks = (source.report(now),) if source is not None and source.heard_lately else ()
        report: rtcp.RtcpPacket
        if output.packets != self._sent_before[0]:
            report = rtcp.SenderReport(
                output.ssrc,
                self.ntp(now),
                output.timestamp_at(now),
                output.packets,
                output.octets,
                blocks,
            )
        else:
            report = rtcp.ReceiverReport(output.ssrc, blocks)
        self._sent_before = (self._sent_before[1], output.packets)
        return report, rtcp.SourceDescription(output.ssrc, self._cname)

    def receive(self, data: bytes, output: OutputStream, source: Source | None, now: float) -> None:
        """Take the other side's compound packet; raises RtcpError when it is none."""
        for packet in rtcp.parse_compound(data):
            if isinstance(packet, rtcp.SenderReport | rtcp.ReceiverReport):
                for block in packet.blocks:
                    if block.ssrc == output.ssrc and block.last_sr:
                        self._measure(block, now)
            if isinstance(packet, rtcp.SenderReport) and source and packet.ssrc == source.ssrc:
                source.sender_report(packet.ntp, now)

    def _measure(self, block: rtcp.ReportBlock, now: float) -> None:
        # Section 6.4.1: arrival less LSR less DLSR, in 1/65536 s modulo 2^32. The peer's clock may
        # make it slightly negative: that is no time at all.
        units = ((self.ntp(now) >> 16) - block.last_sr - block.delay) & 0xFFFFFFFF
        seconds = 0.0 if units > 0x7FFFFFFF else units / 65536
        if seconds <= _LONGEST_ROUND_TRIP:
            self.round_trip = seconds
