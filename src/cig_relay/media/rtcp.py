# SPDX-License-Identifier: GPL-3.0-or-later
"""RTCP: sender and receiver reports, SDES CNAME, BYE, and compound packets (RFC 3550 section 6).

Encoding is strict. Parsing is tolerant: packets of other types are stepped over, and a packet that
is cut off ends the reading without spoiling those before it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

SENDER_REPORT = 200
RECEIVER_REPORT = 201
SOURCE_DESCRIPTION = 202
GOODBYE = 203

_HEADER = struct.Struct("!BBH")
_BLOCK = struct.Struct("!IIIIII")
_SENDER_INFO = struct.Struct("!IQIII")
_CNAME = 1
_MAX_COUNT = 31
_LOST_MAX, _LOST_MIN = 0x7FFFFF, -0x800000


class RtcpError(ValueError):
    """The octets do not begin with an RTCP packet of version 2."""


def is_rtcp(second_octet: int) -> bool:
    """Tell RTCP from RTP on one port by the packet's second octet (RFC 5761 section 4)."""
    return 192 <= second_octet <= 223


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What a receiver tells of one source (RFC 3550 section 6.4.1).

    ``fraction_lost`` is in 1/256; ``lost`` is the cumulative loss, held to 24 signed bits when
    encoded; ``highest`` the extended highest sequence number; ``jitter`` in timestamp units;
    ``last_sr`` the middle 32 bits of the NTP time of the last sender report, ``delay`` the time
    since it came in 1/65536 s; both 0 before the first one.
    """

    ssrc: int
    fraction_lost: int
    lost: int
    highest: int
    jitter: int
    last_sr: int
    delay: int

    def encode(self) -> bytes:
        """Give the 24 octets."""
        lost = min(max(self.lost, _LOST_MIN), _LOST_MAX) & 0xFFFFFF
        loss = self.fraction_lost << 24 | lost
        return _BLOCK.pack(self.ssrc, loss, self.highest, self.jitter, self.last_sr, self.delay)

    @staticmethod
    def parse(data: bytes, at: int = 0) -> ReportBlock:
        """Read the 24 octets of ``data`` from ``at`` on; the caller has checked the length."""
        ssrc, loss, highest, jitter, last_sr, delay = _BLOCK.unpack_from(data, at)
        lost = loss & 0xFFFFFF
        if lost > _LOST_MAX:
            lost -= 0x1000000
        return ReportBlock(ssrc, loss >> 24, lost, highest, jitter, last_sr, delay)


@dataclass(frozen=True, slots=True)
class SenderReport:
    """SR, RFC 3550 section 6.4.1.

    ``ntp`` is the 64-bit NTP time (32.32 seconds since 1900), ``rtp`` the same instant in the
    stream's timestamp; ``packets`` and ``octets`` count what was sent, payload octets only.
    """

    ssrc: int
    ntp: int
    rtp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()

    def encode(self) -> bytes:
        """Give the packet."""
        info = _SENDER_INFO.pack(
            self.ssrc, self.ntp, self.rtp, self.packets & 0xFFFFFFFF, self.octets & 0xFFFFFFFF
        )
        body = info + b"".join(block.encode() for block in self.blocks)
        return _packet(SENDER_REPORT, len(self.blocks), body)

    @staticmethod
    def parse(count: int, body: bytes) -> SenderReport | None:
        """Read what follows the 4-octet header; None when it is too short for ``count`` blocks."""
        if len(body) < _SENDER_INFO.size + count * _BLOCK.size:
            return None
        blocks = _parse_blocks(count, body, _SENDER_INFO.size)
        ssrc, ntp, rtp, packets, octets = _SENDER_INFO.unpack_from(body)
        return SenderReport(ssrc, ntp, rtp, packets, octets, blocks)


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """RR, RFC 3550 section 6.4.2: a report of one that has sent nothing lately."""

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()

    def encode(self) -> bytes:
        """Give the packet."""
        body = self.ssrc.to_bytes(4, "big") + b"".join(block.encode() for block in self.blocks)
        return _packet(RECEIVER_REPORT, len(self.blocks), body)

    @staticmethod
    def parse(count: int, body: bytes) -> ReceiverReport | None:
        """Read what follows the 4-octet header; None when it is too short for ``count`` blocks."""
        if len(body) < 4 + count * _BLOCK.size:
            return None
        return ReceiverReport(int.from_bytes(body[:4], "big"), _parse_blocks(count, body, 4))


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """SDES, RFC 3550 section 6.5, as far as the CNAME item of its first chunk."""

    ssrc: int
    cname: str

    def encode(self) -> bytes:
        """Give the packet with one chunk that holds the CNAME alone."""
        name = self.cname.encode()[:255]
        chunk = self.ssrc.to_bytes(4, "big") + bytes((_CNAME, len(name))) + name
        # Section 6.5: a chunk ends with at least one null octet, on a 32-bit boundary.
        return _packet(SOURCE_DESCRIPTION, 1, chunk + bytes(4 - len(chunk) % 4))

    @staticmethod
    def parse(count: int, body: bytes) -> SourceDescription | None:
        """Read what follows the 4-octet header; None when its first chunk has no CNAME."""
        at, end = 4, len(body)
        while count and at + 2 <= end and body[at]:
            item, length = body[at], body[at + 1]
            text = body[at + 2 : at + 2 + length]
            if item == _CNAME and len(text) == length:
                return SourceDescription(
                    int.from_bytes(body[:4], "big"), text.decode("utf-8", "replace")
                )
            at += 2 + length
        return None


@dataclass(frozen=True, slots=True)
class Goodbye:
    """BYE, RFC 3550 section 6.6, without a reason; at most 31 sources."""

    ssrcs: tuple[int, ...]

    def encode(self) -> bytes:
        """Give the packet."""
        body = b"".join(ssrc.to_bytes(4, "big") for ssrc in self.ssrcs)
        return _packet(GOODBYE, len(self.ssrcs), body)

    @staticmethod
    def parse(count: int, body: bytes) -> Goodbye | None:
        """Read what follows the 4-octet header; None when it is too short for ``count`` sources."""
        if len(body) < 4 * count:
            return None
        return Goodbye(struct.unpack_from(f"!{count}I", body))


RtcpPacket = SenderReport | ReceiverReport | SourceDescription | Goodbye

_PARSERS = {
    SENDER_REPORT: SenderReport.parse,
    RECEIVER_REPORT: ReceiverReport.parse,
    SOURCE_DESCRIPTION: SourceDescription.parse,
    GOODBYE: Goodbye.parse,
}


def encode_compound(packets: Iterable[RtcpPacket]) -> bytes:
    """Join packets to one datagram; section 6.1 wants a report first and an SDES with CNAME."""
    return b"".join(packet.encode() for packet in packets)


def parse_compound(data: bytes) -> tuple[RtcpPacket, ...]:
    """Read a datagram's packets in order.

    Raises RtcpError when the first header is none; what is unknown, too short or cut off after it
    is left out.
    """
    if len(data) < 8 or data[0] & 0xC0 != 0x80 or not is_rtcp(data[1]):
        raise RtcpError("no RTCP header of version 2")
    packets: list[RtcpPacket] = []
    at = 0
    while at + 4 <= len(data):
        first, kind, words = _HEADER.unpack_from(data, at)
        end = at + 4 + 4 * words
        if first & 0xC0 != 0x80 or end > len(data):
            break
        parser = _PARSERS.get(kind)
        packet = parser(first & _MAX_COUNT, data[at + 4 : end]) if parser else None
        if packet is not None:
            packets.append(packet)
        at = end
    return tuple(packets)


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body


def _parse_blocks(count: int, body: bytes, at: int) -> tuple[ReportBlock, ...]:
    return tuple(ReportBlock.parse(body, at + i * _BLOCK.size) for i in range(count))
