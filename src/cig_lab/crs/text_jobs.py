# SPDX-License-Identifier: GPL-3.0-or-later
"""What the CRS has its disk do about texts: plain values, between `TextBook` and `TextStore`."""

from dataclasses import dataclass, field

from umsg.messages import Receipt
from umsg.texts import Envelope


@dataclass(frozen=True, slots=True)
class StoredText:
    """A text on disk. `number` says in which order texts came; `to` is the recipient's bare URI,
    `digest` the SHA-256 (32 octets) and `length` the octets of the sealed content.
    """

    number: int
    from_uri: str
    to: str
    mid: str
    digest: bytes
    length: int


@dataclass(frozen=True, slots=True)
class StoreText:
    """Put a text on disk, for good."""

    text: StoredText
    envelope: Envelope
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoreReceipt:
    """Put a receipt on disk, for good; then drop the text that it is of."""

    text: StoredText
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class DropReceipt:
    """Drop the receipt of the text of that number."""

    number: int


@dataclass(frozen=True, slots=True)
class Know:
    """Remember that a bare URI exists."""

    uri: str


Job = StoreText | StoreReceipt | DropReceipt | Know
