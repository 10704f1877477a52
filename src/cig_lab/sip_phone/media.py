# SPDX-License-Identifier: GPL-3.0-or-later
"""The plain RTP side of one call of the SIP phone: sockets, a stream, and its clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from cig_lab.sip_phone.sdp import AudioDescription
from cig_lab.voice.reports import Reports
from cig_lab.voice.rtp_port import DatagramPort, Destination, open_pair
from cig_lab.voice.stream import Format, Start, VoiceStream
from cig_lab.voice.ticker import Ticker


class RtpMedia:
    """Made by `open`; `start` begins to send once both descriptions are known."""

    def __init__(self, random_bytes: Callable[[int], bytes], host: str) -> None:
        self.host = host
        self.port = 0
        self.stream: VoiceStream | None = None
        self.ticker: Ticker | None = None
        self.reports: Reports | None = None
        self.early_packets = 0
        self._random = random_bytes
        self._rtp: DatagramPort | None = None
        self._rtcp: DatagramPort | None = None
        self._peer: Destination = ("", 0)
        self._peer_rtcp: Destination = ("", 0)

    @staticmethod
    async def open(random_bytes: Callable[[int], bytes], host: str) -> RtpMedia:
        """Bind the ports; raises OSError."""
        media = RtpMedia(random_bytes, host)
        media._rtp, media._rtcp, media.port = await open_pair(host, media._got_rtp, media._got_rtcp)
        return media

    def start(self, ours: AudioDescription, theirs: AudioDescription, codec: str) -> None:
        """Begin to send, or take the change that a new offer and answer made.

        A side that must not send (hold) is muted; its clock goes on (RFC 3264 section 8.4).
        """
        self._peer = (theirs.addr, theirs.port)
        self._peer_rtcp = (theirs.addr, theirs.rtcp_port or theirs.port + 1)
        now = asyncio.get_running_loop().time()
        formats = Format(codec, theirs.dtmf, ours.dtmf)
        if self.stream is None:
            self.stream = VoiceStream(formats, Start.draw(self._random(10)))
            self.reports = Reports(
                self.stream,
                cname=self._random(6).hex(),
                utc_offset=time.time() - now,
                now=now,
            )
            self.ticker = Ticker(self.stream, self._send)
        self.stream.format = formats
        may_send = ours.direction in ("sendrecv", "sendonly") and theirs.port != 0
        self.stream.muted = not may_send or theirs.direction in ("sendonly", "inactive")

    def _send(self, packet: bytes) -> None:
        if self._rtp is not None:
            self._rtp.send(packet, self._peer)
        now = asyncio.get_running_loop().time()
        report = self.reports.poll(now) if self.reports is not None else None
        if report is not None and self._rtcp is not None:
            self._rtcp.send(report, self._peer_rtcp)

    def _got_rtp(self, data: bytes, source: Destination) -> None:
        if self.stream is None:
            self.early_packets += 1
        elif source == self._peer:
            self.stream.receive(data, asyncio.get_running_loop().time())
        else:
            self.stream.counters.ignored += 1

    def _got_rtcp(self, data: bytes, source: Destination) -> None:
        if self.reports is not None:
            self.reports.receive(data, asyncio.get_running_loop().time())

    def close(self) -> None:
        """Stop sending and close the sockets; what was recorded stays."""
        if self.ticker is not None:
            self.ticker.stop()
        for port in (self._rtp, self._rtcp):
            if port is not None:
                port.close()
