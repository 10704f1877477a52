# SPDX-License-Identifier: GPL-3.0-or-later
"""A text on the wire: its sealed content, cut into parts and put together again. No I/O.

The rules of the assembler:

1. Parts come in order, from 0; part 0 says how many there are, and all others say the same.
2. No part is empty; the whole is at most `MAX_SEALED` octets and at least the tag's.
3. A part 0 begins anew: a text that is sent again is sent from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from umsg.errors import ErrorCode, LocalError
from umsg.messages import MAX_TEXT_PART, Text

MAX_PART = MAX_TEXT_PART
"""Octets of sealed content in one part."""
MAX_SEALED = 16 << 20
"""Octets of a whole sealed content, tag included."""
TAG_OCTETS = 16
"""The tag of AES-GCM (RFC 5116), the last octets of the sealed content."""
MAX_AGE = 7 * 86_400
"""Seconds by which a text's T may lie in the past when it comes."""
JOURNAL_SECONDS = 8 * 86_400
"""How long a recipient remembers what it has had."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What part 0 has beside its data: who sends to whom, and the I_MESSAGE."""

    mid: str
    from_uri: str
    to_uri: str
    mikey: bytes


class PartError(LocalError):
    """A part does not follow the one before; `code` is what its sender is told."""

    code = ErrorCode.PROTOCOL


class TooLargeError(PartError):
    """The parts make more than `MAX_SEALED` octets."""

    code = ErrorCode.TOO_LARGE


def part_count(length: int) -> int:
    """Return how many parts `length` octets of sealed content make, at least 1."""
    return max(1, -(-length // MAX_PART))


def part(envelope: Envelope, seq: int, of: int, data: bytes) -> Text:
    """Return part `seq` of a text; only part 0 has more of the envelope than `mid`."""
    if seq:
        return Text(mid=envelope.mid, seq=seq, of=of, data=data)
    return Text(
        mid=envelope.mid,
        seq=0,
        of=of,
        data=data,
        from_uri=envelope.from_uri,
        to_uri=envelope.to_uri,
        mikey=envelope.mikey,
    )


def parts(envelope: Envelope, sealed: bytes) -> Iterator[Text]:
    """Yield all parts of a text whose sealed content is at hand."""
    of = part_count(len(sealed))
    for seq in range(of):
        yield part(envelope, seq, of, sealed[seq * MAX_PART : (seq + 1) * MAX_PART])


class Assembler:
    """Takes the parts of one text; gives each part's data on, and the digest of the whole.

    It holds no data itself. Begins with a text's part 0.
    """

    def __init__(self, first: Text) -> None:
        if first.seq or first.from_uri is None or first.to_uri is None or first.mikey is None:
            raise PartError(f"text {first.mid} begins with part {first.seq}")
        self.envelope = Envelope(first.mid, first.from_uri, first.to_uri, first.mikey)
        self.length = 0
        """Octets so far."""
        self._of = first.of
        self._next = 0
        self._hash = hashlib.sha256()
        self.add(first)

    @property
    def complete(self) -> bool:
        """Whether all parts have come."""
        return self._next == self._of

    @property
    def digest(self) -> bytes:
        """SHA-256 (32 octets) of the data so far."""
        return self._hash.digest()

    def add(self, part: Text) -> None:
        """Take the next part; raises PartError, or TooLargeError, and is then as before."""
        if (part.mid, part.of, part.seq) != (self.envelope.mid, self._of, self._next):
            raise PartError(f"text {part.mid}: part {part.seq} of {part.of} is out of turn")
        last = part.seq == self._of - 1
        size = len(part.data)
        if not size:
            raise PartError(f"text {part.mid}: part {part.seq} is empty")
        length = self.length + size
        if length > MAX_SEALED:
            raise TooLargeError(f"text {part.mid} has more than {MAX_SEALED} octets")
        if last and length < TAG_OCTETS:
            raise PartError(f"text {part.mid} is shorter than its tag")
        self.length = length
        self._next += 1
        self._hash.update(part.data)
