# SPDX-License-Identifier: GPL-3.0-or-later
"""A secure phone behind a CRS and a PBX, in memory, around one real `Bridge`."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from aioice import stun
from pylibsrtp import Policy, Session

from cig_common.control.media import Direction
from cig_relay.media import codec
from cig_relay.media.bridge import Bridge, Channel, Datagram, MediaLost, SipSession, TelBound
from cig_relay.media.rtp import RtpPacket
from cig_relay.media.srtp import SrtpReceiver, SrtpSender
from mikey_sakke.secret import Secret
from mikey_sakke.srtp import SrtpKeys

CRS = ("192.0.2.1", 146)
PBX = ("198.51.100.2", 30000)
PBX_RTCP = ("198.51.100.2", 30001)
UFRAG, PWD = "leg-1", "0123456789abcdefghijklmn"
TEL_SSRC = 0x1234
PHONE_SSRC = 0x5EC0
PBX_SSRC = 0xABCD
UTC_OFFSET = 1_795_000_000.0


def keys(seed: int) -> SrtpKeys:
    octets = random.Random(seed).randbytes(30)
    return SrtpKeys(Secret(octets[:16]), Secret(octets[16:]))


TX_KEYS, RX_KEYS = keys(1), keys(2)


def near_wrap(seed: int = 7):
    """Random octets, but every sequence number starts just before its wrap."""
    source = random.Random(seed)
    return lambda n: (65400).to_bytes(2, "big") if n == 2 else source.randbytes(n)


def sender(key: SrtpKeys) -> Session:
    return Session(Policy(key=key.reveal(), ssrc_type=Policy.SSRC_ANY_OUTBOUND))


def receiver(key: SrtpKeys) -> Session:
    return Session(Policy(key=key.reveal(), ssrc_type=Policy.SSRC_ANY_INBOUND))


def stun_answer(request: bytes, pwd: str = PWD, address=("203.0.113.9", 40000)) -> bytes:
    asked = stun.parse_message(request)
    answer = stun.Message(
        stun.Method.BINDING,
        stun.Class.RESPONSE,
        transaction_id=asked.transaction_id,
        attributes={"XOR-MAPPED-ADDRESS": address},
    )
    answer.add_message_integrity(pwd.encode())
    return bytes(answer)


def session(**changes) -> SipSession:
    plain = SipSession(PBX, PBX_RTCP, codec.PCMU, 96, 97, Direction.SENDRECV)
    return replace(plain, **changes)


@dataclass
class Talker:
    """Makes the packets of one source; each `audio` moves its numbers on."""

    ssrc: int
    payload_type: int
    sequence: int = 65500
    timestamp: int = 0xFFFF_F000
    event_type: int = 101
    payload: bytes = bytes(range(160))

    def audio(self, **changes) -> RtpPacket:
        packet = RtpPacket(
            self.payload_type, self.sequence, self.timestamp, self.ssrc, self.payload
        )
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.timestamp = (self.timestamp + 160) & 0xFFFFFFFF
        return replace(packet, **changes)

    def event(self, payload: bytes, marker: bool = False) -> RtpPacket:
        packet = RtpPacket(
            self.event_type, self.sequence, self.timestamp, self.ssrc, payload, marker
        )
        self.sequence = (self.sequence + 1) & 0xFFFF
        return packet


@dataclass
class Lab:
    """The bridge between its two peers, with a clock that stands still until `advance`."""

    now: float = 1000.0
    random_bytes: object = field(default_factory=near_wrap)

    def __post_init__(self) -> None:
        self.bridge = Bridge(
            SrtpSender(TX_KEYS, TEL_SSRC),
            SrtpReceiver(RX_KEYS),
            tel_ssrc=TEL_SSRC,
            random_bytes=self.random_bytes,
            utc_offset=UTC_OFFSET,
            now=self.now,
        )
        self.phone_tx = sender(RX_KEYS)
        self.phone_rx = receiver(TX_KEYS)
        self.phone = Talker(PHONE_SSRC, 8)
        self.pbx = Talker(PBX_SSRC, 0, event_type=97)
        self.events: list[TelBound | MediaLost] = []

    def start(self, **sip) -> Lab:
        """Bring the call into TALK: leg set and bound, media known on both sides."""
        self.bridge.set_tel_leg(CRS, UFRAG, PWD, self.now)
        self.bridge.handle_timer(self.now)
        (request,) = self.bridge.take_output()
        self.bridge.tel_packet(stun_answer(request.data), CRS, self.now)
        self.bridge.set_tel_media(codec.PCMA, 100, self.now)
        self.bridge.set_sip_media(session(**sip), self.now)
        return self

    def to_sip(self, packet: RtpPacket, source=CRS) -> RtpPacket | None:
        """Send a packet from the phone; give what the PBX gets."""
        wire = self.phone_tx.protect(packet.encode())
        return self.raw_to_sip(wire, source)

    def raw_to_sip(self, wire: bytes, source=CRS) -> RtpPacket | None:
        out = self.bridge.tel_packet(wire, source, self.now)
        return None if out is None else RtpPacket.parse(out)

    def to_tel(self, packet: RtpPacket, source=PBX) -> RtpPacket | None:
        """Send a packet from the PBX; give what the phone gets."""
        out = self.bridge.sip_packet(packet.encode(), source, self.now)
        return None if out is None else RtpPacket.parse(self.phone_rx.unprotect(out))

    def advance(self, seconds: float, step: float = 0.5) -> list[Datagram]:
        """Let time pass, timers run; give what was sent of itself."""
        sent: list[Datagram] = []
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + step)
            deadline = self.bridge.next_deadline()
            if deadline is not None and deadline <= self.now:
                self.bridge.handle_timer(self.now)
            sent += self.bridge.take_output()
            self.events += self.bridge.take_events()
        return sent

    def clear_rtcp(self, sent: list[Datagram], channel: Channel) -> list[bytes]:
        """Give the RTCP of one side in clear; STUN is left out."""
        rtcp = [d.data for d in sent if d.channel is channel and d.data[0] >= 4]
        if channel is Channel.TEL:
            rtcp = [self.phone_rx.unprotect_rtcp(data) for data in rtcp]
        return rtcp


def numbers(packets):
    """Sequence numbers and timestamps relative to the first packet, wraps undone."""
    first = packets[0]
    return [
        ((p.sequence - first.sequence) & 0xFFFF, (p.timestamp - first.timestamp) & 0xFFFFFFFF)
        for p in packets
    ]
