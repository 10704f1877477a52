# SPDX-License-Identifier: GPL-3.0-or-later
"""The mailboxes of one batch of texts: opened once, synced once for all that was done in them.

Whatever is wrong with a mailbox is kept for it, and for the texts that have a copy there; those
for other mailboxes go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TypeVar

from cig_server.texts.maildir import Maildir, storage_error
from cig_server.texts.model import Copy, StorageError, TextKey
from cig_server.texts.received import Place

_Result = TypeVar("_Result")


class GivenUpError(Exception):
    """Nobody waits for a text's delivery any more; what it would be written from may be gone."""


@dataclass(slots=True, eq=False)
class Job:
    """A text on its way into mailboxes.

    ``begun`` tells that its row is in the journal, and its ``places`` with it; ``error`` what went
    wrong first. ``future`` is that of those who wait, as many as ``waiters``.
    """

    key: TextKey
    digest: bytes
    reason: str
    copies: Sequence[Copy]
    future: asyncio.Future[None] | None = None
    waiters: int = 0
    given_up: bool = False
    begun: bool = False
    places: list[Place] = field(default_factory=list)
    error: Exception | None = None

    def fail(self, error: Exception) -> None:
        """Keep what went wrong, unless something did before."""
        if self.error is None:
            self.error = error

    def settle(self) -> None:
        """Tell those who wait."""
        if self.future is None or self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(None)


class Boxes:
    """The mailboxes that a batch has to do with. Steps run in the threads of ``pool``."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._boxes: dict[str, Maildir] = {}
        self.faults: dict[str, StorageError] = {}
        """What is wrong with a mailbox as a whole, by its path."""
        self.told: dict[str, StorageError] = {}
        """What is wrong, faults that one text alone had with a mailbox included."""
        self.worked: set[str] = set()
        """The mailboxes in which a text arrived."""

    async def open(self, paths: Iterable[str]) -> None:
        """Open the mailboxes; those that cannot be are in `faults` then."""

        def opened(path: str) -> None:
            self._boxes[path] = Maildir(path)

        await _all(self._step(path, opened, path) for path in sorted(set(paths)))

    def close(self) -> None:
        """Let go of all mailboxes."""
        while self._boxes:
            self._boxes.popitem()[1].close()

    async def write(self, job: Job, names: Sequence[str]) -> None:
        """Write a text's copies to tmp/, under ``names``; its error is kept in the job."""
        writes = zip(job.copies, names, strict=True)
        await _all(self._write(job, copy, name) for copy, name in writes)

    async def _write(self, job: Job, copy: Copy, name: str) -> None:
        def write(box: Maildir) -> None:
            if job.given_up or job.error is not None:
                raise GivenUpError
            box.write(name, copy.write)

        box = self._boxes.get(copy.mailbox)
        if box is None:
            job.fail(self.faults[copy.mailbox])
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._pool, write, box)
            job.places.append(Place(copy.mailbox, name))
        except OSError as error:  # one text may be too big where others still fit
            self.told[copy.mailbox] = storage_error(copy.mailbox, error)
            job.fail(self.told[copy.mailbox])
        except Exception as error:  # what the copy's own `write` raises is its caller's
            job.fail(error)

    async def sync_tmp(self, jobs: Sequence[Job]) -> None:
        """Have on disk what was written, for the jobs that have no error."""
        paths = {place.mailbox for job in jobs if job.error is None for place in job.places}
        await self._each(paths, Maildir.sync_tmp)
        self._blame(jobs)

    async def drop(self, places: Iterable[Place]) -> None:
        """Remove copies from tmp/, as far as their mailboxes are open."""
        by_path = _by_path(places)

        def drop(box: Maildir) -> None:
            for name in by_path[box.path]:
                box.drop(name)

        await self._each([path for path in by_path if path in self._boxes], drop)

    async def move(self, jobs: Sequence[Job]) -> None:
        """Move all copies of jobs to new/ and have that on disk; errors are kept in the jobs."""
        by_path = _by_path(place for job in jobs for place in job.places)

        def move(box: Maildir) -> None:
            for name in by_path[box.path]:
                box.move(name)
            box.sync()

        paths = [path for path in by_path if path in self._boxes]
        await self._each(paths, move)
        self.worked.update(path for path in paths if path not in self.faults)
        self._blame(jobs)

    def _blame(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            for place in job.places:
                if place.mailbox in self.faults:
                    job.fail(self.faults[place.mailbox])

    async def _each(self, paths: Iterable[str], work: Callable[[Maildir], None]) -> None:
        await _all(self._step(path, work, self._boxes[path]) for path in sorted(paths))

    async def _step(self, path: str, work: Callable[[_Result], None], argument: _Result) -> None:
        """Do one thing to a mailbox in a thread; its fault is kept in `faults`."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._pool, work, argument)
        except OSError as error:
            self.faults[path] = self.told[path] = storage_error(path, error)


async def _all(steps: Iterable[Awaitable[None]]) -> None:
    """Have all steps done, to their end, before an error of one is raised: they use open files."""
    for result in await asyncio.gather(*steps, return_exceptions=True):
        if result is not None:
            raise result


def _by_path(places: Iterable[Place]) -> dict[str, list[str]]:
    by_path: dict[str, list[str]] = {}
    for place in places:
        by_path.setdefault(place.mailbox, []).append(place.name)
    return by_path
