# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parts of the text service say to each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

from cig_common.errors import LocalError, PeerError
from umsg.messages import ReceiptStatus


@dataclass(frozen=True, slots=True, order=True)
class TextKey:
    """What names a text for good: its sender's URI as in part 0, and its ``mid``."""

    from_uri: str
    mid: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a text that came: what its receipt says.

    ``content_digest`` is the SHA-256 (32 octets) of its sealed content; ``period`` and ``sig``
    are empty until the receipt has been signed.
    """

    status: ReceiptStatus
    reason: str
    content_digest: bytes
    period: str = ""
    sig: bytes = b""


@dataclass(frozen=True, slots=True)
class Copy:
    """A message for one mailbox. ``write`` writes the whole file; it runs in a worker thread."""

    mailbox: str
    write: Callable[[BinaryIO], None]


class Origin(StrEnum):
    """Where a text for the secure side comes from."""

    MAILBOX = "mailbox"
    SIP = "sip"
    GATEWAY = "gateway"
    """A notice of our own."""


class StorageError(LocalError):
    """A disk or folder of ours does not do what it must: nothing was taken, and nothing is lost.

    ``where`` is the path. The same will do once an operator, or time, has mended it.
    """

    sip_status = 503
    retryable = True
    log_code = "storage"

    def __init__(self, where: str, text: str) -> None:
        super().__init__(f"{where}: {text}")
        self.where = where
        self.wanted = 0
        """Octets for which there was no room, as far as known."""


class ContentRefusedError(PeerError):
    """A text's content is none that can be handed on: for good, whoever tries again.

    ``word`` is the stable word that a receipt's reason has; the text is for an operator and holds
    nothing of the content.
    """

    log_code = "text-content"

    def __init__(self, word: str, text: str) -> None:
        super().__init__(text)
        self.word = word


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """A queue as ``show texts`` tells it.

    ``kind`` is ``read`` or ``write`` (a mailbox, ``name`` its path), ``sip`` or ``crs``.
    ``waiting`` texts wait, the oldest since ``oldest`` (seconds since 1970, None without any);
    ``failed`` lie in failed/. ``error`` is what went wrong last, at ``error_at``.
    """

    kind: str
    name: str
    waiting: int
    oldest: float | None
    failed: int = 0
    error: str = ""
    error_at: float | None = None
