# SPDX-License-Identifier: GPL-3.0-or-later
"""From a message in a mailbox, or an accepted text, to a sealed one in the outbox, ready to send.

The rules:

1. A message is parsed, then mapped; its own faults are `OwnFaultError`, with the words for its
   .reason file. A file that changes meanwhile is `NotYetError`.
2. It is sealed under a fresh mid, and what is sealed is on disk, in one commit, before an octet of
   it is sent: from then on the same octets go out until the CRS has them.
3. What only keeps us from sealing now (no relay, no keys, no room on the disk) is any other
   CigError, and nothing has happened.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Protocol

from cig_common.clock import Clock
from cig_common.config import Mailbox
from cig_common.errors import CryptoError
from cig_common.texts.content import AutoSubmitted, TextContent
from cig_common.texts.encode import entity_chunks
from cig_common.texts.errors import ContentError
from cig_server.texts import outbox_store
from cig_server.texts.courier import in_doubt
from cig_server.texts.crypto import Sealed
from cig_server.texts.mailbox_message import MailboxMessage
from cig_server.texts.mapping import MappingError, read_addresses
from cig_server.texts.model import ContentRefusedError, Origin, StorageError
from cig_server.texts.outbox_store import IN_ROW, Row, RowState
from cig_server.texts.read_mailbox import (
    Candidate,
    NoMessageError,
    NotYetError,
    opened,
    unchanged,
)
from cig_server.texts.sealed_files import SealedFiles
from cig_server.texts.spool import scratch_file
from cig_server.texts.store import TextStore, Work
from umsg.messages import Receipt, new_id
from umsg.texts import MAX_PART

ENGINES = 4
"""Texts that are sealed at once, so that a call never queues behind a windowful of them."""
MAX_ACCEPTED = 1 << 20
"""Octets of the content of a text that does not come from a mailbox."""

_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""Of our own folder: from the mailbox we only read here."""

logger = logging.getLogger("Texts")


class OwnFaultError(Exception):
    """A message that cannot be sent, now or later; the text is for its .reason file."""


class TextSealing(Protocol):
    """cig-relay, as far as texts that go out need it (`texts.crypto.TextCrypto`)."""

    async def seal(
        self, mid: str, from_uri: str, to_uri: str, content: Iterable[bytes], out: BinaryIO
    ) -> Sealed:
        """Seal a content and write it to ``out``."""
        ...

    async def check_receipt(self, receipt: Receipt, *, content_digest: bytes, signer: str) -> None:
        """Check a receipt; raises CryptoError for a forged one."""
        ...


@dataclass(frozen=True, slots=True)
class _Message:
    """A message that was read, and whom it is from and to."""

    content: TextContent
    from_uri: str
    to_uri: str


class Preparing:
    """Makes sealed rows. ``folder`` is the state folder."""

    def __init__(
        self,
        *,
        store: TextStore,
        files: SealedFiles,
        crypto: TextSealing,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        folder: Path,
    ) -> None:
        self._store = store
        self._files = files
        self._crypto = crypto
        self._clock = clock
        self._random_bytes = random_bytes
        self._folder = folder
        self._slots = asyncio.Semaphore(ENGINES)

    def new_mid(self) -> str:
        """Make a fresh mid."""
        return new_id(self._random_bytes)

    async def from_mailbox(
        self, mailbox: Mailbox, candidate: Candidate, own_uri: str, mid: str
    ) -> Row:
        """Read, map and seal a message, and keep its row.

        Raises OwnFaultError, NotYetError or CigError.
        """
        try:
            return await self._from_mailbox(mailbox, candidate, own_uri, mid)
        except (NoMessageError, ContentRefusedError, MappingError) as error:
            raise OwnFaultError(str(error)) from None
        except ContentError as error:
            raise OwnFaultError(f"{error.word}: {error}") from None
        except OSError as error:
            where = str(self._folder) if error.errno in _WRITING else mailbox.path
            raise StorageError(where, error.strerror or str(error)) from None

    async def seal(self, row: Row) -> Row:
        """Seal a queued text. Raises OwnFaultError or CigError."""
        content = [row.content or b""]
        with scratch_file(self._folder) as out:
            sealed, blob = await self._seal(row.mid, row.from_uri, row.to_uri, content, out)
        await self._store.run(
            lambda connection: outbox_store.seal(
                connection,
                row.mid,
                mikey=sealed.envelope.mikey,
                digest=sealed.digest,
                sealed=blob,
                length=sealed.length,
            )
        )
        return _sealed(row, sealed, blob)

    async def accept(
        self,
        *,
        from_uri: str,
        to_uri: str,
        content: TextContent,
        origin: Origin,
        also: Work[None] | None = None,
    ) -> Row:
        """Keep a text that is to be sent; on disk when it returns. Raises CigError.

        ``also`` is done in the same commit: both are on disk, or neither is.
        """
        entity = await asyncio.to_thread(self._entity, content)
        now = self._clock.utc()
        row = Row(
            mid=new_id(self._random_bytes),
            state=RowState.QUEUED,
            origin=origin,
            from_uri=from_uri,
            to_uri=to_uri,
            written=content.date.timestamp(),
            automatic=content.auto_submitted is not AutoSubmitted.NO,
            since=now,
            due=now,
            content=entity,
        )

        def keep(connection: sqlite3.Connection) -> None:
            outbox_store.insert(connection, row)
            if also is not None:
                also(connection)

        await self._store.run(keep)
        return row

    def pieces(self, row: Row) -> Iterator[bytes]:
        """Give a row's sealed content in pieces of `MAX_PART` octets."""
        if row.sealed is None:
            return self._files.parts(row.mid)
        whole = row.sealed
        return (whole[start : start + MAX_PART] for start in range(0, len(whole), MAX_PART))

    # --- the inside -----------------------------------------------------------------------------

    async def _from_mailbox(
        self, mailbox: Mailbox, candidate: Candidate, own_uri: str, mid: str
    ) -> Row:
        with opened(candidate) as file:
            reading = partial(_read, file, mailbox, own_uri, self._moment())
            small = candidate.size <= IN_ROW  # read sooner than a thread is found
            message = reading() if small else await asyncio.to_thread(reading)
            with scratch_file(self._folder) as out:
                chunks = entity_chunks(message.content, self._random_bytes)
                if not small:
                    # The whole text is looked through before the first octet of it is written.
                    chunks = chain([await asyncio.to_thread(next, chunks, b"")], chunks)
                sealed, blob = await self._seal(mid, message.from_uri, message.to_uri, chunks, out)
            if not unchanged(candidate, file):
                self._files.drop([mid])
                raise NotYetError
        now = self._clock.utc()
        row = Row(
            mid=mid,
            state=RowState.SEALED,
            origin=Origin.MAILBOX,
            from_uri=message.from_uri,
            to_uri=message.to_uri,
            written=message.content.date.timestamp(),
            automatic=message.content.auto_submitted is not AutoSubmitted.NO,
            since=min(candidate.since, now),  # one of the future counts from now on
            due=now,
            source=candidate,
        )
        row = _sealed(row, sealed, blob)
        await self._insert(row)
        return row

    async def _insert(self, row: Row) -> None:
        """Keep a sealed row; where it surely is not kept, its file goes too, for room's sake."""
        try:
            await self._store.run(lambda connection: outbox_store.insert(connection, row))
        except StorageError as error:
            if row.sealed is None and not in_doubt(error):
                await asyncio.to_thread(self._files.drop, [row.mid])
            raise

    async def _seal(
        self, mid: str, from_uri: str, to_uri: str, content: Iterable[bytes], out: BinaryIO
    ) -> tuple[Sealed, bytes | None]:
        """Seal a content; gives it if it fits in a row, else it is in its file."""
        try:
            async with self._slots:
                sealed = await self._crypto.seal(mid, from_uri, to_uri, content, out)
        except CryptoError as error:
            if error.retryable:
                raise
            raise OwnFaultError(f"it cannot be sealed for {to_uri}: {error}") from None
        if sealed.length > IN_ROW:
            await asyncio.to_thread(self._files.keep, mid, out)
            return sealed, None
        out.seek(0)
        return sealed, out.read()

    def _entity(self, content: TextContent) -> bytes:
        whole = bytearray()
        for chunk in entity_chunks(content, self._random_bytes):
            whole += chunk
            if len(whole) > MAX_ACCEPTED:
                raise ContentRefusedError("too-large", "the text is too large")
        return bytes(whole)

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._clock.utc(), UTC)


def _sealed(row: Row, sealed: Sealed, blob: bytes | None) -> Row:
    return replace(
        row,
        state=RowState.SEALED,
        content=None,
        mikey=sealed.envelope.mikey,
        digest=sealed.digest,
        sealed=blob,
        length=sealed.length,
    )


def _read(file: BinaryIO, mailbox: Mailbox, own_uri: str, now: datetime) -> _Message:
    # A message without a Date was written when its file was.
    written = datetime.fromtimestamp(min(os.fstat(file.fileno()).st_mtime, now.timestamp()), UTC)
    try:
        message = MailboxMessage.parse(file, written)
    except (ContentError, OSError):
        raise
    except Exception as error:
        # A fault of our own, but one that this message meets every time. Its words may be content.
        logger.error("a message could not be read, by a fault of our own: %s", type(error).__name__)
        raise OwnFaultError(
            f"cig-server cannot read it, by a fault of its own ({type(error).__name__})"
        ) from None
    found = read_addresses(mailbox, own_uri, message.from_, message.to)
    return _Message(message.content, found.from_uri, found.to_uri)
