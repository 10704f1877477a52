# SPDX-License-Identifier: GPL-3.0-or-later
"""One crypto engine as the relay sees it: a child process and the socket to it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress

from cig_common import child
from cig_common.control.record import Record
from cig_common.errors import CigError, ControlError
from cig_relay.engines.wire import Started, decode, encode
from umsg.errors import FrameError
from umsg.framing import FrameDecoder

_READ_OCTETS = 65536
_PATIENCE = 1.0


class EngineDied(CigError):
    """The engine's process ended, or was ended, while it had an operation."""


class EngineWorker:
    """A running engine. Requests are answered in their order."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._number = 0
        self._started: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self._waiting = {0: self._started}
        self.started = Started(locked=False, filtered=False)
        """How the engine is protected."""
        self.generation = 0
        """Which loading of keys it holds; the pool counts them."""
        self.dead = asyncio.Event()
        self._killed = False
        self._task = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        """The engine's process id."""
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether it may be given an operation: it is neither dead nor about to be."""
        return not self._killed and not self.dead.is_set()

    @property
    def end(self) -> str:
        """How the process ended, in words for the log; to be asked after `close`."""
        code = self._process.returncode
        if code is None or code >= 0:
            return f"exit status {code}"
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"

    @staticmethod
    async def spawn(timeout: float, options: Sequence[str] = ()) -> EngineWorker:
        """Start an engine and wait until it is ready; raises EngineDied or OSError.

        ``options`` are added to its command line; see `cig_relay.engines.process`.
        """
        worker = await EngineWorker._create(options)
        try:
            answer = await worker._answer(worker._started, timeout)
            if not isinstance(answer, Started):
                raise EngineDied(f"crypto engine {worker.pid} said {type(answer).__name__} first")
            worker.started = answer
        except BaseException:
            await worker.close()
            raise
        return worker

    @staticmethod
    async def _create(options: Sequence[str]) -> EngineWorker:
        ours, theirs = socket.socketpair()
        # Not to be cancelled half way: the process might be there, and nobody know it.
        creating = asyncio.create_task(
            asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-m", "cig_relay.engines.process", str(os.getpid())),
                *options,
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                env=child.environment(),
            )
        )
        creating.add_done_callback(lambda _: theirs.close())
        try:
            process = await asyncio.shield(creating)
            return EngineWorker(process, *await asyncio.open_unix_connection(sock=ours))
        except BaseException:
            ours.close()
            process = await creating
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise

    async def call(self, request: Record, timeout: float) -> Record:
        """Have one operation done; raises EngineDied. An engine that hangs is killed."""
        if not self.usable:
            raise EngineDied(f"crypto engine {self.pid} is dead")
        self._number += 1
        number = self._number
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(encode(number, request))
            return await self._answer(future, timeout)
        finally:
            self._waiting.pop(number, None)

    async def close(self) -> None:
        """End the engine, at once if it is idle, and wait until it is gone."""
        self._writer.close()
        try:
            # Not wait_for: until Python 3.12 that can lose the cancellation of its caller.
            async with asyncio.timeout(_PATIENCE):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
        await asyncio.wait([self._task])

    def kill(self) -> None:
        """End the engine's process by SIGKILL."""
        self._killed = True
        with suppress(ProcessLookupError):
            self._process.kill()

    async def _answer(self, future: asyncio.Future[Record], timeout: float) -> Record:
        watchdog = asyncio.get_running_loop().call_later(timeout, self._bite, future, timeout)
        try:
            return await future
        finally:
            watchdog.cancel()

    def _bite(self, future: asyncio.Future[Record], timeout: float) -> None:
        self.kill()
        if not future.done():
            text = f"crypto engine {self.pid} did not answer in {timeout:g} s and was ended"
            future.set_exception(EngineDied(text))

    async def _read(self) -> None:
        frames = FrameDecoder()
        try:
            while octets := await self._reader.read(_READ_OCTETS):
                for payload in frames.feed(octets):
                    self._deliver(*decode(payload))
        except (OSError, ControlError, FrameError):
            self.kill()
        finally:
            self._bury()

    def _deliver(self, number: int, answer: Record) -> None:
        future = self._waiting.pop(number, None)
        if future is not None and not future.done():
            future.set_result(answer)

    def _bury(self) -> None:
        self.dead.set()
        self._writer.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(EngineDied(f"crypto engine {self.pid} died"))
                # Nobody may be waiting any more (its request was cancelled): that is no fault.
                future.exception()
        self._waiting.clear()
