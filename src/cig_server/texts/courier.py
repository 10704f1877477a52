# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries batches of texts into mailboxes: each into all that it is for, or into none; once, and
for good. See the rules of `cig_server.texts.delivery`, whose steps a, b and c these are.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import TypeVar

from cig_common.clock import Clock
from cig_server.texts import received
from cig_server.texts.batch import Boxes, Job
from cig_server.texts.faults import Faults
from cig_server.texts.maildir import Names
from cig_server.texts.model import Outcome, StorageError, TextKey
from cig_server.texts.received import Place, State
from cig_server.texts.store import TextStore, Work
from umsg.messages import ReceiptStatus

BATCH = 64
"""Texts in one batch."""

_Result = TypeVar("_Result")


class Courier:
    """Works for one `Deliverer`, whose parts it is given; one batch at a time."""

    def __init__(
        self,
        store: TextStore,
        pool: Executor,
        clock: Clock,
        names: Names,
        faults: Faults,
        counters: Counter[str],
    ) -> None:
        self._store = store
        self._pool = pool
        self._clock = clock
        self._names = names
        self._faults = faults
        self._counters = counters
        self.finished: dict[TextKey, Outcome] = {}
        """Delivered, and not journalled as done yet: at most what one batch has."""
        self.doubtful: list[Place] = []
        """Copies in tmp/ whose intents may be on disk though their commit failed."""
        self.unfinished = False
        """Whether there may be intents that could not be rolled forward."""

    async def carry(self, jobs: Sequence[Job]) -> None:
        """Deliver texts, as the rules say; what went wrong with one is in its ``error`` then.

        Raises StorageError where the journal cannot be asked.
        """
        rows = await self.ask(
            lambda connection: received.find_all(connection, [job.key for job in jobs])
        )
        todo: list[Job] = []
        for job in jobs:
            row = rows.get(job.key)
            if job.key in self.finished or (row is not None and row.state is not State.INTENT):
                self._counters["delivered-before"] += 1
                continue
            if row is not None:
                job.begun, job.places, job.copies = True, list(row.places), ()
                job.digest, job.reason = row.outcome.content_digest, row.outcome.reason
            todo.append(job)
        boxes = Boxes(self._pool)
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
            await self.commit(intend)
        except StorageError as error:
            if in_doubt(error):
                self.doubtful += places
            else:
                await boxes.drop(places)
            for job in whole:
                job.fail(error)
        else:
            for job in whole:
                job.begun = True
            self._counters["copies"] += len(places)

    async def _move(self, boxes: Boxes, jobs: Sequence[Job]) -> None:
        """Step c, of jobs that are journalled."""
        await boxes.move(jobs)
        for job in jobs:
            if job.error is not None:
                self.unfinished = True
            else:
                self.finished[job.key] = Outcome(ReceiptStatus.DELIVERED, job.reason, job.digest)

    async def roll_forward(self) -> None:
        """Move what is still to be moved; without a batch under way."""
        rows = [row for row in await self.ask(received.begun) if row.key not in self.finished]
        self.unfinished = False
        for first in range(0, len(rows), BATCH):
            await self.carry([Job(row.key, b"", "", ()) for row in rows[first : first + BATCH]])

    # --- the journal ----------------------------------------------------------------------------

    async def commit(self, work: Work[_Result]) -> _Result:
        """Have ``work`` written, and with it what is done; remove what was in doubt before."""
        now, done, doubtful = self._clock.utc(), list(self.finished), list(self.doubtful)

        def write(connection: sqlite3.Connection) -> _Result:
            received.finish(connection, done)
            if doubtful:
                received.try_out(connection, now)
            return work(connection)

        result = await self.ask(write)
        self._faults.note({}, (str(self._store.path),))
        for key in done:
            self.finished.pop(key, None)
        if doubtful:
            self.doubtful = [place for place in self.doubtful if place not in doubtful]
            boxes = Boxes(self._pool)
            try:
                await boxes.open(place.mailbox for place in doubtful)
                await boxes.drop(doubtful)
            finally:
                boxes.close()
        return result

    async def ask(self, work: Work[_Result]) -> _Result:
        """Have ``work`` done, which only reads. Raises StorageError."""
        try:
            return await self._store.run(work)
        except StorageError as error:
            self._faults.note({str(self._store.path): error}, ())
            raise


def in_doubt(error: StorageError) -> bool:
    """Tell whether a commit that failed may be on disk all the same."""
    cause = error.__cause__
    if not isinstance(cause, sqlite3.Error):
        return False
    code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_IOERR)
    return (code & 0xFF) == sqlite3.SQLITE_IOERR
