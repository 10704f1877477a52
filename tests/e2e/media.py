# SPDX-License-Identifier: GPL-3.0-or-later
"""The sound of the tests: an RTP peer for the PBX's side, and what must be heard of a signal."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cig_lab.analysis import Heard, compare
from cig_lab.environment import HOST
from cig_lab.phone.call import SecureCall
from cig_lab.signals import Samples, make
from cig_lab.voice.rtp_port import DatagramPort, Destination, open_pair
from cig_lab.voice.stream import Format, Start, VoiceStream
from cig_lab.voice.ticker import Ticker
from e2e.support import soon, until

SECONDS = 0.8
"""Length of a signal."""
MAX_GAP_MS = 41.0
"""Two packets of 20 ms, and 1 ms for the window of the analysis."""
TAIL_PACKETS = 10
"""Packets after the end of a signal: then all of it has had the time to come."""


@dataclass
class RtpPeer:
    """A PBX's voice without its signalling: what is sent goes to whoever sent the first packet.

    ``port`` is for SIPp's SDP. ``arrivals`` are the times of all packets that came.
    """

    stream: VoiceStream
    port: int = 0
    arrivals: list[float] = field(default_factory=list)
    source: Destination | None = None
    _rtp: DatagramPort | None = None
    _rtcp: DatagramPort | None = None
    _ticker: Ticker | None = None

    @property
    def packets(self) -> int:
        """Number of RTP packets that came."""
        return len(self.arrivals)

    def silences(self, seconds: float = 0.25) -> int:
        """Count the pauses in what came that lasted longer than ``seconds``."""
        pairs = zip(self.arrivals, self.arrivals[1:], strict=False)
        return sum(later - earlier > seconds for earlier, later in pairs)

    async def play(self, samples: Samples) -> None:
        """Play to the end."""
        assert self._ticker is not None
        await self._ticker.play(samples)

    def recorded(self) -> Samples:
        """Give all that was heard."""
        return self.stream.recorder.render()

    def _received(self, data: bytes, source: Destination) -> None:
        now = asyncio.get_running_loop().time()
        self.source = self.source or source
        self.arrivals.append(now)
        self.stream.receive(data, now)

    def _send(self, packet: bytes) -> None:
        if self.source is not None and self._rtp is not None:
            self._rtp.send(packet, self.source)


@asynccontextmanager
async def rtp_peer(codec: str = "PCMA/8000") -> AsyncIterator[RtpPeer]:
    """Open a peer that speaks and takes ``codec``."""
    peer = RtpPeer(VoiceStream(Format(codec, 101, 101), Start.draw(os.urandom(10))))
    peer._rtp, peer._rtcp, peer.port = await open_pair(
        HOST, peer._received, lambda data, source: None
    )
    peer._ticker = Ticker(peer.stream, peer._send)
    try:
        yield peer
    finally:
        peer._ticker.stop()
        peer._rtp.close()
        peer._rtcp.close()


def check(sent: Samples, heard: Samples) -> Heard:
    """Check that ``sent`` was heard: its level, its signal-to-noise ratio and no long gap."""
    verdict = compare(sent, heard)
    assert verdict.ok, verdict
    assert verdict.longest_gap_ms <= MAX_GAP_MS, verdict
    return verdict


def packets_heard(call: SecureCall) -> int:
    """Give the number of voice packets that the secure phone has got in this call."""
    return call.media.stream.counters.received if call.media.stream else 0


async def path_open(call: SecureCall) -> None:
    """Wait until voice comes to the secure phone."""
    await until("voice at the secure phone", lambda: packets_heard(call))


async def check_echo(call: SecureCall) -> None:
    """Play at the secure phone and check what an echo at the PBX sends back."""
    await path_open(call)
    signal = make("rise", SECONDS)
    await soon(call.play(signal))
    played = packets_heard(call)
    await until("the echo's end", lambda: packets_heard(call) >= played + TAIL_PACKETS)
    check(signal, call.recorded())


async def check_both_ways(
    call: SecureCall, peer: RtpPeer, signals: tuple[str, str] = ("rise", "fall")
) -> None:
    """Play at both ends at once and check what each of them hears.

    A second check in the same call needs other ``signals``: from the secure phone, from the PBX.
    """
    await path_open(call)
    await until("voice at the PBX", lambda: peer.packets)
    to_sip, to_secure = (make(name, SECONDS) for name in signals)
    await soon(asyncio.gather(call.play(to_sip), peer.play(to_secure)))
    at_secure, at_sip = packets_heard(call), peer.packets
    await until("the last of the voice", lambda: packets_heard(call) >= at_secure + TAIL_PACKETS)
    await until("the last of the voice", lambda: peer.packets >= at_sip + TAIL_PACKETS)
    check(to_sip, peer.recorded())
    check(to_secure, call.recorded())


async def check_heard_by_secure(call: SecureCall, peer: RtpPeer, name: str = "low-rise") -> None:
    """Play at the PBX alone and check what the secure phone hears."""
    await path_open(call)
    signal = make(name, SECONDS)
    await soon(peer.play(signal))
    played = packets_heard(call)
    await until("the last of the voice", lambda: packets_heard(call) >= played + TAIL_PACKETS)
    check(signal, call.recorded())


async def check_heard_by_sip(call: SecureCall, peer: RtpPeer, name: str = "low-fall") -> None:
    """Play at the secure phone alone and check what the PBX hears."""
    await until("voice at the PBX", lambda: peer.packets)
    signal = make(name, SECONDS)
    await soon(call.play(signal))
    played = peer.packets
    await until("the last of the voice", lambda: peer.packets >= played + TAIL_PACKETS)
    check(signal, peer.recorded())
