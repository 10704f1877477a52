# SPDX-License-Identifier: GPL-3.0-or-later
"""Delivers texts into mailboxes: each into all that it is for, or into none; once, and for good.

The rules:

1. Whatever waits when the worker is free is one batch. Its steps, in this order, each on disk
   before the next begins:
   a. every copy is written to its mailbox's tmp/ and synced; the tmp folders are synced;
   b. one commit journals the intents of the batch, with the names of their copies, and as done
      what the batch before has delivered;
   c. every copy is moved to new/; the new and tmp folders are synced.
   Only then does `Deliverer.deliver` return, and a receipt may say so.
2. What fails before b has not been: its files are removed. What fails in c stays an intent: it is
   tried again until it succeeds, and whoever delivers the same text again completes it.
3. An intent is only ever rolled forward: a copy that is in tmp/ is moved, one that is not was moved
   before, and maybe read and deleted since. None is written a second time.
4. A commit whose failure leaves open what is on disk (the disk did not answer) may come back after
   a crash. Its files stay in tmp/ until another commit has been written over it.
5. At the start, before anything is delivered, intents are rolled forward, and files of ours in tmp/
   that no intent names are removed. Files older than 36 h are removed from there now and then.
6. A mailbox, or a text, with a fault holds up no other; what is wrong is told in `trouble` until
   the mailbox has worked again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cig_common.clock import Clock
from cig_server.texts import received
from cig_server.texts.batch import Job
from cig_server.texts.courier import BATCH, Courier
from cig_server.texts.faults import Faults
from cig_server.texts.maildir import Maildir, Names, storage_error
from cig_server.texts.model import Copy, Outcome, QueueFacts, StorageError, TextKey
from cig_server.texts.received import State
from cig_server.texts.store import TextStore

THREADS = 4
RETRY_SECONDS = 10.0
"""Between attempts to move what could not be moved."""
HOUSEKEEPING_SECONDS = 6 * 3600.0

_Result = TypeVar("_Result")

logger = logging.getLogger("Texts")


class Deliverer:
    """The journal of texts that came, and the write mailboxes on disk.

    ``store`` is open, and has `received.SCHEMA`. ``mailboxes`` returns the paths of the write
    mailboxes of the present configuration; ``random_bytes`` as many octets as it is asked for.
    """

    def __init__(
        self,
        store: TextStore,
        *,
        mailboxes: Callable[[], Iterable[str]],
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._store = store
        self._mailboxes = mailboxes
        self._clock = clock
        self._names = Names(random_bytes)
        self._faults = Faults(clock)
        self._queue: deque[Job] = deque()
        self._under_way: dict[TextKey, Job] = {}
        self._retry_at = 0.0
        self._housekeeping_at = 0.0
        self._wake = asyncio.Event()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="mailbox")
        self._courier = Courier(store, self._pool, clock, self._names, self._faults, self.counters)
        self._worker: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def trouble(self) -> str:
        """What is wrong with mailboxes or the journal at present; empty where nothing is."""
        return self._faults.text

    # --- for the rest of the server -------------------------------------------------------------

    async def start(self) -> None:
        """Roll forward what was begun, clean up, and take texts.

        Raises StorageError where the journal cannot be used. A mailbox's fault is no reason not to
        start.
        """
        await self._courier.roll_forward()
        await self._clean(ours=True)
        await self._prune()
        self._worker = asyncio.create_task(self._work(), name="texts-delivery")

    async def stop(self) -> None:
        """Deliver what waits, journal it, and end. Texts that come later are refused."""
        self._stopping = True
        self._wake.set()
        if self._worker is not None:
            await asyncio.wait([self._worker])
            self._worker = None
        if self._courier.finished:
            with contextlib.suppress(StorageError):  # the next start finds out by itself
                await self._courier.commit(lambda connection: None)
        self._pool.shutdown(wait=False)

    async def known(self, key: TextKey) -> Outcome | None:
        """Return what became of a text, None where it is not settled. Raises StorageError."""
        if key in self._courier.finished:
            return self._courier.finished[key]
        row = await self._courier.ask(lambda connection: received.find(connection, key))
        return None if row is None or row.state is State.INTENT else row.outcome

    async def deliver(
        self, key: TextKey, content_digest: bytes, copies: Sequence[Copy], reason: str = ""
    ) -> None:
        """Write all copies, of which there may be none, and journal the text as delivered.

        When it returns, they are in their mailboxes' new/ on disk, for good; a text that the
        journal has already is left as it is. Raises StorageError, and what a copy's ``write``
        raises: then nothing may be receipted, and the same may be tried again. A caller that is
        cancelled does not undo what has begun.
        """
        while (job := self._under_way.get(key)) is not None and job.given_up:
            await asyncio.wait([self._future(job)])
        if job is None:
            if self._stopping or self._worker is None:
                raise StorageError(str(self._store.path), "texts are not delivered: we stop")
            job = Job(key, content_digest, reason, copies)
            job.future = asyncio.get_running_loop().create_future()
            self._under_way[key] = job
            self._queue.append(job)
            self._wake.set()
        job.waiters += 1
        try:
            await asyncio.shield(self._future(job))
        finally:
            job.waiters -= 1
            job.given_up = not job.waiters

    async def refuse(self, key: TextKey, content_digest: bytes, reason: str) -> None:
        """Journal a text as refused, on disk when it returns; one that was settled stays as it is.

        Raises StorageError, also for a text that is in some of its mailboxes already.
        """
        now = self._clock.utc()
        if (job := self._under_way.get(key)) is not None:
            await asyncio.wait([self._future(job)])
        state = await self._courier.commit(
            lambda connection: received.refuse(connection, key, content_digest, reason, now)
        )
        if state is State.INTENT:
            raise StorageError(str(self._store.path), "the text's delivery has begun and goes on")

    async def keep_receipt(self, key: TextKey, period: str, sig: bytes) -> None:
        """Keep a receipt's period and signature with its text. Raises StorageError."""
        await self._courier.commit(
            lambda connection: received.keep_receipt(connection, key, period, sig)
        )

    async def probe(self) -> str:
        """Try whether all write mailboxes and the journal can be written.

        Returns what is wrong, or nothing. Leaves nothing behind, and has what is still to be moved
        tried again.
        """
        wrong = await self._look()
        if self._courier.unfinished:
            self._retry_at = 0.0
            self._wake.set()
        return wrong

    async def facts(self) -> list[QueueFacts]:
        """Return the write mailboxes: ``waiting`` are the files in new/ that nobody has read."""
        return list(await asyncio.gather(*map(self._fact, sorted(set(self._mailboxes())))))

    # --- the worker -----------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            jobs = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            try:
                if not self._stopping:
                    await self._mend()
                if jobs:
                    await self._courier.carry(jobs)
                    self._give_back(jobs)
                elif self._clock.monotonic() >= self._housekeeping_at and not self._stopping:
                    await self._clean(ours=False)
                    await self._prune()
            except StorageError as error:
                self._courier.unfinished = True
                self._give_back(jobs, error)
            except Exception as error:
                logger.exception("a batch of texts could not be delivered")
                self._courier.unfinished = True
                self._give_back(
                    jobs, StorageError(str(self._store.path), f"a fault: {type(error).__name__}")
                )
            if not self._queue:
                if self._stopping:
                    return
                await self._rest()

    async def _rest(self) -> None:
        """Wait for work, or until there may be something to do again."""
        troubled = self._courier.unfinished or self._faults.text
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS if troubled else HOUSEKEEPING_SECONDS):
                await self._wake.wait()

    async def _mend(self) -> None:
        """Look now and then whether what was wrong is still so; move what is still to be moved."""
        now = asyncio.get_running_loop().time()
        if now < self._retry_at or not (self._courier.unfinished or self._faults.text):
            return
        self._retry_at = now + RETRY_SECONDS
        self.counters["delivery-retries"] += 1
        if self._faults.text:
            await self._look()
        if self._courier.unfinished:
            await self._courier.roll_forward()

    def _give_back(self, jobs: Sequence[Job], error: Exception | None = None) -> None:
        for job in jobs:
            if error is not None:
                job.fail(error)
            if job.error is not None:
                self.counters["delivery-faults"] += 1
            self._under_way.pop(job.key, None)
            job.settle()

    # --- housekeeping, and looking --------------------------------------------------------------

    async def _prune(self) -> None:
        self._housekeeping_at = self._clock.monotonic() + HOUSEKEEPING_SECONDS
        now = self._clock.utc()
        while await self._courier.commit(lambda connection: received.prune(connection, now)):
            pass

    async def _clean(self, *, ours: bool) -> None:
        rows = await self._courier.ask(received.begun)
        keep = {place.name for row in rows for place in row.places}
        keep.update(place.name for place in self._courier.doubtful)
        now = self._clock.utc()

        def clean(box: Maildir) -> int:
            return box.clean(keep, now, self._names.is_ours if ours else None)

        for path in sorted(set(self._mailboxes())):
            try:
                removed = await self._at(path, clean)
                self.counters["stale-files"] += removed
            except StorageError as error:
                self._faults.note({path: error}, ())

    async def _look(self) -> str:
        """Try out all mailboxes and the journal; see `probe`."""
        paths = sorted(set(self._mailboxes()))
        self._faults.keep_only({*paths, str(self._store.path)})
        results = await asyncio.gather(*(self._try_out(path) for path in paths))
        now = self._clock.utc()
        try:
            await self._courier.commit(lambda connection: received.try_out(connection, now))
        except StorageError as error:
            results.append(str(error))
        return "; ".join(filter(None, results))

    async def _try_out(self, path: str) -> str:
        name = self._names.next(self._clock.utc())
        try:
            room = self._faults.wanted(path)
            await self._at(path, lambda box: box.try_out(name, room))
        except StorageError as error:
            self._faults.note({path: error}, ())
            return str(error)
        self._faults.mended(path)
        return ""

    async def _fact(self, path: str) -> QueueFacts:
        error, at = self._faults.last(path)
        try:
            waiting, oldest = await self._at(path, Maildir.waiting)
        except StorageError as fault:
            return QueueFacts("write", path, 0, None, error=str(fault), error_at=self._clock.utc())
        return QueueFacts("write", path, waiting, oldest, error=error, error_at=at)

    async def _at(self, path: str, work: Callable[[Maildir], _Result]) -> _Result:
        """Do something to a mailbox in a thread; raises StorageError."""

        def work_in_it() -> _Result:
            with Maildir(path) as box:
                return work(box)

        if self._stopping:
            raise StorageError(path, "texts are not delivered: we stop")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work_in_it)
        except OSError as error:
            raise storage_error(path, error) from error

    @staticmethod
    def _future(job: Job) -> asyncio.Future[None]:
        if job.future is None:
            raise TypeError("a job of the worker's own")
        return job.future
