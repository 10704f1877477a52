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
import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cig_common.clock import Clock
from cig_server.texts import received
from cig_server.texts.batch import Boxes, Job
from cig_server.texts.faults import Faults
from cig_server.texts.maildir import Maildir, Names, storage_error
from cig_server.texts.model import Copy, Outcome, QueueFacts, StorageError, TextKey
from cig_server.texts.received import Place, State
from cig_server.texts.store import TextStore, Work
from umsg.messages import ReceiptStatus

BATCH = 64
"""Texts in one batch."""
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
        self._finished: dict[TextKey, Outcome] = {}
        """Delivered, and not journalled as done yet: at most what one batch has."""
        self._doubtful: list[Place] = []
        self._unfinished = False
        self._retry_at = 0.0
        self._housekeeping_at = 0.0
        self._wake = asyncio.Event()
        self._pool: ThreadPoolExecutor | None = None
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
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="mailbox")
        await self._roll_forward()
        await self._clean(ours=True)
        await self._prune()
        self._stopping = False
        self._worker = asyncio.create_task(self._work(), name="texts-delivery")

    async def stop(self) -> None:
        """Deliver what waits, journal it, and end. Texts that come later are refused."""
        self._stopping = True
        self._wake.set()
        if self._worker is not None:
            await asyncio.wait([self._worker])
            self._worker = None
        if self._finished:
            with contextlib.suppress(StorageError):  # the next start finds out by itself
                await self._commit(lambda connection: None)
        if self._pool is not None:
            self._pool.shutdown(wait=False)

    async def known(self, key: TextKey) -> Outcome | None:
        """Return what became of a text, None where it is not settled. Raises StorageError."""
        if key in self._finished:
            return self._finished[key]
        row = await self._ask(lambda connection: received.find(connection, key))
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
        state = await self._commit(
            lambda connection: received.refuse(connection, key, content_digest, reason, now)
        )
        if state is State.INTENT:
            raise StorageError(str(self._store.path), "the text's delivery has begun and goes on")

    async def keep_receipt(self, key: TextKey, period: str, sig: bytes) -> None:
        """Keep a receipt's period and signature with its text. Raises StorageError."""
        await self._commit(lambda connection: received.keep_receipt(connection, key, period, sig))

    async def probe(self) -> str:
        """Try whether all write mailboxes and the journal can be written.

        Returns what is wrong, or nothing. Leaves nothing behind, and has what is still to be moved
        tried again.
        """
        wrong = await self._look()
        if self._unfinished:
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
                    await self._batch(jobs)
                elif self._clock.monotonic() >= self._housekeeping_at and not self._stopping:
                    await self._clean(ours=False)
                    await self._prune()
            except StorageError as error:
                self._unfinished = True
                self._give_back(jobs, error)
            except Exception as error:
                logger.exception("a batch of texts could not be delivered")
                self._unfinished = True
                self._give_back(jobs, StorageError(str(self._store.path), f"a fault: {error!r}"))
            if not self._queue:
                if self._stopping:
                    return
                await self._rest()

    async def _rest(self) -> None:
        """Wait for work, or until there may be something to do again."""
        troubled = self._unfinished or self._faults.text
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS if troubled else HOUSEKEEPING_SECONDS):
                await self._wake.wait()

    async def _mend(self) -> None:
        """Look now and then whether what was wrong is still so; move what is still to be moved."""
        now = asyncio.get_running_loop().time()
        if now < self._retry_at or not (self._unfinished or self._faults.text):
            return
        self._retry_at = now + RETRY_SECONDS
        self.counters["delivery-retries"] += 1
        if self._faults.text:
            await self._look()
        if self._unfinished:
            await self._roll_forward()

    def _give_back(self, jobs: Sequence[Job], error: Exception | None = None) -> None:
        for job in jobs:
            if error is not None:
                job.fail(error)
            if job.error is not None:
                self.counters["delivery-faults"] += 1
            self._under_way.pop(job.key, None)
            job.settle()

    async def _batch(self, jobs: Sequence[Job]) -> None:
        """Deliver texts, as the rules say; each job is settled when it returns."""
        rows = await self._ask(
            lambda connection: received.find_all(connection, [job.key for job in jobs])
        )
        todo: list[Job] = []
        for job in jobs:
            row = rows.get(job.key)
            if job.key in self._finished or (row is not None and row.state is not State.INTENT):
                self.counters["delivered-before"] += 1
                continue
            if row is not None:
                job.begun, job.places, job.copies = True, list(row.places), ()
            todo.append(job)
        boxes = Boxes(self._threads)
        try:
            await boxes.open(
                [copy.mailbox for job in todo for copy in job.copies]
                + [place.mailbox for job in todo for place in job.places]
            )
            await self._write(boxes, [job for job in todo if not job.begun])
            await self._move(boxes, [job for job in todo if job.begun])
        finally:
            self._faults.note(boxes.told, boxes.worked)
            boxes.close()
        self._give_back(jobs)

    async def _write(self, boxes: Boxes, jobs: Sequence[Job]) -> None:
        """Steps a and b. Jobs that are ``begun`` afterwards are journalled."""
        now = self._clock.utc()
        await asyncio.gather(
            *(boxes.write(job, [self._names.next(now) for _ in job.copies]) for job in jobs)
        )
        await boxes.sync_tmp(jobs)
        await boxes.drop(place for job in jobs if job.error is not None for place in job.places)
        whole = [job for job in jobs if job.error is None]
        if not whole:
            return

        def intend(connection: sqlite3.Connection) -> None:
            for job in whole:
                received.intend(connection, job.key, job.digest, job.reason, job.places, now)

        places = [place for job in whole for place in job.places]
        try:
            await self._commit(intend)
        except StorageError as error:
            if in_doubt(error):
                self._doubtful += places
            else:
                await boxes.drop(places)
            for job in whole:
                job.fail(error)
        else:
            for job in whole:
                job.begun = True
            self.counters["copies"] += len(places)

    async def _move(self, boxes: Boxes, jobs: Sequence[Job]) -> None:
        """Step c, of jobs that are journalled."""
        await boxes.move(jobs)
        for job in jobs:
            if job.error is not None:
                self._unfinished = True
            else:
                self._finished[job.key] = Outcome(ReceiptStatus.DELIVERED, job.reason, job.digest)

    async def _roll_forward(self) -> None:
        """Move what is still to be moved; without a batch under way."""
        rows = [row for row in await self._ask(received.begun) if row.key not in self._finished]
        self._unfinished = False
        for first in range(0, len(rows), BATCH):
            await self._batch(
                [
                    Job(row.key, row.outcome.content_digest, row.outcome.reason, ())
                    for row in rows[first : first + BATCH]
                ]
            )

    # --- the journal ----------------------------------------------------------------------------

    async def _commit(self, work: Work[_Result]) -> _Result:
        """Have ``work`` written, and with it what is done; remove what was in doubt before."""
        now, done, doubtful = self._clock.utc(), list(self._finished), list(self._doubtful)

        def write(connection: sqlite3.Connection) -> _Result:
            received.finish(connection, done)
            if doubtful:
                received.try_out(connection, now)
            return work(connection)

        result = await self._ask(write)
        for key in done:
            self._finished.pop(key, None)
        if doubtful:
            self._doubtful = [place for place in self._doubtful if place not in doubtful]
            boxes = Boxes(self._threads)
            try:
                await boxes.open(place.mailbox for place in doubtful)
                await boxes.drop(doubtful)
            finally:
                boxes.close()
        return result

    async def _ask(self, work: Work[_Result]) -> _Result:
        path = str(self._store.path)
        try:
            result = await self._store.run(work)
        except StorageError as error:
            self._faults.note({path: error}, ())
            raise
        self._faults.note({}, (path,))
        return result

    # --- housekeeping, and looking --------------------------------------------------------------

    async def _prune(self) -> None:
        self._housekeeping_at = self._clock.monotonic() + HOUSEKEEPING_SECONDS
        now = self._clock.utc()
        while await self._commit(lambda connection: received.prune(connection, now)):
            pass

    async def _clean(self, *, ours: bool) -> None:
        rows = await self._ask(received.begun)
        keep = {place.name for row in rows for place in row.places}
        keep.update(place.name for place in self._doubtful)
        now = self._clock.utc()

        def clean(box: Maildir) -> int:
            return box.clean(keep, now, self._names.is_ours if ours else None)

        for path in sorted(set(self._mailboxes())):
            try:
                self.counters["stale-files"] += await self._at(path, clean)
            except StorageError as error:
                self._faults.note({path: error}, ())

    async def _look(self) -> str:
        """Try out all mailboxes and the journal; see `probe`."""
        paths = sorted(set(self._mailboxes()))
        self._faults.keep_only({*paths, str(self._store.path)})
        results = await asyncio.gather(*(self._try_out(path) for path in paths))
        now = self._clock.utc()
        try:
            await self._commit(lambda connection: received.try_out(connection, now))
        except StorageError as error:
            results.append(str(error))
        return "; ".join(filter(None, results))

    async def _try_out(self, path: str) -> str:
        name = self._names.next(self._clock.utc())
        try:
            await self._at(path, lambda box: box.try_out(name))
        except StorageError as error:
            self._faults.note({path: error}, ())
            return str(error)
        self._faults.note({}, (path,))
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

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work_in_it)
        except OSError as error:
            raise storage_error(path, error) from error

    @property
    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            raise StorageError(str(self._store.path), "texts are not delivered: not started")
        return self._pool

    @staticmethod
    def _future(job: Job) -> asyncio.Future[None]:
        if job.future is None:
            raise TypeError("a job of the worker's own")
        return job.future


def in_doubt(error: StorageError) -> bool:
    """Tell whether a commit that failed may be on disk all the same."""
    cause = error.__cause__
    if not isinstance(cause, sqlite3.Error):
        return False
    code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_IOERR)
    return (code & 0xFF) == sqlite3.SQLITE_IOERR
