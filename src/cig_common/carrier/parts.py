# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealed key material in numbered parts, each small enough for a QR code, read in any order.

A part (numbers are big-endian):

| offset | octets | value |
| --- | --- | --- |
| 0 | 4 | ``CIGP`` |
| 4 | 1 | 1, the format's version |
| 5 | 8 | the set's id: the first octets of the SHA-256 of the whole |
| 13 | 2 | the part's number, from 1 |
| 15 | 2 | the number of parts |
| 17 | at least 1 | a piece of the whole; the pieces in the order of their numbers are the whole |
| the last | 4 | CRC-32 (as in zlib and PNG) of all before it |
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from cig_common.carrier.errors import CarrierError, MissingError, OtherVersionError, listed

MAGIC = b"CIGP"
VERSION = 1
ID_OCTETS = 8
MAX_PARTS = 1024
MAX_WHOLE = 65536

_HEAD = struct.Struct(f">{len(MAGIC)}sB{ID_OCTETS}sHH")
_CRC_OCTETS = 4
OVERHEAD = _HEAD.size + _CRC_OCTETS
"""Octets of a part beside its piece."""
_WHAT = "the key material"


@dataclass(frozen=True, slots=True)
class Part:
    """One part: number ``number`` of ``count`` of the set whose id is ``set_id``."""

    set_id: bytes
    number: int
    count: int
    piece: bytes

    def encode(self) -> bytes:
        """Give the octets of the part."""
        head = _HEAD.pack(MAGIC, VERSION, self.set_id, self.number, self.count)
        return head + self.piece + zlib.crc32(head + self.piece).to_bytes(_CRC_OCTETS)

    @staticmethod
    def decode(octets: bytes) -> Part:
        """Read a part; raises `CarrierError` for anything that is none."""
        if not is_part(octets):
            raise CarrierError(f"a code holds something else than {_WHAT}")
        if len(octets) > len(MAGIC) and octets[len(MAGIC)] > VERSION:
            raise OtherVersionError(f"a part of {_WHAT}", octets[len(MAGIC)], VERSION)
        content, check = octets[:-_CRC_OCTETS], octets[-_CRC_OCTETS:]
        if len(octets) <= OVERHEAD or zlib.crc32(content).to_bytes(_CRC_OCTETS) != check:
            raise CarrierError(f"a part of {_WHAT} is damaged: scan its page again")
        _, version, set_id, number, count = _HEAD.unpack_from(content)
        if version != VERSION or not 1 <= number <= count <= MAX_PARTS:
            raise CarrierError(f"a part of {_WHAT} has a head that cannot be: export it again")
        return Part(set_id, number, count, content[_HEAD.size :])


def is_part(octets: bytes) -> bool:
    """Tell whether this begins as a part does, of whatever version and state."""
    return octets.startswith(MAGIC)


def set_id(sealed: bytes) -> bytes:
    """Give the id that all parts of this whole bear."""
    return hashlib.sha256(sealed).digest()[:ID_OCTETS]


def split(sealed: bytes, part_octets: int) -> list[bytes]:
    """Cut ``sealed`` into parts of at most ``part_octets`` octets each, as equal as can be.

    Raises ValueError where that takes too many parts.
    """
    if not 1 <= len(sealed) <= MAX_WHOLE:
        raise ValueError(f"sealed key material has 1 to {MAX_WHOLE} octets")
    room = part_octets - OVERHEAD
    if room < 1 or len(sealed) > room * MAX_PARTS:
        raise ValueError(f"{part_octets} octets are too few for a part")
    count = -(-len(sealed) // room)
    piece = -(-len(sealed) // count)
    pieces = [sealed[start : start + piece] for start in range(0, len(sealed), piece)]
    own = set_id(sealed)
    return [Part(own, n, len(pieces), piece).encode() for n, piece in enumerate(pieces, 1)]


class Assembly:
    """Parts as they come in, until all of one set are there."""

    def __init__(self) -> None:
        self._first: Part | None = None
        self._pieces: dict[int, bytes] = {}
        self._octets = 0

    @property
    def count(self) -> int:
        """How many parts the set has; 0 before the first one came."""
        return 0 if self._first is None else self._first.count

    @property
    def complete(self) -> bool:
        """Whether all parts are there."""
        return self._first is not None and len(self._pieces) == self._first.count

    def add(self, octets: bytes) -> int:
        """Take a part in and give its number; one that is there already changes nothing.

        Raises `CarrierError` for what is no part, and for a part of another set; the assembly is
        then as it was.
        """
        part = Part.decode(octets)
        first = self._first or part
        if part.set_id != first.set_id:
            raise CarrierError(
                f"there are parts of two different sets, {first.set_id.hex()} and "
                f"{part.set_id.hex()}: give the pages of one alone"
            )
        known = self._pieces.get(part.number)
        size = self._octets + len(part.piece)
        fits = size <= MAX_WHOLE if known is None else known == part.piece
        if part.count != first.count or not fits:
            raise CarrierError(
                f"part {part.number} does not fit to the other parts of the set "
                f"{first.set_id.hex()}: export {_WHAT} again"
            )
        if known is None:
            self._pieces[part.number] = part.piece
            self._octets = size
        self._first = first
        return part.number

    def missing(self) -> tuple[int, ...]:
        """Give the numbers of the parts that are not there; empty before the first one came."""
        return tuple(n for n in range(1, self.count + 1) if n not in self._pieces)

    def result(self) -> bytes:
        """Give the whole; raises `MissingError` as long as parts are missing."""
        if self._first is None:
            raise MissingError(f"there is no part of {_WHAT}", ())
        if missing := self.missing():
            raise MissingError(
                f"{missing_text(missing, self.count)}: scan again what shows it", missing
            )
        whole = b"".join(self._pieces[number] for number in range(1, self.count + 1))
        if set_id(whole) != self._first.set_id:
            raise CarrierError(
                f"the parts of the set {self._first.set_id.hex()} do not make a whole (its "
                f"checksum is another): export {_WHAT} again"
            )
        return whole


def missing_text(missing: Sequence[int], count: int) -> str:
    """Say it: ``part 2 of 4 was not found``."""
    was = "was" if len(missing) == 1 else "were"
    return f"{listed('part', missing)} of {count} {was} not found"
