# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines that die, hang or are too few: what becomes of operations, keys and counts."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from cig_common.errors import OverloadError
from cig_relay.engines import pool as pool_module
from cig_relay.engines.errors import EngineError
from cig_relay.engines.pool import EnginePool, Pause
from cig_relay.engines.worker import EngineWorker
from mikey_sakke.errors import SecretError
from unit.cig_relay.engines.children import ENVIRONMENT, run_python_with_memlock
from unit.cig_relay.engines.watching import Availability, ends
from unit.cig_relay.keys.lab import material
from unit.cig_relay.randomness.host import OPTIONS

PERIOD, LATER = "2026-11-1", "2026-11-2"
HUNG = 2.0
"""Seconds after which an engine of these tests counts as hung."""


@pytest.fixture
def availability() -> Availability:
    return Availability()


@asynccontextmanager
async def _running(
    size: int, availability: Availability, *, keys: bool = True, waiting: int | None = None
) -> AsyncIterator[EnginePool]:
    engines = EnginePool(
        size, listener=availability, timeout=HUNG, waiting=waiting, options=OPTIONS
    )
    await engines.start()
    try:
        if keys:
            await engines.load(material())
        yield engines
    finally:
        await engines.close()


async def _sign(pool: EnginePool, period: str = PERIOD) -> bytes:
    return await pool.sign_auth(period=period, text=b"text")


async def _all_sign(pool: EnginePool, period: str = PERIOD) -> None:
    # More than there are engines, so that each gets some.
    await asyncio.gather(*(_sign(pool, period) for _ in range(4 * pool.total)))


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


def _signal_all(pool: EnginePool, number: signal.Signals) -> None:
    for pid in pool.pids():
        os.kill(pid, number)


@contextmanager
def _every_new_engine(do: Callable[[EngineWorker], None]) -> Iterator[None]:
    """Do something to each engine that starts, just before it would be given keys or work."""
    spawn = EngineWorker.spawn

    async def spawned(timeout: float, options: Sequence[str] = ()) -> EngineWorker:
        worker = await spawn(timeout, options)
        do(worker)
        return worker

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool_module.EngineWorker, "spawn", spawned)
        yield


# --- dying and hanging --------------------------------------------------------------------------


async def test_a_killed_engine_is_replaced_and_its_operation_done_on_another(
    availability: Availability,
) -> None:
    # A stopped engine takes its request and dies with it: the operation must not be lost.
    async with _running(2, availability) as pool:
        before = pool.pids()
        _signal_all(pool, signal.SIGSTOP)
        operations = [asyncio.create_task(_sign(pool)) for _ in range(2)]
        await asyncio.sleep(0)
        os.kill(before[0], signal.SIGKILL)
        os.kill(before[1], signal.SIGCONT)
        await asyncio.gather(*operations)
        await availability.until(2, reports=3)
        assert availability.heard == [(2, 2), (1, 2), (2, 2)]
        assert len(set(pool.pids()) - set(before)) == 1
        assert pool.counters()["engine_restarts"] == 1
        await _all_sign(pool)


async def test_a_hung_engine_is_replaced_and_its_operation_done_on_another(
    availability: Availability, caplog: pytest.LogCaptureFixture
) -> None:
    async with _running(2, availability) as pool:
        before = pool.pids()
        os.kill(before[0], signal.SIGSTOP)
        await asyncio.gather(*(_sign(pool) for _ in range(10)))
        await availability.until(2, reports=3)
        assert before[0] not in pool.pids()
        assert before[1] in pool.pids()
        assert pool.restarts == 1
    assert f"crypto engine {before[0]} did not answer in 2 s and was ended" in caplog.text


async def test_an_engine_that_hangs_while_idle_is_replaced(availability: Availability) -> None:
    async with _running(2, availability) as pool:
        stopped = pool.pids()[0]
        os.kill(stopped, signal.SIGSTOP)
        await availability.until(2, reports=3)
        assert stopped not in pool.pids()
        assert pool.restarts == 1


async def test_an_operation_that_costs_two_engines_is_given_up(availability: Availability) -> None:
    async with _running(1, availability) as pool:
        _signal_all(pool, signal.SIGSTOP)
        availability.then = lambda available: _signal_all(pool, signal.SIGSTOP)
        with pytest.raises(EngineError, match="Sign cost two crypto engines"):
            await _sign(pool)
        availability.then = lambda available: None
        await _sign(pool)
        assert pool.restarts == 2


async def test_a_retried_operation_goes_before_those_that_wait(availability: Availability) -> None:
    order: list[int] = []

    async def sign(number: int) -> None:
        await _sign(pool)
        order.append(number)

    async with _running(1, availability) as pool:
        _signal_all(pool, signal.SIGSTOP)
        tasks = []
        for number in range(4):
            tasks.append(asyncio.create_task(sign(number)))
            await asyncio.sleep(0)
        _signal_all(pool, signal.SIGKILL)
        await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3]


async def test_all_engines_dying_costs_no_later_operation(availability: Availability) -> None:
    async with _running(2, availability) as pool:
        _signal_all(pool, signal.SIGKILL)
        await availability.until(0)
        assert pool.pids() == ()
        await _sign(pool)
        await availability.until(2)


async def test_an_engine_that_dies_again_and_again_comes_back(availability: Availability) -> None:
    async with _running(1, availability) as pool:
        for deaths in range(1, 4):
            _signal_all(pool, signal.SIGKILL)
            await availability.until(1, reports=1 + 2 * deaths)
        assert pool.restarts == 3
        await _sign(pool)


def test_the_pause_grows_while_engines_die_young() -> None:
    pause = Pause()
    young = [pause.after(0.1) for _ in range(10)]
    assert young == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert pause.after(3600.0) == 0.05
    assert pause.after(9.9) == 0.1


# --- too much to do -----------------------------------------------------------------------------


async def test_one_too_many_is_refused_at_once(availability: Availability) -> None:
    async with _running(1, availability, waiting=2) as pool:
        _signal_all(pool, signal.SIGSTOP)
        taken = [asyncio.create_task(_sign(pool)) for _ in range(3)]
        await asyncio.sleep(0)
        for _ in range(5):
            with pytest.raises(OverloadError):
                await _sign(pool)
        assert not any(task.done() for task in taken)
        _signal_all(pool, signal.SIGCONT)
        await asyncio.gather(*taken)
        assert pool.counters()["engines_overloaded"] == 5
        assert pool.restarts == 0


async def test_keys_are_neither_refused_nor_kept_waiting(availability: Availability) -> None:
    order: list[str] = []

    async def note(name: str, coroutine: object) -> None:
        await coroutine  # type: ignore[misc]
        order.append(name)

    async with _running(1, availability, waiting=2) as pool:
        _signal_all(pool, signal.SIGSTOP)
        names = ("working", "first", "second")
        tasks = [asyncio.create_task(note(name, _sign(pool))) for name in names]
        await asyncio.sleep(0)
        both = material(PERIOD, LATER)
        tasks.append(asyncio.create_task(note("keys", pool.load(both))))
        await asyncio.sleep(0)
        _signal_all(pool, signal.SIGCONT)
        await asyncio.gather(*tasks)
    assert order.index("keys") < order.index("first") < order.index("second")


async def test_a_cancelled_operation_disturbs_no_other(availability: Availability) -> None:
    async with _running(2, availability) as pool:
        _signal_all(pool, signal.SIGSTOP)
        tasks = [asyncio.create_task(_sign(pool)) for _ in range(8)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        _signal_all(pool, signal.SIGCONT)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, bytes) for result in results[1::2])
        assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
        await _all_sign(pool)
        assert pool.restarts == 0


async def test_an_engine_that_hangs_with_a_cancelled_operation_gets_no_other(
    availability: Availability,
) -> None:
    async with _running(1, availability) as pool:
        _signal_all(pool, signal.SIGSTOP)
        task = asyncio.create_task(_sign(pool))
        await asyncio.sleep(0)
        task.cancel()
        # It waits for the next engine instead of going to the one that hangs.
        await _sign(pool)
        assert pool.restarts == 1


# --- keys ---------------------------------------------------------------------------------------


async def test_an_engine_is_available_only_with_the_present_keys(
    availability: Availability,
) -> None:
    async with _running(2, availability) as pool:
        with _every_new_engine(lambda worker: os.kill(worker.pid, signal.SIGSTOP)):
            os.kill(pool.pids()[0], signal.SIGKILL)
            await availability.until(1)
            await _until(lambda: len(pool.pids()) == 2)
        assert pool.available == 1
        _signal_all(pool, signal.SIGCONT)
        await availability.until(2)
        await _all_sign(pool)


async def test_while_keys_change_those_without_them_do_not_count(
    availability: Availability,
) -> None:
    async with _running(2, availability) as pool:
        _signal_all(pool, signal.SIGSTOP)
        load = asyncio.create_task(pool.load(material(LATER)))
        await _until(lambda: pool.available == 1)
        _signal_all(pool, signal.SIGCONT)
        await load
        assert pool.available == 2
        assert availability.heard == [(2, 2)]
        await _all_sign(pool, LATER)


async def test_a_busy_engine_gets_new_keys_when_it_is_free(availability: Availability) -> None:
    async with _running(2, availability) as pool:
        _signal_all(pool, signal.SIGSTOP)
        busy = asyncio.create_task(_sign(pool))
        await asyncio.sleep(0)
        load = asyncio.create_task(pool.load(material(LATER)))
        await _until(lambda: pool.available == 1)
        _signal_all(pool, signal.SIGCONT)
        await asyncio.gather(busy, load)
        await _all_sign(pool, LATER)
        assert pool.available == 2


async def test_new_keys_while_an_engine_restarts(availability: Availability) -> None:
    async with _running(2, availability) as pool:
        with _every_new_engine(lambda worker: os.kill(worker.pid, signal.SIGSTOP)):
            os.kill(pool.pids()[0], signal.SIGKILL)
            # It is being given the old keys when there are new ones.
            await _until(lambda: pool.available == 1 and len(pool.pids()) == 2)
        await pool.load(material(LATER))
        assert pool.available == 1
        _signal_all(pool, signal.SIGCONT)
        await availability.until(2)
        await _all_sign(pool, LATER)


async def test_an_engine_that_dies_while_it_loads_costs_no_keys(availability: Availability) -> None:
    async with _running(1, availability) as pool:
        _signal_all(pool, signal.SIGSTOP)
        load = asyncio.create_task(pool.load(material(LATER)))
        await _until(lambda: pool.available == 0)
        _signal_all(pool, signal.SIGKILL)
        await load
        await _sign(pool, LATER)
        assert (pool.restarts, pool.available) == (1, 1)


async def test_keys_outlast_engines_that_die_before_they_get_them(
    availability: Availability,
) -> None:
    async with _running(1, availability) as pool:
        _signal_all(pool, signal.SIGSTOP)
        load = asyncio.create_task(pool.load(material(LATER)))
        await _until(lambda: pool.available == 0)
        with _every_new_engine(lambda worker: os.kill(worker.pid, signal.SIGKILL)):
            _signal_all(pool, signal.SIGKILL)
            await _until(lambda: pool.restarts == 3)
        await load
        await _sign(pool, LATER)


async def test_keys_that_cost_two_engines_are_given_up(availability: Availability) -> None:
    async with _running(1, availability, keys=False) as pool:
        _signal_all(pool, signal.SIGSTOP)
        load = asyncio.create_task(pool.load(material()))
        await _until(lambda: pool.available == 0)
        with _every_new_engine(lambda worker: os.kill(worker.pid, signal.SIGKILL)):
            _signal_all(pool, signal.SIGKILL)
            with pytest.raises(EngineError, match="Load cost two crypto engines"):
                await load
        await pool.load(material())
        await _sign(pool)


async def test_who_gives_up_a_load_leaves_all_engines_with_the_same_keys(
    availability: Availability,
) -> None:
    async with _running(2, availability) as pool:
        _signal_all(pool, signal.SIGSTOP)
        load = asyncio.create_task(pool.load(material(LATER)))
        await _until(lambda: pool.available == 1)
        load.cancel()
        _signal_all(pool, signal.SIGCONT)
        await pool.load(material(PERIOD, LATER))
        await _all_sign(pool)
        await _all_sign(pool, LATER)
        assert pool.available == 2


async def test_the_copy_of_keys_that_were_replaced_is_wiped(availability: Availability) -> None:
    async with _running(1, availability) as pool:
        first = pool._keys
        assert first.reveal()
        await pool.load(material(LATER))
        with pytest.raises(SecretError):
            first.reveal()
        last = pool._keys
    with pytest.raises(SecretError):
        last.reveal()


# --- the end ------------------------------------------------------------------------------------


async def test_closing_leaves_no_process(availability: Availability) -> None:
    async with _running(2, availability) as pool:
        pids = pool.pids()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def _children() -> set[int]:
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    return set(map(int, children.read_text().split()))


@pytest.mark.parametrize("spawned", [False, True])
async def test_closing_while_engines_restart_leaves_no_process(
    availability: Availability, spawned: bool
) -> None:
    async with _running(2, availability) as pool:
        before = _children()
        _signal_all(pool, signal.SIGKILL)
        await availability.until(0)
        begun = [asyncio.create_task(_sign(pool)) for _ in range(2)]
        if spawned:
            # A process that has not said yet that it is there.
            await _until(lambda: bool(_children() - before))
        new = _children() - before
    for task in begun:
        with pytest.raises(EngineError, match="stopped"):
            await task
    assert all(map(ends, new))
    assert not _children() & (before | new)
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_an_operation_that_runs_when_the_pool_closes_is_told(
    availability: Availability,
) -> None:
    async with _running(1, availability) as pool:
        _signal_all(pool, signal.SIGSTOP)
        running = asyncio.create_task(_sign(pool))
        await asyncio.sleep(0)
    with pytest.raises(EngineError, match="stopped"):
        await running


def test_engines_end_with_a_relay_that_is_killed() -> None:
    code = (
        "import asyncio, os, signal, sys\n"
        "from cig_relay.engines.pool import EnginePool\n"
        "async def main():\n"
        f"    pool = EnginePool(2, options={OPTIONS!r})\n"
        "    await pool.start()\n"
        "    print(*pool.pids(), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    pids = process.stdout.split()
    assert (process.returncode, len(pids)) == (-signal.SIGKILL, 2), process.stderr
    assert all(ends(int(pid)) for pid in pids)


# --- protection ---------------------------------------------------------------------------------

PROTECTION = f"""
import asyncio, logging, sys
from cig_relay.engines.pool import EnginePool

async def main():
    pool = EnginePool(2, options={OPTIONS!r})
    await pool.start()
    print(pool.counters())
    await pool.close()

logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
asyncio.run(main())
"""


def test_engines_that_cannot_lock_their_memory_work_and_are_told() -> None:
    out = run_python_with_memlock(PROTECTION).stdout
    assert out.count("the memory of 2 of 2 crypto engines is not locked") == 1
    assert "'engines_not_locked': 2" in out


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="another name of the architecture")
async def test_engines_without_a_filter_work_and_are_told(
    availability: Availability, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    linux32 = 0x0008  # uname(2) then tells another architecture, to child processes too
    libc = ctypes.CDLL(None)
    before = libc.personality(linux32)
    try:
        async with _running(1, availability) as pool:
            await _sign(pool)
            assert pool.counters()["engines_not_filtered"] == 1
    finally:
        libc.personality(before)
    assert "1 of 1 crypto engines run without a system call filter" in caplog.text
