# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts to the secure side: from mailboxes and from SIP to the CRS, until it has them on disk.

The rules:

1. At most `WINDOW` texts are under way at once, each in a task of its own; all others stay where
   they are, on disk. So a queue of any length costs the same memory.
2. What is in the outbox already goes first, the oldest first; then come the mailboxes in turn.
3. Without a connection to the CRS nothing is begun. Where nothing can be sealed (no relay, no keys)
   or kept (a full disk), nothing is begun for `PAUSE_SECONDS`; `trouble` says why.
4. A message that fails by its own fault is put aside, and keeps no other waiting.

`outbox` has the way of one text, `preparing` its beginning, `ending` its ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TypedDict

from cig_common.clock import Clock
from cig_common.config import Configuration, Mailbox, MailboxKind
from cig_common.errors import CigError
from cig_common.texts.content import TextContent
from cig_server.texts import outbox_store
from cig_server.texts.carrying import Carrying
from cig_server.texts.ending import Ending, Notifying
from cig_server.texts.flight import PartLink
from cig_server.texts.model import Origin, QueueFacts, StorageError
from cig_server.texts.outbox import DOWN_SECONDS, FIRST_REST, Input, of_error
from cig_server.texts.outbox_store import Row, RowState
from cig_server.texts.overdue import give_up_old
from cig_server.texts.preparing import Preparing, TextSealing
from cig_server.texts.sealed_files import SealedFiles
from cig_server.texts.store import TextStore, Work
from cig_server.texts.watch import ReadMailboxes, look
from umsg.errors import ErrorCode
from umsg.messages import Receipt

WINDOW = 16
PAUSE_SECONDS = 5.0
MOST_RESTING = 10_000
"""Texts of mailboxes that may rest in the outbox; with more, the others stay in their mailboxes."""
_PRUNE_SECONDS = 3600.0

logger = logging.getLogger("Texts")


class _OnDisk(TypedDict):
    store: TextStore
    clock: Clock


class Sending:
    """The way out. ``own_uri`` gives the gateway's tel URI, None without keys; ``retry_seconds``
    how long a text is tried; ``folder`` is the state folder. The store is open, and has
    `outbox_store.SCHEMA`.
    """

    def __init__(
        self,
        *,
        config: Callable[[], Configuration],
        store: TextStore,
        crypto: TextSealing,
        link: PartLink,
        own_uri: Callable[[], str | None],
        notify: Notifying,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        folder: Path,
        retry_seconds: Callable[[], float],
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._config = config
        self._store = store
        self._link = link
        self._own_uri = own_uri
        self._clock = clock
        self._retry_seconds = retry_seconds
        self._files = files = SealedFiles(folder)
        on_disk: _OnDisk = {"store": store, "clock": clock}
        preparing = self._preparing = Preparing(
            files=files, crypto=crypto, random_bytes=random_bytes, folder=folder, **on_disk
        )
        ending = self._ending = Ending(
            files=files, crypto=crypto, notify=notify, counters=self.counters, **on_disk
        )
        self._carrying = Carrying(
            link=link,
            preparing=preparing,
            ending=ending,
            retry_seconds=retry_seconds,
            sealed=self._works,
            counters=self.counters,
            **on_disk,
        )
        self._flights = self._carrying.flights
        self._wake = asyncio.Event()
        self._mailboxes = ReadMailboxes(self._wake.set, clock)
        self._begun = 0
        self._rows_at = 0.0
        """When the outbox is to be asked for what is due, seconds since 1970."""
        self._room = True
        """Whether the outbox may get more rows."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._worker: asyncio.Task[None] | None = None
        self._paused_until = 0.0
        self._down_since: float | None = clock.monotonic()
        self._pruned_at = 0.0
        self._fault = ""
        self._stopping = False
        self._prepared = False

    @property
    def trouble(self) -> str:
        """What keeps texts from being sent at present, other than the CRS; empty if nothing."""
        return "; ".join(
            filter(None, (self._fault, self._carrying.faults.text, self._mailboxes.trouble))
        )

    async def prepare(self) -> None:
        """Look after what an earlier run left. Raises StorageError; may be tried again."""
        wanted = await self._store.run(outbox_store.in_files)
        try:
            await asyncio.to_thread(self._files.prepare, wanted)
        except OSError as error:
            raise StorageError(str(self._store.path.parent), str(error.strerror)) from None
        self._prepared = True

    async def start(self) -> None:
        """Begin to send. Raises StorageError where it was not prepared and cannot be."""
        if not self._prepared:
            await self.prepare()
        self._down_since = None if self._link.connected else self._clock.monotonic()
        self.reconfigured()
        self._worker = asyncio.create_task(self._work(), name="texts-sending")

    async def stop(self) -> None:
        """Begin nothing more; what is under way stays in the outbox."""
        self._stopping = True
        tasks = [task for task in (self._worker, *self._tasks) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._mailboxes.stop()
        await self._ending.stop()

    def reconfigured(self) -> None:
        """Watch the mailboxes of the configuration in use."""
        self._mailboxes.configure(self._boxes())

    async def accept(
        self,
        *,
        from_uri: str,
        to_uri: str,
        content: TextContent,
        origin: Origin,
        also: Work[None] | None = None,
    ) -> str:
        """Take a text to send; on disk when it returns its mid, and ``also`` with it by the same
        commit. Raises CigError.
        """
        row = await self._preparing.accept(
            from_uri=from_uri, to_uri=to_uri, content=content, origin=origin, also=also
        )
        self.counters["accepted"] += 1
        self._look_at_rows()
        return row.mid

    async def facts(self) -> list[QueueFacts]:
        """Give the outbox, and the read mailboxes: ``waiting`` are the messages in new/."""
        number, oldest, error = await self._store.run(outbox_store.counts)
        outgoing = QueueFacts("crs", "outgoing", number, oldest, error=error)
        now = self._clock.utc()
        looks = [asyncio.to_thread(look, box.path, now) for box in self._boxes()]
        return [outgoing, *await asyncio.gather(*looks)]

    def _boxes(self) -> list[Mailbox]:
        return [box for box in self._config().mailboxes if box.kind is MailboxKind.READ]

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self._tasks)

    def look(self) -> None:
        """Look at once whether there is something to do."""
        self._look_at_rows()

    # --- what is heard --------------------------------------------------------------------------

    def connected(self) -> None:
        """The CRS has welcomed us."""
        self._down_since = None
        self._look_at_rows()

    def lost(self) -> None:
        """The connection is gone: what is under way begins anew with the next one."""
        self._down_since = self._clock.monotonic()
        for flight in self._flights.values():
            if flight is not None:
                flight.hear(Input.LOST, "the connection to the CRS broke")

    def stored(self, mid: str) -> None:
        """The CRS has a text."""
        flight = self._flights.get(mid)
        if flight is not None:
            flight.hear(Input.STORED)
        elif mid not in self._flights:
            self._spawn(self._late(mid))

    def error(self, mid: str, code: ErrorCode, text: str) -> None:
        """The CRS has a text's error."""
        flight = self._flights.get(mid)
        if flight is not None:
            flight.hear(of_error(code), f"the CRS says {code.value}: {text}")

    def receipt(self, receipt: Receipt) -> None:
        """A recipient says what became of a text."""
        self._spawn(self._receipt(receipt))

    async def _late(self, mid: str) -> None:
        row = await self._store.run(lambda connection: outbox_store.find(connection, mid))
        if row is not None and row.state is RowState.SEALED and mid not in self._flights:
            await self._finish(row)

    async def _finish(self, row: Row) -> bool:
        off = await self._carrying.finish(row)
        if not off:
            self._look_at_rows()
        return off

    async def _receipt(self, receipt: Receipt) -> None:
        """Take a receipt, which comes but once: what hinders that is waited out."""
        while True:
            try:
                await self._take(receipt)
                return
            except CigError as error:
                if not error.retryable:
                    raise
                self.counters["receipts-held"] += 1
            await asyncio.sleep(PAUSE_SECONDS)

    async def _take(self, receipt: Receipt) -> None:
        row = await self._ending.receipt(receipt)
        if row is None:
            return
        flight = self._flights.get(row.mid)
        if flight is not None:
            flight.hear(Input.STORED)
        # A message that was given up may lie in new/ still, and must not lie there without a row.
        off = await self._finish(row)
        await self._ending.receipted(row, receipt, keep=not off)

    # --- the worker -----------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            pause = PAUSE_SECONDS
            try:
                pause = await self._turn()
            except CigError as error:
                self._hold(str(error))
            except Exception:
                logger.exception("sending texts failed in a way not foreseen")
                self._hold("a fault of our own, see cig.log")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _turn(self) -> float:
        """Begin what can be begun; gives in how many seconds to look again."""
        now = self._clock.monotonic()
        await self._keep_house(now)
        own = self._own_uri()
        if not self._link.connected or own is None:
            return DOWN_SECONDS / 10
        if now < self._paused_until:
            return self._paused_until - now
        while self._begun < WINDOW:
            if not await self._begin_row() and not (self._room and await self._begin_message(own)):
                break
        if self._begun >= WINDOW:
            return 60.0  # whatever ends wakes us
        wait = min(self._mailboxes.next_scan(), self._rows_at - self._clock.utc())
        return max(0.05, min(wait, 60.0))

    async def _begin_row(self) -> bool:
        """Begin a text of the outbox; tells whether there was one."""
        now = self._clock.utc()
        if now < self._rows_at <= now + DOWN_SECONDS:  # later, and the clock was set back
            return False
        self._rows_at = now + DOWN_SECONDS
        busy = frozenset(self._flights)
        mids, due, resting = await self._store.run(
            lambda connection: (
                outbox_store.due(connection, now, busy, 1),
                outbox_store.next_due(connection, now),
                outbox_store.resting(connection, MOST_RESTING),
            )
        )
        self._room = resting < MOST_RESTING
        if mids:
            due = 0.0  # there may be more
        if due is not None:
            self._rows_at = min(self._rows_at, due)
        for mid in (mid for mid in mids if mid not in self._flights):
            self._flights[mid] = None
            self._begin(self._carrying.from_outbox(mid))
        return bool(mids)

    async def _begin_message(self, own: str) -> bool:
        carrying = self._carrying
        found = await self._mailboxes.next(carrying.claimed, leave=carrying.held())
        if found is not None:
            self._begin(self._carrying.from_mailbox(found, own))
        return found is not None

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        self._begun += 1
        self._spawn(work).add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._begun -= 1
        # If it rests now, then for so long at least.
        soonest = self._clock.utc() + FIRST_REST
        self._rows_at = min(self._rows_at, soonest) if self._room else 0.0
        self._wake.set()

    def _look_at_rows(self) -> None:
        self._rows_at = 0.0
        self._wake.set()

    def _down(self) -> float:
        return 0.0 if self._down_since is None else self._clock.monotonic() - self._down_since

    # --- housekeeping ---------------------------------------------------------------------------

    async def _keep_house(self, now: float) -> None:
        if now >= self._pruned_at + _PRUNE_SECONDS or not self._pruned_at:
            self._pruned_at = now
            utc = self._clock.utc()
            await self._store.run(lambda connection: outbox_store.prune(connection, utc))
        if self._down() >= DOWN_SECONDS:
            await give_up_old(
                store=self._store,
                mailboxes=self._mailboxes,
                carrying=self._carrying,
                before=self._clock.utc() - self._retry_seconds(),
                hours=self._retry_seconds() / 3600,
            )

    def _works(self) -> None:
        self._fault = ""

    def _hold(self, why: str) -> None:
        """Begin nothing for a while."""
        if why != self._fault:
            logger.warning("no text is sent for the moment: %s", why)
        self._fault = why
        self._paused_until = self._clock.monotonic() + PAUSE_SECONDS
        self._mailboxes.look_again()
        self._rows_at = 0.0

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except CigError as error:
            self._hold(str(error))
        except Exception as error:
            # Its words are left out: they could hold some of a text.
            logger.error(
                "a text could not be sent, by a fault of our own: %s",
                type(error).__name__,
                exc_info=error if not isinstance(error, ValueError) else None,
            )
            self._hold("a fault of our own, see cig.log")
