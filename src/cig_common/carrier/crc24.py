# SPDX-License-Identifier: GPL-3.0-or-later
"""CRC-24 of RFC 9580 section 6.1.1 (OpenPGP's), octet by octet."""

from __future__ import annotations

_POLYNOMIAL = 0x864CFB
_START = 0xB704CE


def _entry(octet: int) -> int:
    value = octet << 16
    for _ in range(8):
        value = (value << 1) ^ (_POLYNOMIAL if value & 0x800000 else 0)
    return value & 0xFFFFFF


_TABLE = tuple(_entry(octet) for octet in range(256))


def crc24(octets: bytes) -> int:
    """Give the checksum, 0 to 2^24 - 1."""
    value = _START
    for octet in octets:
        value = (value << 8 & 0xFFFFFF) ^ _TABLE[value >> 16 ^ octet]
    return value
