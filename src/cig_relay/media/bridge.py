# SPDX-License-Identifier: GPL-3.0-or-later
"""One call: a tel leg (SRTP, the CRS) and a sip leg (RTP, the PBX) joined, without any I/O.

Datagrams with their source address and ``now`` go in. The packet to forward comes back at once;
everything else to be sent (STUN, RTCP) gathers for `take_output`, what the owner has to hear of
for `take_events`, and `next_deadline` says when `handle_timer` wants to be called. All ``now`` are
seconds of one monotonic clock.

Who is believed:
- on the tel leg, packets from the leg's address alone; STUN that the leg's password signed, SRTP
  and SRTCP that the call's keys authenticate. Nothing else changes any state;
- on the sip leg, packets from the address and port of the SDP. A packet of a negotiated payload
  type from the same IP address but another port is believed, and its port used from then on, in
  the first seconds after a new address was negotiated and only as the first good packet.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import pylibsrtp

from cig_common.control.media import Direction
from cig_relay.media.codec import Codec
from cig_relay.media.engine import GATEWAY_DTMF, CallStatistics
from cig_relay.media.leg import Leg, Sockaddr, is_unspecified
from cig_relay.media.path import Path
from cig_relay.media.report import Reporter
from cig_relay.media.rtcp import RtcpError, is_rtcp
from cig_relay.media.rtp import HEADER_LENGTH, VERSION_BITS
from cig_relay.media.srtp import (
    MAX_PACKET,
    MIN_SRTCP,
    MIN_SRTP,
    Refusal,
    SrtpError,
    SrtpReceiver,
    SrtpSender,
)
from cig_relay.media.stream import OutputStream
from cig_relay.media.stun import Binding, is_stun

LEARNING = 10.0
"""Seconds in which a sip leg behind a NAT may show its real port."""

DEAD_AFTER = 60.0
"""Seconds without authentic SRTP or SRTCP after which a call in TALK is dead (UMSG/1)."""

MAX_SSRCS = 16
"""SSRCs heard on one tel leg; each keeps a context in libsrtp that must not be given up."""

_SENDS = frozenset({Direction.SENDRECV, Direction.SENDONLY})
_RECEIVES = frozenset({Direction.SENDRECV, Direction.RECVONLY})


class Channel(Enum):
    """The socket that a datagram leaves by."""

    TEL = "tel"
    SIP_RTCP = "sip-rtcp"


@dataclass(frozen=True, slots=True)
class Datagram:
    """Octets to send by ``channel`` to ``remote``."""

    channel: Channel
    remote: Sockaddr
    data: bytes


@dataclass(frozen=True, slots=True)
class TelBound:
    """The CRS answered the first STUN binding of the present tel leg."""


@dataclass(frozen=True, slots=True)
class MediaLost:
    """Nothing authentic came on ``side`` for ``seconds``."""

    side: str
    seconds: float


@dataclass(frozen=True, slots=True)
class SipSession:
    """What was negotiated with the PBX, addresses overridden already.

    ``rtp`` and ``rtcp`` are where it receives; ``rtcp`` None when it wants no RTCP.
    """

    rtp: Sockaddr
    rtcp: Sockaddr | None
    codec: Codec
    dtmf: int | None
    receive_dtmf: int | None
    direction: Direction


def _leg(
    side: str, ssrc: int | None, random_bytes: Callable[[int], bytes], utc_offset: float
) -> Leg:
    # RFC 3550 section 5.1: random SSRC and starts; RFC 7022 section 4.2: a random CNAME a call.
    if ssrc is None:
        ssrc = int.from_bytes(random_bytes(4), "big")
    sequence = int.from_bytes(random_bytes(2), "big")
    timestamp = int.from_bytes(random_bytes(4), "big")
    cname = b64encode(random_bytes(12)).decode()
    reporter = Reporter(cname, utc_offset, random_bytes)
    return Leg(side, OutputStream(ssrc, sequence, timestamp), reporter)


class Bridge:
    """The two legs of a call.

    ``sender`` protects our stream ``tel_ssrc`` towards the CRS, ``receiver`` opens what comes from
    there; ``utc_offset`` is UTC less the monotonic clock; ``random_bytes`` gives random octets.
    """

    def __init__(
        self,
        sender: SrtpSender,
        receiver: SrtpReceiver,
        *,
        tel_ssrc: int,
        random_bytes: Callable[[int], bytes],
        utc_offset: float,
        now: float,
        dead_after: float = DEAD_AFTER,
    ) -> None:
        self._sender = sender
        self._receiver = receiver
        self._random_bytes = random_bytes
        self._opened = now
        self._dead_after = dead_after
        self.tel = _leg("tel", tel_ssrc, random_bytes, utc_offset)
        self.sip = _leg("sip", None, random_bytes, utc_offset)
        self._to_sip = Path(self.tel, self.sip)
        self._to_tel = Path(self.sip, self.tel)
        self._binding: Binding | None = None
        self._credentials: tuple[Sockaddr, str, str] | None = None
        self._ssrcs: set[bytes] = set()
        self._session: SipSession | None = None
        self._sip_rtcp: Sockaddr | None = None
        self._learn_until = now
        self._last_authentic = now
        self._watching = False
        self._output: list[Datagram] = []
        self._events: list[TelBound | MediaLost] = []

    # --- what the call's signalling says ---------------------------------------------------------

    def set_tel_leg(self, remote: Sockaddr, ufrag: str, pwd: str, now: float) -> None:
        """Name the CRS's side of the tel leg; STUN starts, unless it is the same leg."""
        credentials = (remote, ufrag, pwd)
        if credentials != self._credentials:
            self._credentials = credentials
            self.tel.remote = remote
            self._binding = Binding(ufrag, pwd, self._random_bytes, now)
            self._update(now)

    def set_tel_media(self, codec: Codec, dtmf: int | None, now: float) -> None:
        """Set what the tel side sends and wants; starts the watch for dead media anew."""
        self.tel.codec = codec
        self._to_sip.receive(codec, GATEWAY_DTMF)
        self._to_tel.send(codec, dtmf)
        self._last_authentic = now
        self._watching = True
        self._update(now)

    def set_sip_media(self, session: SipSession, now: float) -> None:
        """Set what the PBX sends and wants; a new address opens the learning window anew."""
        old, self._session = self._session, session
        if old is None or old.rtp != session.rtp:
            self.sip.remote = None if is_unspecified(session.rtp) else session.rtp
            self.sip.heard = False
            self._learn_until = now + LEARNING
        self._sip_rtcp = None if self.sip.remote is None else session.rtcp
        self.sip.codec = session.codec
        self._to_tel.receive(session.codec, session.receive_dtmf)
        self._to_sip.send(session.codec, session.dtmf)
        self._update(now)

    def _update(self, now: float) -> None:
        """Open the paths that the session's present state allows, and let RTCP begin."""
        session = self._session
        ready = session is not None and self.tel.codec is not None
        direction = session.direction if session else Direction.INACTIVE
        bound = self._binding is not None and self._binding.bound
        self._to_sip.open = ready and direction in _SENDS and self.sip.remote is not None
        self._to_tel.open = ready and direction in _RECEIVES and bound
        if session is not None:
            self.sip.reporter.start(now)
        if bound and self.tel.codec is not None:
            self.tel.reporter.start(now)

    # --- packets ---------------------------------------------------------------------------------

    def tel_packet(self, data: bytes, source: Sockaddr, now: float) -> bytes | None:
        """Take a datagram of the tel socket; give the RTP packet for ``sip.remote``, if any."""
        tel = self.tel
        size = len(data)
        if source != tel.remote or size < MIN_SRTP or size > MAX_PACKET:
            tel.rejected += 1
            return None
        if data[0] & 0xC0 != VERSION_BITS:
            self._tel_stun(data, now)
            return None
        if is_rtcp(data[1]):
            self._tel_report(data, now)
            return None
        ssrc = data[8:12]
        if ssrc not in self._ssrcs and len(self._ssrcs) >= MAX_SSRCS:
            tel.rejected += 1
            return None
        try:
            data = self._receiver.unprotect(data)
        except SrtpError as error:
            self._refused(error)
            return None
        self._ssrcs.add(ssrc)
        self._last_authentic = now
        return self._to_sip.forward(data, now)

    def _tel_stun(self, data: bytes, now: float) -> None:
        binding = self._binding
        if binding is None or not is_stun(data[0]):
            self.tel.rejected += 1
            return
        first = not binding.bound
        if not binding.receive(data, now):
            self.tel.rejected += 1
        elif first:
            self._events.append(TelBound())
            self._update(now)

    def _tel_report(self, data: bytes, now: float) -> None:
        tel = self.tel
        ssrc = data[4:8]
        if len(data) < MIN_SRTCP or (ssrc not in self._ssrcs and len(self._ssrcs) >= MAX_SSRCS):
            tel.rejected += 1
            return
        try:
            clear = self._receiver.unprotect_rtcp(data)
        except SrtpError as error:
            self._refused(error)
            return
        self._ssrcs.add(ssrc)
        self._last_authentic = now
        self._report(tel, clear, now)

    def _refused(self, error: SrtpError) -> None:
        if error.refusal is Refusal.REPLAYED:
            self.tel.replayed += 1
        else:
            self.tel.auth_failed += 1

    @staticmethod
    def _report(leg: Leg, data: bytes, now: float) -> None:
        try:
            leg.reporter.receive(data, leg.output, leg.source, now)
        except RtcpError:
            leg.rejected += 1

    def sip_packet(self, data: bytes, source: Sockaddr, now: float) -> bytes | None:
        """Take a datagram of the RTP socket; give the SRTP packet for ``tel.remote``, if any."""
        sip = self.sip
        size = len(data)
        if (
            size < HEADER_LENGTH
            or size > MAX_PACKET
            or data[0] & 0xC0 != VERSION_BITS
            or is_rtcp(data[1])
            or (source != sip.remote and not self._learn(data, source, now))
        ):
            sip.rejected += 1
            return None
        packet = self._to_tel.forward(data, now)
        if packet is None:
            return None
        try:
            return self._sender.protect(packet)
        except pylibsrtp.Error:
            # libsrtp's own last word, such as a key at its end of life (RFC 3711 section 9.2).
            sip.drops["unprotectable"] += 1
            return None

    def _learn(self, data: bytes, source: Sockaddr, now: float) -> bool:
        sip = self.sip
        if (
            sip.remote is None
            or sip.heard
            or now > self._learn_until
            or source[0] != sip.remote[0]
            or not self._to_tel.negotiated(data[1] & 0x7F)
        ):
            return False
        sip.remote = source
        sip.heard = True
        return True

    def sip_report(self, data: bytes, source: Sockaddr, now: float) -> None:
        """Take a datagram of the RTCP socket.

        It moves no address and opens nothing, so the PBX's IP address is enough: behind a NAT its
        RTCP has a port of its own.
        """
        sip = self.sip
        if sip.remote is None or source[0] != sip.remote[0] or len(data) > MAX_PACKET:
            sip.rejected += 1
            return
        self._report(sip, data, now)

    # --- time ------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When `handle_timer` is to be called; it may come earlier without harm."""
        times = [self.sip.reporter.next_at, self.tel.reporter.next_at]
        if self._binding is not None:
            times.append(self._binding.next_at)
        if self._watching:
            times.append(self._last_authentic + self._dead_after)
        return min((at for at in times if at is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Do what is due at ``now``: STUN, RTCP, the watch for dead media."""
        tel, sip = self.tel, self.sip
        if self._binding is not None:
            self._to_crs(self._binding.poll(now))
        self._to_crs_protected(tel.reporter.poll(tel.output, tel.source, now))
        self._to_pbx(sip.reporter.poll(sip.output, sip.source, now))
        silent = now - self._last_authentic
        if self._watching and silent >= self._dead_after:
            self._watching = False
            self._events.append(MediaLost("tel", silent))

    def close(self, now: float) -> None:
        """Say BYE on both legs, as far as RTCP was begun; `take_output` has the packets."""
        tel, sip = self.tel, self.sip
        self._to_crs_protected(tel.reporter.goodbye(tel.output, tel.source, now))
        self._to_pbx(sip.reporter.goodbye(sip.output, sip.source, now))
        self._binding = None
        self._watching = False
        self._to_sip.open = self._to_tel.open = False

    def _to_crs(self, data: bytes | None) -> None:
        if data is not None and self.tel.remote is not None:
            self._output.append(Datagram(Channel.TEL, self.tel.remote, data))

    def _to_crs_protected(self, data: bytes | None) -> None:
        if data is not None:
            self._to_crs(self._sender.protect_rtcp(data))

    def _to_pbx(self, data: bytes | None) -> None:
        if data is not None and self._sip_rtcp is not None:
            self._output.append(Datagram(Channel.SIP_RTCP, self._sip_rtcp, data))

    # --- what comes out --------------------------------------------------------------------------

    def take_output(self) -> list[Datagram]:
        """Give what is to be sent, and forget it."""
        output, self._output = self._output, []
        return output

    def take_events(self) -> list[TelBound | MediaLost]:
        """Give what the owner has to hear of, and forget it."""
        events, self._events = self._events, []
        return events

    def statistics(self, now: float) -> CallStatistics:
        """Give both legs' counters as of ``now``."""
        return CallStatistics(now - self._opened, self.tel.statistics(), self.sip.statistics())

    def drops(self) -> dict[str, int]:
        """Give, by ``side_reason``, how many valid packets were not forwarded."""
        return {
            f"{leg.side}_{reason}": count
            for leg in (self.tel, self.sip)
            for reason, count in leg.drops.items()
        }
