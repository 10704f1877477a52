# SPDX-License-Identifier: GPL-3.0-or-later
"""The pool of crypto engines: SAKKE and ECCSI in processes of their own, off the media's loop.

The rules:

1. An engine has at most one operation at a time; an operation takes the engine that is free, and
   otherwise waits its turn.
2. An engine that dies or hangs is replaced. Its operation is done once more, on another; an
   operation that costs two engines is given up, so that no message can wear out the pool.
3. All engines hold the same keys. New keys are checked by one engine first; if it refuses them,
   the old ones stay in use everywhere.
4. Engines end with the relay, whatever way it ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TypeVar

from cig_common.control.record import Record
from cig_material import document
from cig_material.material import KeyMaterial
from cig_relay.engines.errors import EngineError, RefusedError
from cig_relay.engines.wire import (
    Build,
    CallSecrets,
    Failed,
    Load,
    Open,
    Ready,
    Refused,
    Sign,
    Signature,
    Verify,
)
from cig_relay.engines.worker import EngineDied, EngineWorker

_log = logging.getLogger("Engines")

DEFAULT_SIZE = 3
_START_TIMEOUT = 30.0
_LOAD_TIMEOUT = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0
_ATTEMPTS = 2
_LONG_LIFE = 10.0
_STALE = -1

_Answer = TypeVar("_Answer", bound=Record)


class EnginePool:
    """``size`` crypto engines behind one face; belongs to one event loop.

    ``listener`` is told, in the loop, how many of them are available and of how many, whenever
    that changes. ``timeout`` is how many seconds an operation may take, its turn included.
    ``options`` go on each engine's command line.
    """

    def __init__(
        self,
        size: int = DEFAULT_SIZE,
        *,
        listener: Callable[[int, int], None] | None = None,
        timeout: float = 5.0,
        options: tuple[str, ...] = (),
    ) -> None:
        self.total = size
        self.restarts = 0
        """How many engines died and were replaced since start."""
        self._listener = listener
        self._timeout = timeout
        self._options = options
        self._alive: set[EngineWorker] = set()
        self._idle: asyncio.Queue[EngineWorker] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._keys = Load(b"")
        self._generation = 0
        self._loading = asyncio.Lock()

    @property
    def available(self) -> int:
        """How many engines run."""
        return len(self._alive)

    def pids(self) -> tuple[int, ...]:
        """The process ids of the engines that run."""
        return tuple(sorted(worker.pid for worker in self._alive))

    async def start(self) -> None:
        """Start all engines; raises EngineError when one does not get ready."""
        spawned = await asyncio.gather(
            *(EngineWorker.spawn(_START_TIMEOUT, self._options) for _ in range(self.total)),
            return_exceptions=True,
        )
        for worker in spawned:
            if isinstance(worker, EngineWorker):
                self._alive.add(worker)
                self._release(worker)
                self._spawn_task(self._supervise(worker))
        failures = [item for item in spawned if isinstance(item, BaseException)]
        if failures:
            await self.close()
            raise EngineError(f"the crypto engines do not start: {failures[0]}") from failures[0]
        self._tell()

    async def close(self) -> None:
        """End all engines; operations that run are given up."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        workers, self._alive = self._alive, set()
        await asyncio.gather(*(worker.close() for worker in workers))

    async def load(self, material: KeyMaterial | None) -> None:
        """Give all engines these keys (None: take theirs away).

        Raises RefusedError when a key is wrong, after which the old ones are still in use, or
        EngineError.
        """
        async with self._loading:
            keys = Load(b"" if material is None else document.encode(material))
            await self._expect(Ready, keys, _LOAD_TIMEOUT)
            # A busy engine gets the new keys as soon as it is free: see _release.
            idle = [self._idle.get_nowait() for _ in range(self._idle.qsize())]
            refreshing = [task for task in map(self._release, idle) if task is not None]
            if refreshing:
                await asyncio.wait(refreshing)

    async def sign_auth(self, *, period: str, text: bytes) -> bytes:
        """Give the ECCSI signature (129 octets) over ``text`` with the SSK of ``period``."""
        return (await self._expect(Signature, Sign(period, text), self._timeout)).sig

    async def verify_message(self, message: bytes, *, now: float) -> None:
        """Check an I_MESSAGE's signature; raises RefusedError for a wrong one."""
        await self._expect(Ready, Verify(message, now), self._timeout)

    async def open_message(self, message: bytes, *, now: float) -> CallSecrets:
        """Open an I_MESSAGE with our keys of its month.

        Raises RefusedError, whose ``detail`` is a `mikey_sakke.errors.Reason`. The engine checks
        the signature once more: it opens nothing that is not signed, whoever asks.
        """
        return await self._expect(CallSecrets, Open(message, now), self._timeout)

    async def build_message(
        self, *, responder: str, now: float, ssrc: int, csb_id: int, binding: bytes
    ) -> CallSecrets:
        """Make an I_MESSAGE of time ``now`` for the tel URI ``responder`` (without extension)."""
        request = Build(responder, now, ssrc, csb_id, binding)
        return await self._expect(CallSecrets, request, self._timeout)

    # --- the inside -----------------------------------------------------------------------------

    async def _expect(self, kind: type[_Answer], request: Record, timeout: float) -> _Answer:
        answer = await self._run(request, timeout)
        if isinstance(answer, kind):
            return answer
        if isinstance(answer, Refused):
            raise RefusedError(answer.reason, answer.text)
        what = answer.text if isinstance(answer, Failed) else type(answer).__name__
        raise EngineError(f"a crypto engine could not {type(request).__name__}: {what}")

    async def _run(self, request: Record, timeout: float) -> Record:
        for _ in range(_ATTEMPTS):
            try:
                worker = await asyncio.wait_for(self._acquire(), timeout)
            except TimeoutError:
                raise EngineError(f"no crypto engine became free in {timeout:g} s") from None
            try:
                return await self._ask(worker, request, timeout)
            except EngineDied as error:
                _log.warning("%s during %s", error, type(request).__name__)
            finally:
                self._release(worker)
        raise EngineError(f"{type(request).__name__} cost two crypto engines and was given up")

    async def _ask(self, worker: EngineWorker, request: Record, timeout: float) -> Record:
        if not isinstance(request, Load):
            return await worker.call(request, timeout)
        target = self._generation + (request is not self._keys)
        # Until it has answered nobody knows which keys it holds.
        worker.generation = _STALE
        answer = await worker.call(request, timeout)
        if isinstance(answer, Ready):
            worker.generation = target
            if target > self._generation:
                self._generation, self._keys = target, request
        return answer

    async def _acquire(self) -> EngineWorker:
        while True:
            worker = await self._idle.get()
            if worker.usable:
                return worker

    def _release(self, worker: EngineWorker) -> asyncio.Task[None] | None:
        """Give an engine back; one with old keys gets the new ones first, by the task given."""
        if not worker.usable:
            return None
        if worker.generation != self._generation:
            return self._spawn_task(self._refresh(worker))
        self._idle.put_nowait(worker)
        return None

    async def _refresh(self, worker: EngineWorker) -> None:
        try:
            answer = await self._ask(worker, self._keys, _LOAD_TIMEOUT)
        except EngineDied:
            return
        if not isinstance(answer, Ready):
            # Another engine took these keys: this one has gone wrong.
            _log.warning("crypto engine %d does not take the keys: replacing it", worker.pid)
            worker.kill()
            return
        self._release(worker)

    async def _supervise(self, worker: EngineWorker) -> None:
        clock = asyncio.get_running_loop().time
        pause, born = _FIRST_PAUSE, clock()
        while True:
            await worker.dead.wait()
            self._alive.discard(worker)
            await worker.close()
            self.restarts += 1
            _log.warning("crypto engine %d died: starting another", worker.pid)
            self._tell()
            pause = _FIRST_PAUSE if clock() - born > _LONG_LIFE else min(2 * pause, _LONGEST_PAUSE)
            worker, born = await self._respawn(pause), clock()
            self._alive.add(worker)
            self._release(worker)
            self._tell()

    async def _respawn(self, pause: float) -> EngineWorker:
        while True:
            await asyncio.sleep(pause)
            try:
                return await EngineWorker.spawn(_START_TIMEOUT, self._options)
            except (OSError, EngineDied) as error:
                _log.warning("no crypto engine could be started: %s", error)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _spawn_task(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _tell(self) -> None:
        if self._listener is not None:
            self._listener(self.available, self.total)
