# SPDX-License-Identifier: GPL-3.0-or-later
"""RTP packets (RFC 3550 section 5.1): the whole header as a value, and the fast way to a payload.

The bridge does not build `RtpPacket` for each packet that it forwards; it reads the fixed header
with `HEADER` and asks `payload_bounds` only when the first octet is not the plain 0x80.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

HEADER = struct.Struct("!BBHII")
"""The fixed header: V/P/X/CC, M/PT, sequence number, timestamp, SSRC; 12 octets."""

HEADER_LENGTH = HEADER.size
VERSION_BITS = 0x80
"""Version 2 in the two upper bits of the first octet; 0x80 alone: nothing but the fixed header."""

COMFORT_NOISE = 13
"""Static payload type of RFC 3389 comfort noise (RFC 3551 table 4)."""


class RtpError(ValueError):
    """The octets are no RTP packet of version 2."""


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One RTP packet.

    ``sequence`` has 16 bits, ``timestamp`` and ``ssrc`` 32; ``extension`` is None or the profile's
    16 bits and the extension's octets, a multiple of four. Padding is removed by `parse` and not
    put back by `encode`.
    """

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False
    csrc: tuple[int, ...] = ()
    extension: tuple[int, bytes] | None = None

    def encode(self) -> bytes:
        """Give the packet's octets, without padding."""
        first = VERSION_BITS | (0x10 if self.extension else 0) | len(self.csrc)
        second = (0x80 if self.marker else 0) | self.payload_type
        head = HEADER.pack(first, second, self.sequence, self.timestamp, self.ssrc)
        head += struct.pack(f"!{len(self.csrc)}I", *self.csrc)
        if self.extension:
            profile, octets = self.extension
            head += struct.pack("!HH", profile, len(octets) // 4) + octets
        return head + self.payload

    @staticmethod
    def parse(data: bytes) -> RtpPacket:
        """Read a packet; raises RtpError."""
        start, end = payload_bounds(data)
        first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
        csrc = struct.unpack_from(f"!{first & 15}I", data, HEADER_LENGTH)
        extension = None
        if first & 0x10:
            at = HEADER_LENGTH + 4 * len(csrc)
            extension = (int.from_bytes(data[at : at + 2], "big"), data[at + 4 : start])
        return RtpPacket(
            second & 0x7F,
            sequence,
            timestamp,
            ssrc,
            data[start:end],
            bool(second & 0x80),
            csrc,
            extension,
        )


def payload_bounds(data: bytes) -> tuple[int, int]:
    """Give the first octet of the payload and the one after its last; raises RtpError.

    Walks over CSRC list and header extension and cuts the padding off (RFC 3550 sections 5.1 and
    5.3.1).
    """
    length = len(data)
    if length < HEADER_LENGTH or data[0] & 0xC0 != VERSION_BITS:
        raise RtpError("no RTP header of version 2")
    first = data[0]
    start = HEADER_LENGTH + 4 * (first & 15)
    if first & 0x10:
        if length < start + 4:
            raise RtpError("header extension is cut off")
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    padding = 0
    if first & 0x20:
        padding = data[-1]
        if not padding:
            raise RtpError("padding of no octets")
    if start + padding > length:
        raise RtpError("header or padding longer than the packet")
    return start, length - padding
