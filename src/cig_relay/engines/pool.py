# SPDX-License-Identifier: GPL-3.0-or-later
"""The pool of crypto engines: SAKKE and ECCSI in processes of their own, off the media's loop.

The rules:

1. An engine has at most one operation at a time; an operation takes the engine that is free, and
   otherwise waits its turn (`cig_relay.engines.turns`), if not too many wait already.
2. An engine that dies, or does not answer in time, is replaced, after a pause that grows while
   engines die young. Its operation is done once more, on another and before all that wait; an
   operation that costs two engines is given up, so that no message can wear out the pool.
3. An engine keeps its operation until it has answered, even if nobody waits for the answer any
   more. One that lies idle is asked now and then whether it is still there.
4. All engines hold the same keys. They are sent to an engine once when it has started and once
   whenever they change, never with an operation. New keys are checked by one engine first; if
   it refuses them, the old ones stay in use everywhere. An engine that does not hold the present
   keys gets no operation and does not count as available.
5. The pool keeps one copy of the keys, for engines that have to be started: as a `Secret` that is
   wiped when the next one takes its place. The octets that are on their way to an engine (a
   message, its frame, the transport's buffer) are let go at once, but cannot be overwritten.
6. Engines end with the relay, whatever way it ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from cig_common.control.record import Record
from cig_common.errors import CigError
from cig_material import document
from cig_material.material import KeyMaterial
from cig_relay.engines.errors import EngineError, RefusedError
from cig_relay.engines.turns import Turns
from cig_relay.engines.wire import (
    Authentic,
    Build,
    CallSecrets,
    Check,
    Failed,
    Load,
    Open,
    Ping,
    Ready,
    Refused,
    Sign,
    Signature,
    Verify,
)
from cig_relay.engines.worker import EngineDied, EngineWorker
from mikey_sakke.secret import Secret

_log = logging.getLogger("Engines")

DEFAULT_SIZE = 3
DEFAULT_TIMEOUT = 10.0
WAITING_PER_ENGINE = 64
_START_TIMEOUT = 30.0
_LOAD_TIMEOUT = 10.0
_PATIENCE = 20.0
"""Seconds that an operation waits for an engine: it must outlast one that hangs and is replaced."""
_ATTEMPTS = 2
_STALE = -1

_Answer = TypeVar("_Answer", bound=Record)
_Result = TypeVar("_Result")
_Work = Callable[[EngineWorker], Coroutine[Any, Any, Record]]


class Pause:
    """How long to wait before an engine is started in the place of one that died, in seconds.

    Twice as long as before if that one did not live for ten seconds, at most five seconds.
    """

    SHORTEST, LONGEST, LONG_LIFE = 0.05, 5.0, 10.0

    def __init__(self) -> None:
        self._last = 0.0

    def after(self, lifetime: float) -> float:
        """Give the pause after an engine that lived for ``lifetime`` seconds."""
        last = 0.0 if lifetime > self.LONG_LIFE else self._last
        self._last = min(max(2 * last, self.SHORTEST), self.LONGEST)
        return self._last


class EnginePool:
    """``size`` crypto engines behind one face; belongs to one event loop.

    ``listener`` is told, in the loop, how many of them are available and of how many, whenever
    that changes. An engine that does not answer within ``timeout`` seconds counts as hung. At most
    ``waiting`` operations wait for an engine, by default 64 for each.
    ``options`` go on each engine's command line.
    """

    def __init__(
        self,
        size: int = DEFAULT_SIZE,
        *,
        listener: Callable[[int, int], None] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        waiting: int | None = None,
        options: tuple[str, ...] = (),
    ) -> None:
        self.total = size
        self.restarts = 0
        """How many engines died and were replaced since start."""
        self._listener = listener
        self._told: int | None = None
        self._timeout = timeout
        self._options = options
        self._alive: set[EngineWorker] = set()
        self._turns = Turns[EngineWorker](WAITING_PER_ENGINE * size if waiting is None else waiting)
        self._lives: set[asyncio.Task[Any]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._keys = Secret(b"")
        self._generation = 0
        self._loading = asyncio.Lock()

    @property
    def available(self) -> int:
        """How many engines are alive and hold the keys that are in use."""
        return sum(worker.usable and self._is_current(worker) for worker in self._alive)

    def pids(self) -> tuple[int, ...]:
        """The process ids of the engines that run."""
        return tuple(sorted(worker.pid for worker in self._alive if worker.usable))

    def counters(self) -> dict[str, int]:
        """What is to be counted about the engines, for ``status``; the odd only if it occurs."""
        odd = {
            "engines_overloaded": self._turns.refused,
            "engines_not_locked": sum(not worker.started.locked for worker in self._alive),
            "engines_not_filtered": sum(not worker.started.filtered for worker in self._alive),
        }
        return {"engine_restarts": self.restarts} | {n: count for n, count in odd.items() if count}

    async def start(self) -> None:
        """Start all engines; raises EngineError when one does not get ready."""
        spawned = await asyncio.gather(
            *(EngineWorker.spawn(_START_TIMEOUT, self._options) for _ in range(self.total)),
            return_exceptions=True,
        )
        for worker in spawned:
            if isinstance(worker, EngineWorker):
                self._join(worker)
                self._start_task(self._supervise(worker), self._lives)
        failures = [item for item in spawned if isinstance(item, BaseException)]
        if failures:
            await self.close()
            raise EngineError(f"the crypto engines do not start: {failures[0]}") from failures[0]
        self._start_task(self._look_after_idle(), self._lives)
        self._tell()
        self._tell_protection()

    async def close(self) -> None:
        """End all engines; operations that wait, or do not end at once, are given up."""
        self._turns.close()
        for life in self._lives:
            life.cancel()
        await asyncio.gather(*self._lives, return_exceptions=True)
        await asyncio.gather(*(worker.close() for worker in self._alive))
        self._alive.clear()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._keys.wipe()

    async def load(self, material: KeyMaterial | None) -> None:
        """Give all engines these keys (None: take theirs away).

        Raises RefusedError when a key is wrong, after which the old ones are still in use, or
        EngineError.
        """
        fresh = Secret(b"" if material is None else document.encode(material))
        # Whoever asked may give up; the keys are then taken, or not, all the same.
        await asyncio.shield(self._start_task(self._load(fresh)))

    async def check(self, material: KeyMaterial) -> None:
        """Check keys against their equations; the engines keep none, those in use stay in use.

        Takes some tens of milliseconds a period, during which one engine does nothing else.
        Raises RefusedError when a key is wrong, or EngineError.
        """
        await self.ask(Ready, Check(document.encode(material)))

    async def sign_auth(self, *, period: str, text: bytes) -> bytes:
        """Give the ECCSI signature (129 octets) over ``text`` with the SSK of ``period``."""
        return (await self.ask(Signature, Sign(period, text))).sig

    async def verify_message(
        self, message: bytes, *, now: float, accept_short: bool = False
    ) -> bool:
        """Check an I_MESSAGE's signature; raises RefusedError for a wrong one.

        With ``accept_short`` one that leaves out the SIGN header is good too; the answer tells
        whether it was such a one.
        """
        return (await self.ask(Authentic, Verify(message, now, accept_short))).short

    async def open_message(
        self, message: bytes, *, now: float, accept_short: bool = False
    ) -> CallSecrets:
        """Open an I_MESSAGE with our keys of its month.

        Raises RefusedError, whose ``detail`` is a `mikey_sakke.errors.Reason`. The engine checks
        the signature once more: it opens nothing that is not signed, whoever asks.
        """
        return await self.ask(CallSecrets, Open(message, now, accept_short))

    async def build_message(
        self, *, responder: str, now: float, ssrc: int, csb_id: int, binding: bytes
    ) -> CallSecrets:
        """Make an I_MESSAGE of time ``now`` for the tel URI ``responder`` (without extension)."""
        return await self.ask(CallSecrets, Build(responder, now, ssrc, csb_id, binding))

    # --- operations -----------------------------------------------------------------------------

    async def ask(self, kind: type[_Answer], request: Record) -> _Answer:
        """Have an engine carry out a request, for an answer of ``kind``; raises as `open_message`.

        OverloadError besides, where too many wait already.
        """

        async def work(worker: EngineWorker) -> Record:
            return await worker.call(request, self._timeout)

        name = type(request).__name__
        answer = await self._run(name, work, _PATIENCE)
        return _checked(kind, name, answer)

    async def _run(
        self, name: str, work: _Work, patience: float, *, urgent: bool = False
    ) -> Record:
        """Have an engine do ``work``; one must have become free within ``patience`` seconds."""
        deadline = asyncio.get_running_loop().time() + patience
        for attempt in range(_ATTEMPTS):
            try:
                async with asyncio.timeout_at(deadline):
                    worker = await self._turns.take(urgent=urgent or attempt > 0)
            except TimeoutError:
                raise EngineError(f"no crypto engine became free in {patience:g} s") from None
            try:
                return await asyncio.shield(self._start_task(self._do(worker, work)))
            except EngineDied as error:
                _log.warning("%s during %s", error, name)
        raise EngineError(f"{name} cost two crypto engines and was given up")

    async def _do(self, worker: EngineWorker, work: _Work) -> Record:
        try:
            return await work(worker)
        finally:
            self._release(worker)

    def _release(self, worker: EngineWorker) -> asyncio.Task[None] | None:
        """Give an engine back; one with old keys gets the new ones first, by the task given."""
        if not worker.usable:
            return None
        if not self._is_current(worker):
            return self._start_task(self._refresh(worker))
        self._turns.put(worker)
        return None

    async def _look_after_idle(self) -> None:
        while True:
            await asyncio.sleep(self._timeout)
            for worker in self._turns.take_idle():
                self._start_task(self._ping(worker))

    async def _ping(self, worker: EngineWorker) -> None:
        try:
            await worker.call(Ping(), self._timeout)
        except EngineDied as error:
            _log.warning("%s while it was idle", error)
        self._release(worker)

    # --- keys -----------------------------------------------------------------------------------

    def _is_current(self, worker: EngineWorker) -> bool:
        return worker.generation == self._generation

    async def _load(self, fresh: Secret) -> None:
        async def work(worker: EngineWorker) -> Record:
            answer = await self._give(worker, fresh)
            if isinstance(answer, Ready):
                old, self._keys = self._keys, fresh
                self._generation += 1
                worker.generation = self._generation
                old.wipe()
            return answer

        try:
            async with self._loading:
                try:
                    answer = await self._run(Load.__name__, work, _LOAD_TIMEOUT, urgent=True)
                    _checked(Ready, Load.__name__, answer)
                finally:
                    if self._keys is not fresh:
                        fresh.wipe()
                # A busy engine gets the new keys as soon as it is free: see _release.
                idle = map(self._release, self._turns.take_idle())
                await asyncio.gather(*(task for task in idle if task is not None))
        finally:
            self._tell()

    async def _refresh(self, worker: EngineWorker) -> None:
        while worker.usable and not self._is_current(worker):
            generation = self._generation
            try:
                answer = await self._give(worker, self._keys)
            except EngineDied as error:
                _log.warning("%s while it was given the keys", error)
                return
            if not isinstance(answer, Ready):
                # Another engine took these keys: this one has gone wrong.
                _log.warning("crypto engine %d does not take the keys: replacing it", worker.pid)
                worker.kill()
                return
            worker.generation = generation
        self._release(worker)
        self._tell()

    async def _give(self, worker: EngineWorker, keys: Secret) -> Record:
        before = worker.generation
        # Until it has answered nobody knows which keys it holds; if it refuses, the old ones.
        worker.generation = _STALE
        answer = await worker.call(Load(keys.reveal()), _LOAD_TIMEOUT)
        if isinstance(answer, Refused):
            worker.generation = before
        return answer

    # --- the engines' lives ---------------------------------------------------------------------

    def _join(self, worker: EngineWorker) -> None:
        self._alive.add(worker)
        self._release(worker)

    async def _supervise(self, worker: EngineWorker) -> None:
        clock = asyncio.get_running_loop().time
        pause, born = Pause(), clock()
        while True:
            await worker.dead.wait()
            self.restarts += 1
            self._tell()
            await worker.close()
            self._alive.discard(worker)
            _log.warning("crypto engine %d died (%s): starting another", worker.pid, worker.end)
            worker = await self._respawn(pause, clock() - born)
            born = clock()
            self._join(worker)
            self._tell()

    async def _respawn(self, pause: Pause, lifetime: float) -> EngineWorker:
        while True:
            await asyncio.sleep(pause.after(lifetime))
            try:
                return await EngineWorker.spawn(_START_TIMEOUT, self._options)
            except (OSError, EngineDied) as error:
                _log.warning("no crypto engine could be started: %s", error)
                lifetime = 0.0

    def _start_task(
        self, coroutine: Coroutine[Any, Any, _Result], tasks: set[asyncio.Task[Any]] | None = None
    ) -> asyncio.Task[_Result]:
        kept = self._tasks if tasks is None else tasks

        def ended(task: asyncio.Task[_Result]) -> None:
            kept.discard(task)
            error = None if task.cancelled() else task.exception()
            if error is not None and not isinstance(error, CigError):
                _log.error("the engine pool failed through a fault of our own", exc_info=error)

        task = asyncio.create_task(coroutine)
        kept.add(task)
        task.add_done_callback(ended)
        return task

    def _tell(self) -> None:
        # That engines take new keys one after the other is no news; what comes of it is.
        if self._loading.locked():
            return
        if self._listener is not None and self._told != self.available:
            self._told = self.available
            self._listener(self._told, self.total)

    def _tell_protection(self) -> None:
        counters = self.counters()
        if count := counters.get("engines_not_locked"):
            _log.warning(
                "the memory of %d of %d crypto engines is not locked, keys may be written to swap: "
                "give cig-relay LimitMEMLOCK=infinity, or use encrypted swap or none",
                count,
                self.total,
            )
        if count := counters.get("engines_not_filtered"):
            _log.warning(
                "%d of %d crypto engines run without a system call filter, which this kernel does "
                "not have for this processor: use another host if you can",
                count,
                self.total,
            )


def _checked(kind: type[_Answer], name: str, answer: Record) -> _Answer:
    if isinstance(answer, kind):
        return answer
    if isinstance(answer, Refused):
        raise RefusedError(answer.reason, answer.text)
    what = answer.text if isinstance(answer, Failed) else type(answer).__name__
    raise EngineError(f"a crypto engine could not {name}: {what}")
