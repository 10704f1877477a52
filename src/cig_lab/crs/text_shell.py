# SPDX-License-Identifier: GPL-3.0-or-later
"""The I/O of the CRS's texts: one worker for the disk, and what is read to be sent."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from cig_lab.crs.core import CrsCore
from cig_lab.crs.stats import CrsStats
from cig_lab.crs.text_store import TextStore

BATCH = 64
"""Jobs that are made durable together at most."""


class TextShell:
    """Made for each start of a CRS. `flush` sends what the core has to say."""

    def __init__(self, folder: Path, core: CrsCore, stats: CrsStats) -> None:
        self._folder = folder
        self._core = core
        self._stats = stats
        self._store: TextStore | None = None
        self._flush: Callable[[], None] = lambda: None
        self._work: asyncio.Task[None] | None = None
        self._stopped = False

    async def start(self, flush: Callable[[], None]) -> None:
        """Read what the folder has. Raises OSError."""
        self._store = await asyncio.to_thread(TextStore, self._folder)
        found = await asyncio.to_thread(self._store.load)
        self._core.texts.load(found.known, found.texts, found.receipts)
        self._flush = flush

    async def stop(self) -> None:
        """Finish what the disk is at; tell nobody of it, and begin nothing more."""
        self._stopped = True
        if self._work is not None:
            await asyncio.wait((self._work,))

    def wake(self) -> None:
        """See to it that the jobs are being done."""
        if self._core.texts.jobs and not self._stopped and self._work is None:
            self._work = asyncio.ensure_future(self._perform())
            self._work.add_done_callback(self._rest)

    def _rest(self, work: asyncio.Task[None]) -> None:
        self._work = None
        if not work.cancelled() and work.exception() is not None:
            self._stats.internal_errors += 1
        self.wake()  # a job may have come after the work's last look

    async def _perform(self) -> None:
        jobs = self._core.texts.jobs
        loop = asyncio.get_running_loop()
        while jobs and self._store is not None and not self._stopped:
            batch = [jobs.popleft() for _ in range(min(len(jobs), BATCH))]
            results = await asyncio.to_thread(self._store.perform, batch)
            if self._stopped:
                return
            for job, error in zip(batch, results, strict=True):
                if error is None:
                    self._core.job_done(job, loop.time())
                else:
                    self._stats.disk_errors += 1
                    self._core.job_failed(job, loop.time())
            self._flush()

    def send_piece(self, number: int) -> bool:
        """Hand the core what a connection is to be sent next; tells whether there was anything."""
        piece = self._core.next_piece(number)
        if piece is None or self._store is None:
            return False
        # It was receipted and removed meanwhile, where it cannot be read.
        with contextlib.suppress(FileNotFoundError):
            part = self._store.read(piece.text, piece.seq, piece.of)
            self._core.send_to(piece.text.to, part, asyncio.get_running_loop().time())
        return True
