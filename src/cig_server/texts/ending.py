# SPDX-License-Identifier: GPL-3.0-or-later
"""The ends of texts for the secure side: stored, receipted, or given up.

The rules:

1. Stored: the message is removed from its mailbox and new/ is synced, and only then the row says
   so. In between a crash costs one more sending of the same octets, which the CRS knows. Many at
   once share the syncs.
2. Given up: the row says so, so that it is never sent again; the message goes to failed/ with its
   reason, the sender is told where a write mailbox or SIP takes it, and then the row is dropped.
   Each of these steps does nothing the second time.
3. A receipt counts when its recipient signed it. Refused: the sender is told. Either way the row is
   dropped, unless its message could not be removed yet: without the row it would be sent anew.
4. Who sent automatically is told nothing, so that two machines never talk for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Protocol

from cig_common.clock import Clock
from cig_common.config.errors import printable
from cig_common.errors import CigError, CryptoError
from cig_common.texts.content import TextContent
from cig_server.texts import failed, outbox_store
from cig_server.texts.maildir import storage_error
from cig_server.texts.model import StorageError
from cig_server.texts.notices import refusal_notice
from cig_server.texts.outbox_store import Row, RowState
from cig_server.texts.preparing import TextSealing
from cig_server.texts.read_mailbox import Candidate, remove
from cig_server.texts.sealed_files import SealedFiles
from cig_server.texts.store import TextStore
from umsg.messages import Receipt, ReceiptStatus

logger = logging.getLogger("Texts")

_Waiting = tuple[Row, asyncio.Future[None]]


class Notifying(Protocol):
    """Who brings a notice to the sender (`texts.incoming.Incoming`)."""

    async def deliver_local(
        self, *, from_uri: str, to_uri: str, mid: str, content: TextContent
    ) -> bool:
        """Deliver a text of our own; False where nobody takes it. Raises StorageError."""
        ...


class Ending:
    """Brings texts to their ends; ``counters`` is the sending side's."""

    def __init__(
        self,
        *,
        store: TextStore,
        files: SealedFiles,
        crypto: TextSealing,
        notify: Notifying,
        clock: Clock,
        counters: Counter[str],
    ) -> None:
        self._store = store
        self._files = files
        self._crypto = crypto
        self._notify = notify
        self._clock = clock
        self._counters = counters
        self._stored: list[_Waiting] = []
        self._finishing: dict[str, asyncio.Future[None]] = {}
        self._batch: asyncio.Task[None] | None = None

    async def stored(self, row: Row) -> None:
        """Take a text off the outbox; on disk when it returns. Raises StorageError.

        What the CRS says and what the recipient says of one text are one end of it.
        """
        future = self._finishing.get(row.mid)
        if future is None:
            future = self._finishing[row.mid] = asyncio.get_running_loop().create_future()
            future.add_done_callback(lambda _: self._finishing.pop(row.mid, None))
            self._stored.append((row, future))
        if self._batch is None or self._batch.done():
            self._batch = asyncio.create_task(self._finish_all(), name="texts-stored")
        await asyncio.shield(future)

    async def given_up(self, row: Row, reason: str) -> None:
        """End a text that cannot be sent. Raises StorageError."""
        if row.state is not RowState.FAILED:
            self.count_failed()
            logger.warning("text %s to %s was given up: %s", row.mid, row.to_uri, reason)
            await self._store.run(
                lambda connection: outbox_store.give_up(connection, row.mid, reason)
            )
        if row.source is not None:
            await self.put_aside(row.source.mailbox, row.source.name, reason, row.source)
        await self._tell(row, reason)
        await self._store.run(lambda connection: outbox_store.drop(connection, row.mid))
        await asyncio.to_thread(self._files.drop, [row.mid])

    def count_failed(self) -> None:
        """Count a message that was given up."""
        self._counters["failed"] += 1

    async def put_aside(
        self, mailbox: str, name: str, reason: str, candidate: Candidate | None = None
    ) -> None:
        """Move a message to failed/; see `failed.put_aside`. Raises StorageError."""
        now = self._clock.utc()
        try:
            kept = await asyncio.to_thread(failed.put_aside, mailbox, name, reason, now, candidate)
        except OSError as error:
            raise storage_error(f"{mailbox}/{failed.FOLDER}", error) from None
        if kept:
            logger.warning("%s/failed/%s: %s", mailbox, printable(kept), reason)

    async def receipt(self, receipt: Receipt) -> Row | None:
        """Take a receipt; gives its text, None where it is none of ours or forged.

        Raises CigError where it could not be checked.
        """
        row = await self._store.run(lambda connection: outbox_store.find(connection, receipt.mid))
        if row is None or row.state is RowState.QUEUED:
            self._counters["receipts-unknown"] += 1
            return None
        try:
            await self._crypto.check_receipt(receipt, content_digest=row.digest, signer=row.to_uri)
        except CryptoError as error:
            if error.retryable:
                raise
            self._counters["receipts-forged"] += 1
            logger.warning("the receipt of text %s is not %s's: %s", row.mid, row.to_uri, error)
            return None
        return row

    async def receipted(self, row: Row, receipt: Receipt, *, keep: bool = False) -> None:
        """Take what a good receipt says. Raises StorageError.

        With ``keep`` the row stays, because the text's message is still in its mailbox.
        """
        if receipt.status is ReceiptStatus.REFUSED:
            logger.warning("text %s was refused by %s", row.mid, row.to_uri)
            await self._tell(row, receipt.reason or "")
        if keep or await self._store.run(lambda connection: outbox_store.drop(connection, row.mid)):
            self._counters[f"receipts-{receipt.status.value}"] += 1

    async def stop(self) -> None:
        """Wait for what is being taken off."""
        if self._batch is not None:
            await asyncio.gather(self._batch, return_exceptions=True)

    # --- the inside -----------------------------------------------------------------------------

    async def _finish_all(self) -> None:
        while self._stored:
            batch, self._stored = self._stored, []
            by_mailbox: defaultdict[str, list[_Waiting]] = defaultdict(list)
            for waiting in batch:
                source = waiting[0].source
                by_mailbox[source.mailbox if source is not None else ""].append(waiting)
            await asyncio.gather(*(self._finish(box, few) for box, few in by_mailbox.items()))

    async def _finish(self, mailbox: str, batch: list[_Waiting]) -> None:
        """Take the stored texts of one mailbox off the outbox."""
        rows = [row for row, _ in batch]
        try:
            try:
                await asyncio.to_thread(remove, [row.source for row in rows if row.source])
            except OSError as error:
                raise storage_error(mailbox, error) from None
            mids, now = [row.mid for row in rows], self._clock.utc()
            count = await self._store.run(
                lambda connection: outbox_store.finish(connection, mids, now)
            )
            self._counters["sent"] += count
            large = [row.mid for row in rows if row.sealed is None]
            if large:
                await asyncio.to_thread(self._files.drop, large)
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for _, future in batch:
                if not future.done():
                    future.set_result(None)

    async def _tell(self, row: Row, reason: str) -> None:
        if row.automatic:
            return
        content = refusal_notice(
            sent_at=datetime.fromtimestamp(row.written, UTC),
            to_uri=row.to_uri,
            reason=reason,
            now=datetime.fromtimestamp(self._clock.utc(), UTC),
        )
        try:
            told = await self._notify.deliver_local(
                from_uri=row.to_uri, to_uri=row.from_uri, mid=row.mid, content=content
            )
        except StorageError:
            raise
        except CigError as error:
            logger.warning("the sender of text %s could not be told: %s", row.mid, error)
            return
        self._counters["notices" if told else "notices-for-nobody"] += 1
