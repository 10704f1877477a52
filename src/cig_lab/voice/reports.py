# SPDX-License-Identifier: GPL-3.0-or-later
"""RTCP of a phone: a sender report with its CNAME now and then, and what the peer reports of us."""

from __future__ import annotations

from cig_lab.voice.stream import VoiceStream
from cig_relay.media import rtcp

FIRST = 1.0
"""Seconds to the first report: short, so that a call of a few seconds has one."""
INTERVAL = 5.0

_NTP_EPOCH = 2_208_988_800


class Reports:
    """Reports of one stream, sans-IO; ``utc_offset`` is UTC less the clock of ``now``, seconds."""

    def __init__(self, stream: VoiceStream, *, cname: str, utc_offset: float, now: float) -> None:
        self.received = 0
        self.malformed = 0
        self.last_block: rtcp.ReportBlock | None = None
        self._stream = stream
        self._cname = cname
        self._utc_offset = utc_offset
        self._next = now + FIRST

    def poll(self, now: float) -> bytes | None:
        """Give a compound packet when one is due."""
        if now < self._next:
            return None
        self._next = now + INTERVAL
        stream = self._stream
        ssrc = stream.start.ssrc
        ntp = int((now + self._utc_offset + _NTP_EPOCH) * (1 << 32)) & (1 << 64) - 1
        blocks = (stream.source.report(now),) if stream.source else ()
        report = rtcp.SenderReport(
            ssrc, ntp, stream.timestamp, stream.counters.sent, stream.counters.octets_sent, blocks
        )
        return rtcp.encode_compound((report, rtcp.SourceDescription(ssrc, self._cname)))

    def receive(self, data: bytes, now: float) -> None:
        """Take a compound packet that came at ``now``; a malformed one is counted."""
        try:
            packets = rtcp.parse_compound(data)
        except rtcp.RtcpError:
            self.malformed += 1
            return
        self.received += 1
        for packet in packets:
            if isinstance(packet, rtcp.SenderReport | rtcp.ReceiverReport):
                mine = [block for block in packet.blocks if block.ssrc == self._stream.start.ssrc]
                self.last_block = mine[0] if mine else self.last_block
            source = self._stream.source
            if isinstance(packet, rtcp.SenderReport) and source and source.ssrc == packet.ssrc:
                source.sender_report(packet.ntp, now)
