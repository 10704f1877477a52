# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's way to have texts opened and sealed, and receipts signed and checked, by cig-relay.

The server has no key. A text goes through the control socket piece by piece, one at a time, so that
calls' requests come between, and no more of it than a piece is in memory.

The rules:

1. What fails leaves nothing: the output is cut back to where it began, and the relay told to
   forget the text. So nobody takes a content whose last octets proved that it is not authentic.
2. Errors are of the gateway's tree. What is refused for good is a CryptoError that is not
   ``retryable`` or a ContentRefusedError; with all others the same may succeed later.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import BinaryIO

from cig_common.control.messages import Done
from cig_common.control.texts import (
    CheckReceiptRequest,
    CloseTextRequest,
    OpenTextReply,
    OpenTextRequest,
    SealTextReply,
    SealTextRequest,
    SignReceiptReply,
    SignReceiptRequest,
    TextDataReply,
    TextDataRequest,
)
from cig_common.errors import CigError
from cig_server.relay.client import RelayClient
from cig_server.texts.model import ContentRefusedError, StorageError
from umsg.messages import Receipt, ReceiptStatus
from umsg.texts import MAX_PART, MAX_SEALED, TAG_OCTETS, Envelope

MAX_CONTENT = MAX_SEALED - TAG_OCTETS
"""Octets of a content that can be sealed."""
_SPOOL = "the file of a text under way"


@dataclass(frozen=True, slots=True)
class Opened:
    """Who sent a text that was opened: its bare tel URI, and the name of its security domain."""

    signer: str
    domain: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """A text that was sealed: part 0's fields, SHA-256 (32 octets) and octets of the whole."""

    envelope: Envelope
    digest: bytes
    length: int


class TextCrypto:
    """Client of the relay for all that texts need of keys."""

    def __init__(self, relay: RelayClient) -> None:
        self._relay = relay
        self._numbers = itertools.count(1)
        self._closing: set[asyncio.Task[None]] = set()

    async def open(self, envelope: Envelope, sealed: BinaryIO, out: BinaryIO) -> Opened:
        """Open a text whose parts have all come: from ``sealed``'s present position to its end.

        The content goes to ``out`` at its present position. Raises CryptoError for a text that is
        not what its sender made or that cannot be opened (any more), StorageError for a fault of
        the files, or what `RelayClient.request` raises.
        """
        async with self._text(out) as name:
            pieces = _with_last(_read(sealed))
            data, last = next(pieces)
            reply = await self._relay.request(
                OpenTextRequest(
                    text=name,
                    mid=envelope.mid,
                    from_uri=envelope.from_uri,
                    to_uri=envelope.to_uri,
                    mikey=envelope.mikey,
                    data=data,
                    last=last,
                ),
                OpenTextReply,
            )
            out.write(reply.data)
            for data, last in pieces:
                out.write(await self._piece(name, data, last=last))
        return Opened(reply.signer, reply.domain)

    async def seal(
        self, mid: str, from_uri: str, to_uri: str, content: Iterable[bytes], out: BinaryIO
    ) -> Sealed:
        """Seal a content for ``to_uri``; its pieces may be of any size, none included.

        The sealed content goes to ``out`` at its present position. ``from_uri`` is a URI of the
        gateway's. Raises ContentRefusedError (``too-large``) for more than `MAX_CONTENT` octets,
        CryptoError, StorageError, or what `RelayClient.request` raises.
        """
        digest = hashlib.sha256()
        length = 0

        def put(octets: bytes) -> None:
            nonlocal length
            digest.update(octets)
            length += len(octets)
            out.write(octets)

        async with self._text(out) as name:
            pieces = _with_last(_cut(content))
            data, last = next(pieces)
            reply = await self._relay.request(
                SealTextRequest(name, mid, from_uri, to_uri, data, last), SealTextReply
            )
            put(reply.data)
            for data, last in pieces:
                put(await self._piece(name, data, last=last))
        envelope = Envelope(mid, from_uri, to_uri, reply.mikey)
        return Sealed(envelope, digest.digest(), length)

    async def sign_receipt(
        self, mid: str, status: ReceiptStatus, content_digest: bytes
    ) -> tuple[str, bytes]:
        """Give period and signature (129 octets) of a receipt of ours.

        ``content_digest`` is the SHA-256 (32 octets) of the whole sealed content.
        """
        request = SignReceiptRequest(mid, status, content_digest)
        reply = await self._relay.request(request, SignReceiptReply)
        return reply.period, reply.sig

    async def check_receipt(self, receipt: Receipt, *, content_digest: bytes, signer: str) -> None:
        """Check the signature of a receipt by ``signer``, a tel URI; an extension is left out.

        Raises CryptoError for a wrong one. ``content_digest`` is that of the text as it was sealed.
        """
        await self._relay.request(
            CheckReceiptRequest(
                mid=receipt.mid,
                status=receipt.status,
                content_digest=content_digest,
                signer=signer,
                period=receipt.period,
                sig=receipt.sig,
            ),
            Done,
        )

    # --- the inside -----------------------------------------------------------------------------

    async def _piece(self, name: str, data: bytes, *, last: bool) -> bytes:
        request = TextDataRequest(name, data, last)
        return (await self._relay.request(request, TextDataReply)).data

    @asynccontextmanager
    async def _text(self, out: BinaryIO) -> AsyncIterator[str]:
        """Give the name of a new text; a failure inside undoes what it has written and begun."""
        name = f"t{next(self._numbers)}"
        start = out.tell()
        try:
            yield name
        except BaseException as error:
            with contextlib.suppress(OSError):
                out.seek(start)
                out.truncate()
            self._forget(name)
            if isinstance(error, OSError):
                raise StorageError(_SPOOL, error.strerror or type(error).__name__) from None
            raise

    def _forget(self, name: str) -> None:
        # Not awaited: this may be a task that is being cancelled.
        task = asyncio.create_task(self._close(name))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self, name: str) -> None:
        # Without a connection the relay has forgotten it by itself.
        with contextlib.suppress(CigError):
            await self._relay.request(CloseTextRequest(name), Done)


def _read(source: BinaryIO) -> Iterator[bytes]:
    while data := source.read(MAX_PART):
        yield data


def _cut(content: Iterable[bytes]) -> Iterator[bytes]:
    """Cut pieces of any size into such of `MAX_PART` octets and a rest; nothing is kept."""
    held = bytearray()
    length = 0
    for piece in content:
        length += len(piece)
        if length > MAX_CONTENT:
            raise ContentRefusedError("too-large", f"a text has at most {MAX_CONTENT} octets")
        view = memoryview(piece)
        while view:
            taken = view[: MAX_PART - len(held)]
            held += taken
            view = view[len(taken) :]
            if len(held) == MAX_PART:
                yield bytes(held)
                held.clear()
    if held:
        yield bytes(held)


def _with_last(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Say of each piece whether it is the last; where there is none, an empty one is."""
    held = next(pieces, b"")
    for piece in pieces:
        yield held, False
        held = piece
    yield held, True
