# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts sealed and opened by cig-relay, piece by piece: no key and no whole text comes here.

One piece of a text is on its way at a time, so a long text neither fills the socket to the relay
nor keeps a call's request waiting. A text that goes wrong leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterable, Iterator
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
from cig_server.texts.model import ContentRefusedError
from umsg.messages import Receipt
from umsg.texts import MAX_PART, MAX_SEALED, TAG_OCTETS, Envelope

_MOST = MAX_SEALED - TAG_OCTETS


@dataclass(frozen=True, slots=True)
class Opened:
    """Whose text it proved to be: the bare tel URI, and the security domain."""

    signer: str
    domain: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """A text that is ready to be sent: ``length`` octets, whose SHA-256 is ``digest``."""

    envelope: Envelope
    digest: bytes
    length: int


class TextCrypto:
    """What of a text's way needs keys, asked of the relay."""

    def __init__(self, relay: RelayClient) -> None:
        self._relay = relay
        self._numbers = itertools.count(1)

    async def open(self, envelope: Envelope, sealed: BinaryIO, out: BinaryIO) -> Opened:
        """Open the content that ``sealed`` holds from its position on, and write it to ``out``.

        Raises CryptoError for one that is not what its sender sealed for us, or another CigError;
        then ``out`` is as long as it was.
        """
        name, start = self._name(), out.tell()
        pieces = _pairs(iter(lambda: sealed.read(MAX_PART), b""))
        try:
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
                out.write(await self._piece(name, data, last))
        except BaseException:
            out.truncate(start)
            out.seek(start)
            await self._give_up(name)
            raise
        return Opened(reply.signer, reply.domain)

    async def seal(
        self, mid: str, from_uri: str, to_uri: str, content: Iterable[bytes], out: BinaryIO
    ) -> Sealed:
        """Seal ``content``, in pieces of any size, for ``to_uri``, and write it to ``out``.

        Raises ContentRefusedError for more than 16 MiB, or another CigError.
        """
        name, digest, length = self._name(), hashlib.sha256(), 0
        pieces = _pairs(_even(content))
        try:
            data, last = next(pieces)
            reply = await self._relay.request(
                SealTextRequest(
                    text=name, mid=mid, from_uri=from_uri, to_uri=to_uri, data=data, last=last
                ),
                SealTextReply,
            )
            given = reply.data
            while True:
                out.write(given)
                digest.update(given)
                length += len(given)
                if last:
                    break
                data, last = next(pieces)
                given = await self._piece(name, data, last)
        except BaseException:
            await self._give_up(name)
            raise
        envelope = Envelope(mid, from_uri, to_uri, reply.mikey)
        return Sealed(envelope, digest.digest(), length)

    async def sign_receipt(self, mid: str, status: str, content_digest: bytes) -> tuple[str, bytes]:
        """Sign a receipt of ours; gives the period and the signature. Raises CigError."""
        request = SignReceiptRequest(mid, status, content_digest)
        reply = await self._relay.request(request, SignReceiptReply)
        return reply.period, reply.sig

    async def check_receipt(self, receipt: Receipt, *, content_digest: bytes, signer: str) -> None:
        """Check that ``signer`` signed a receipt; raises CryptoError for a forged one."""
        request = CheckReceiptRequest(
            mid=receipt.mid,
            status=receipt.status.value,
            content_digest=content_digest,
            signer=signer,
            period=receipt.period,
            sig=receipt.sig,
        )
        await self._relay.request(request, Done)

    async def _piece(self, name: str, data: bytes, last: bool) -> bytes:
        return (await self._relay.request(TextDataRequest(name, data, last), TextDataReply)).data

    async def _give_up(self, name: str) -> None:
        with contextlib.suppress(CigError):
            await self._relay.request(CloseTextRequest(name), Done)

    def _name(self) -> str:
        return f"t{next(self._numbers)}"


def _even(content: Iterable[bytes]) -> Iterator[bytes]:
    """Cut a content into pieces of `MAX_PART` octets; refuses one that is too long."""
    held, length = bytearray(), 0
    for data in content:
        length += len(data)
        if length > _MOST:
            raise ContentRefusedError(
                "too-large", f"the message is larger than {MAX_SEALED >> 20} MiB when it is sealed"
            )
        held += data
        while len(held) >= MAX_PART:
            yield bytes(held[:MAX_PART])
            del held[:MAX_PART]
    if held:
        yield bytes(held)


def _pairs(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield each piece and whether it is the last; at least one, be it empty."""
    held = next(pieces, b"")
    for piece in pieces:
        yield held, False
        held = piece
    yield held, True
