# SPDX-License-Identifier: GPL-3.0-or-later
"""The text service's memory that outlives it: one SQLite file, in one thread that owns it.

The rules:

1. What `run` was given is on disk when it returns: write-ahead log, ``synchronous`` FULL.
2. Whatever waits when the thread is free is one transaction (a group commit): a hundred texts at
   once cost little more than one. Each piece of work is rolled back by itself where it fails.
3. A disk that is full, or any other fault of the file, is a `StorageError`: nothing of the
   transaction was kept, and the next one is tried anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cig_server.texts.model import StorageError

FILE_NAME = "texts.db"
_MOST_AT_ONCE = 256
_BUSY_SECONDS = 5.0
_VERSION = 1

_Result = TypeVar("_Result")
Work = Callable[[sqlite3.Connection], _Result]
"""Reads and writes tables; runs in the store's thread, inside a transaction. Does nothing else."""

logger = logging.getLogger("Texts")


@dataclass(slots=True)
class _Job:
    work: Work[Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


class TextStore:
    """The file `FILE_NAME` in ``folder``; ``schemas`` are the tables of those who use it."""

    def __init__(self, folder: Path, schemas: Sequence[str]) -> None:
        self.path = folder / FILE_NAME
        self._schemas = tuple(schemas)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.commits = 0
        """How many transactions there were, for measurements."""

    async def open(self) -> None:
        """Open the file, make what is missing of it, and start the thread.

        Raises StorageError where it cannot be used: then it is left as it is.
        """
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(
            target=self._run, args=(opened,), name="text-store", daemon=True
        )
        self._thread.start()
        try:
            await opened
        except StorageError:
            self._thread = None
            raise

    async def close(self) -> None:
        """Do what waits, and close the file."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(thread.join)

    async def run(self, work: Work[_Result]) -> _Result:
        """Have ``work`` done; what it gives is returned once it is on disk.

        Raises what ``work`` raises, and StorageError. Once begun it is done even if the caller is
        cancelled.
        """
        if self._thread is None or self._loop is None:
            raise StorageError(str(self.path), "the store is closed")
        future: asyncio.Future[_Result] = self._loop.create_future()
        self._jobs.put(_Job(work, future))
        return await future

    # --- the thread -----------------------------------------------------------------------------

    def _run(self, opened: asyncio.Future[None]) -> None:
        try:
            connection = self._connect()
        except (sqlite3.Error, StorageError) as error:
            self._settle([_Job(_nothing, opened, error=self._storage(error))])
            return
        self._settle([_Job(_nothing, opened)])
        with contextlib.closing(connection):
            # `_transact` raises nothing: whoever waits is told of every fault.
            while (first := self._jobs.get()) is not None:
                jobs, ended = [first], False
                while len(jobs) < _MOST_AT_ONCE and not self._jobs.empty():
                    job = self._jobs.get()
                    if job is None:
                        ended = True
                        break
                    jobs.append(job)
                self._transact(connection, jobs)
                if ended:
                    return

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise StorageError(
                    str(self.path),
                    f"it was written by a later version (format {version}, this one knows "
                    f"{_VERSION}): install that version again",
                )
            connection.executescript(f"BEGIN; {' '.join(self._schemas)} "
                                     f"PRAGMA user_version = {_VERSION}; COMMIT;")  # fmt: skip
        except BaseException:
            connection.close()
            raise
        return connection

    def _transact(self, connection: sqlite3.Connection, jobs: list[_Job]) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                self._carry_out(connection, job)
            connection.execute("COMMIT")
            self.commits += 1
        except Exception as error:
            with contextlib.suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            failure = self._storage(error)
            for job in jobs:
                job.error = failure
        self._settle(jobs)

    def _carry_out(self, connection: sqlite3.Connection, job: _Job) -> None:
        connection.execute("SAVEPOINT job")
        try:
            job.result = job.work(connection)
        except Exception as error:
            if not connection.in_transaction:
                raise  # SQLite has rolled back everything by itself: the disk is full, say
            connection.execute("ROLLBACK TO job")
            job.error = self._storage(error) if isinstance(error, sqlite3.Error) else error
        connection.execute("RELEASE job")

    def _storage(self, error: Exception) -> StorageError:
        if isinstance(error, StorageError):
            return error
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        words = "the disk is full: make room" if full else str(error)
        storage_error = StorageError(str(self.path), words)
        storage_error.__cause__ = error
        return storage_error

    def _settle(self, jobs: list[_Job]) -> None:
        def settle() -> None:
            for job in jobs:
                if job.future.done():
                    continue
                if job.error is not None:
                    job.future.set_exception(job.error)
                else:
                    job.future.set_result(job.result)

        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(settle)


def _nothing(connection: sqlite3.Connection) -> None:
    pass
