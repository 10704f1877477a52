# SPDX-License-Identifier: GPL-3.0-or-later
"""The SRTP side of one call of the secure phone: one socket for STUN, SRTP and SRTCP."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable

from pylibsrtp import Error, Policy, Session

from cig_lab.phone.binding import LegBinding
from cig_lab.phone.crypto import CallSecrets
from cig_lab.voice.reports import Reports
from cig_lab.voice.rtp_port import DatagramPort, Destination, open_port
from cig_lab.voice.stream import Format, Start, VoiceStream
from cig_lab.voice.ticker import Ticker
from mikey_sakke.srtp import SrtpKeys
from umsg.messages import Leg

_POLL_SECONDS = 0.1


class SecureMedia:
    """Made by `open`; gets its leg by `set_leg`, and its keys and formats by `start`.

    ``bound`` is a future that the first authentic STUN answer fulfils. Packets that SRTP refuses
    are counted in ``refused``.
    """

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._loop = asyncio.get_running_loop()
        self.bound: asyncio.Future[None] = self._loop.create_future()
        self.refused = 0
        self.stream: VoiceStream | None = None
        self.ticker: Ticker | None = None
        self.reports: Reports | None = None
        self._random = random_bytes
        self._socket: DatagramPort | None = None
        self._binding: LegBinding | None = None
        self._peer: Destination = ("", 0)
        self._tx: Session | None = None
        self._rx: Session | None = None
        self._poll: asyncio.TimerHandle | None = None

    @staticmethod
    async def open(
        host: str, random_bytes: Callable[[int], bytes] = secrets.token_bytes
    ) -> SecureMedia:
        """Bind a socket of its own for the leg; raises OSError."""
        media = SecureMedia(random_bytes)
        media._socket, _ = await open_port(host, 0, media._received)
        return media

    def set_leg(self, leg: Leg) -> None:
        """Bind to the leg that the CRS told us of."""
        self._peer = (leg.addr, leg.port)
        self._binding = LegBinding(leg, self._random, self._loop.time())
        self._bind()

    def _bind(self) -> None:
        if self._binding is None or self._socket is None:
            return
        request = self._binding.poll(self._loop.time())
        if request is not None:
            self._socket.send(request, self._peer)
        self._poll = self._loop.call_later(_POLL_SECONDS, self._bind)

    def start(self, keys: CallSecrets, formats: Format) -> None:
        """Begin to send and to hear; a second call changes nothing."""
        if self.stream is not None:
            return
        now = self._loop.time()
        self._tx = _session(keys.tx, Policy.SSRC_SPECIFIC, keys.ssrc)
        self._rx = _session(keys.rx, Policy.SSRC_ANY_INBOUND, 0)
        self.stream = VoiceStream(formats, Start.draw(self._random(10), keys.ssrc))
        cname = self._random(6).hex()
        self.reports = Reports(self.stream, cname=cname, utc_offset=time.time() - now, now=now)
        self.ticker = Ticker(self.stream, self._send)

    def _send(self, packet: bytes) -> None:
        if self._tx is None or self._socket is None or not self.bound.done():
            return
        self._socket.send(self._tx.protect(packet), self._peer)
        report = self.reports.poll(self._loop.time()) if self.reports else None
        if report is not None:
            self._socket.send(self._tx.protect_rtcp(report), self._peer)

    def _received(self, data: bytes, source: Destination) -> None:
        if source != self._peer or len(data) < 2:
            self.refused += 1
        elif data[0] < 4:
            # RFC 7983: STUN begins with two zero bits and a small number, RTP with 128 to 191.
            self._stun(data)
        else:
            self._srtp(data)

    def _stun(self, data: bytes) -> None:
        if self._binding is None:
            return
        self._binding.receive(data, self._loop.time())
        if self._binding.bound and not self.bound.done():
            self.bound.set_result(None)

    def _srtp(self, data: bytes) -> None:
        if self._rx is None or self.stream is None or self.reports is None:
            return
        now = self._loop.time()
        try:
            if 192 <= data[1] <= 223:
                self.reports.receive(self._rx.unprotect_rtcp(data), now)
            else:
                self.stream.receive(self._rx.unprotect(data), now)
        except (Error, ValueError):
            self.refused += 1

    def close(self) -> None:
        """Stop sending, close the socket; what was recorded stays."""
        if self.ticker is not None:
            self.ticker.stop()
        if self._poll is not None:
            self._poll.cancel()
        if self._socket is not None:
            self._socket.close()
        if not self.bound.done():
            self.bound.cancel()


def _session(keys: SrtpKeys, ssrc_type: int, ssrc: int) -> Session:
    return Session(
        Policy(
            key=keys.reveal(),
            ssrc_type=ssrc_type,
            ssrc_value=ssrc,
            srtp_profile=Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
        )
    )
