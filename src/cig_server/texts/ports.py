# SPDX-License-Identifier: GPL-3.0-or-later
"""What the way in needs of the other parts of the server, and no more of them than that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, Protocol

from cig_common.control.key_facts import Identity
from cig_common.texts.content import TextContent
from cig_server.texts.model import Copy, Outcome, TextKey
from cig_server.texts.receipts import ReceiptJournal, ReceiptLink, ReceiptSigner
from umsg.texts import Envelope


class Proved(Protocol):
    """What opening a text proved (`texts.crypto.Opened`)."""

    @property
    def signer(self) -> str:
        """The sender's bare tel URI."""
        ...

    @property
    def domain(self) -> str:
        """The security domain of the keys that proved it."""
        ...


class TextOpening(ReceiptSigner, Protocol):
    """cig-relay, as far as texts that come go (`texts.crypto.TextCrypto`)."""

    async def open(self, envelope: Envelope, sealed: BinaryIO, out: BinaryIO) -> Proved:
        """Open ``sealed`` from where it stands and write the content to ``out``.

        When it returns, the content is what its sender sealed. Raises CigError: a CryptoError that
        is not ``retryable`` for what is forged or too old, any other for what may pass.
        """
        ...


class Deliverer(ReceiptJournal, Protocol):
    """The journal, and the mailboxes on disk (`texts.delivery.Deliverer`)."""

    async def known(self, key: TextKey) -> Outcome | None:
        """Return what became of a text, None where it is not settled. Raises StorageError."""
        ...

    async def deliver(
        self, key: TextKey, content_digest: bytes, copies: Sequence[Copy], reason: str = ""
    ) -> None:
        """Write all copies, of which there may be none, and journal the text as delivered.

        When it returns, they are on disk. A text that is journalled already is left. Raises
        StorageError, and what a copy's ``write`` raises: nothing was delivered then.
        """
        ...

    async def refuse(self, key: TextKey, content_digest: bytes, reason: str) -> None:
        """Journal a text as refused; on disk when it returns. Raises StorageError."""
        ...

    async def probe(self) -> str:
        """Try whether mailboxes and journal can be written; returns what is wrong, or nothing."""
        ...


class SipSink(Protocol):
    """Where texts go out as SIP MESSAGE (`texts.sip_out.SipOut`)."""

    async def offer(self, key: TextKey, from_uri: str, to_uri: str, content: TextContent) -> bool:
        """Take a text to send, on disk when it returns; False where no route leads to SIP.

        ``content`` is read within the call only. A key that it has had within the journal's time is
        not sent again; where its final answer is known already, that is told once more.
        Raises StorageError, and ContentRefusedError for a text that cannot be sent ever.
        """
        ...


class Link(ReceiptLink, Protocol):
    """The connection to the CRS (`uif.interface.UmsgInterface`)."""

    @property
    def connected(self) -> bool:
        """Whether a CRS has welcomed us."""
        ...

    @property
    def identity(self) -> Identity | None:
        """Who we are there, and the periods that there are keys of."""
        ...

    def ask_again(self) -> None:
        """Have the CRS send once more what was not receipted, by a new connection."""
        ...
