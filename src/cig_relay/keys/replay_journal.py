# SPDX-License-Identifier: GPL-3.0-or-later
"""The replay cache on disk, so that neither a restart nor a crash forgets a message.

The rules:

1. An entry is on disk (written and fdatasync'ed) before its message is used. Writing goes on in a
   thread of its own, many entries at a time where many come, so media never waits for a disk.
2. The file is text, one entry a line, and only ever appended to. It is written anew as a whole
   at start, and whenever it holds far more lines than the cache has entries.
3. A broken last line is a write that a crash cut short: its message was not used, so the line is
   dropped, and that is told.
4. A file that is broken elsewhere, or missing although there were keys before, is a loss: messages
   that may have been accepted already are refused for twice the clock skew, and that is told.
5. Room for the next entries is reserved beforehand, so that a full disk does not stop calls at
   once. When even that is used up, messages are refused.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from cig_relay.keys.errors import JournalError
from cig_relay.keys.files import replace_durably
from mikey_sakke.errors import MalformedError
from mikey_sakke.replay import ReplayCache

_log = logging.getLogger("Replay")

FILE_NAME = ".replay.journal"
_RESERVE_OCTETS = 1 << 20
_SPARE_LINES = 10_000
_FALLOC_FL_KEEP_SIZE = 1


class ReplayJournal:
    """A `ReplayCache` whose entries survive; belongs to one event loop.

    ``keys_before`` tells whether there were keys before a moment (UTC): a missing file is a loss
    only if keys were there twice ``skew`` (seconds) ago, and otherwise a first start. Raises
    JournalError when the file cannot be read or written.
    """

    def __init__(
        self,
        path: Path,
        *,
        now: float,
        skew: float,
        keys_before: Callable[[float], bool],
    ) -> None:
        self._path = path
        self._skew = skew
        self.broken = False
        """Whether the last write failed."""
        self.refuses_until: float | None = None
        """After a loss: until when (UTC) messages are refused, None otherwise."""
        self._pending: list[tuple[str, asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "replay-journal")
        self._cache = self._load(now, keys_before)
        self._descriptor = -1
        self._lines = 0
        self._reserved_to = 0
        try:
            self._rewrite(self._cache)
        except OSError as error:
            raise JournalError(_cannot_write(path, error)) from error

    @property
    def cache(self) -> ReplayCache:
        """The cache, for looking only; insert by `insert`."""
        return self._cache

    async def insert(self, key: bytes, t: float, now: float) -> None:
        """Remember an authenticated message, on disk too, before it is used.

        Raises `mikey_sakke.ReplayError` where it is known or too old, JournalError where the
        disk does not take it: the message must not be used then.
        """
        line = self._cache.insert(key, t, now)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((line, done))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush(now))
        await done

    async def close(self) -> None:
        """Write what is left and close the file."""
        if self._flushing is not None:
            await self._flushing
        self._thread.shutdown()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    # --- at start -------------------------------------------------------------------------------

    def _load(self, now: float, keys_before: Callable[[float], bool]) -> ReplayCache:
        try:
            text = self._path.read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            if keys_before(now - 2 * self._skew):
                return self._lost(now, "it is missing")
            return ReplayCache()
        except OSError as error:
            raise JournalError(f"{self._path}: cannot be read ({error.strerror})") from error
        whole, newline, torn = text.rpartition("\n")
        if torn:
            _log.warning("%s: dropped a line that a crash cut short", self._path)
        try:
            lines = whole.split("\n") if newline else []
            # A line that ends in a line break was written as a whole: unlike `ReplayCache.load`,
            # which passes over a broken last line, take none. The first one again hides nothing.
            lines += lines[:1]
            return ReplayCache.load(lines, now=now)
        except MalformedError as error:
            return self._lost(now, str(error))

    def _lost(self, now: float, why: str) -> ReplayCache:
        self.refuses_until = now + 2 * self._skew
        _log.warning(
            "%s: the replay journal is lost (%s): calls from the secure side are refused for up "
            "to %.0f s, until no old message can be new again",
            self._path,
            why,
            2 * self._skew,
        )
        return ReplayCache.after_loss(now=now, skew=self._skew)

    # --- writing --------------------------------------------------------------------------------

    async def _flush(self, now: float) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._pending:
                batch, self._pending = self._pending, []
                lines = [line for line, _ in batch]
                try:
                    await loop.run_in_executor(self._thread, self._append, lines, now)
                except OSError as error:
                    self._tell_broken(error)
                    failure = JournalError(_cannot_write(self._path, error))
                    _settle(batch, failure)
                else:
                    self.broken = False
                    _settle(batch, None)
        finally:
            self._flushing = None

    def _tell_broken(self, error: OSError) -> None:
        if not self.broken:
            _log.warning("%s", _cannot_write(self._path, error))
        self.broken = True

    def _append(self, lines: list[str], now: float) -> None:
        octets = "".join(line + "\n" for line in lines).encode("ascii")
        start = os.fstat(self._descriptor).st_size
        try:
            if os.write(self._descriptor, octets) != len(octets):
                raise OSError(28, "No space left on device")
            os.fdatasync(self._descriptor)
        except OSError:
            # A half-written line in the middle would look like a loss at the next start.
            with suppress(OSError):
                os.ftruncate(self._descriptor, start)
            raise
        self._lines += len(lines)
        if start + len(octets) > self._reserved_to - _RESERVE_OCTETS // 2:
            self._reserve()
        if self._lines > 2 * len(self._cache) + _SPARE_LINES:
            with suppress(OSError):
                self._rewrite(self._read_back(now))

    def _read_back(self, now: float) -> ReplayCache:
        with self._path.open(encoding="ascii") as lines:
            return ReplayCache.load(lines, now=now)

    def _rewrite(self, cache: ReplayCache) -> None:
        lines = list(cache.export())
        replace_durably(self._path, "".join(line + "\n" for line in lines).encode("ascii"))
        fresh = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = fresh
        self._lines = len(lines)
        self._reserve()

    def _reserve(self) -> None:
        size = os.fstat(self._descriptor).st_size
        libc = ctypes.CDLL(None, use_errno=True)
        offset, length = ctypes.c_long(size), ctypes.c_long(_RESERVE_OCTETS)
        # Reserves blocks beyond the end and leaves the size alone. Where the file system cannot,
        # or the disk is full already, appending goes on as long as it can.
        libc.fallocate(self._descriptor, _FALLOC_FL_KEEP_SIZE, offset, length)
        self._reserved_to = size + _RESERVE_OCTETS


def _settle(batch: list[tuple[str, asyncio.Future[None]]], failure: JournalError | None) -> None:
    for _, done in batch:
        if done.done():
            continue
        if failure is None:
            done.set_result(None)
        else:
            done.set_exception(failure)


def _cannot_write(path: Path, error: OSError) -> str:
    return (
        f"{path}: the replay journal cannot be written ({error.strerror}), so calls from the "
        "secure side are refused; make room on the disk"
    )
