# SPDX-License-Identifier: GPL-3.0-or-later
"""How many operations a second crypto engines do, and how that grows with their number.

Run as `PYTHONPATH=src python tests/bench/bench_engines.py`. Pools of 1, 2 and 3 engines run side by
side and take turns in short rounds, so that a noisy host spoils all of them alike; a ratio is
the median of the ratios of rounds that followed each other.

In the same turns 1, 2 and 3 bare processes decapsulate, without a relay: what they gain by being
more is all that this host has to give at that moment, its processors being busy or virtual as they
may be. The exit code is 1 where two engines, or three, open and build messages with less than
seven tenths of that gain.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection

import uvloop

from cig_material.material import KeyMaterial, KmsParameters, PeriodKeys
from cig_relay.engines.pool import EnginePool
from mikey_sakke import initiator
from mikey_sakke.identifiers import tel_identifier
from mikey_sakke.keys import UserKeys
from mikey_sakke.kms import MasterKeys
from mikey_sakke.sakke import Decapsulator
from mikey_sakke.secret import Secret

GATEWAY, CALLER = "tel:+8888", "tel:+46701234567"
MONTH, PERIOD, KMS_URI = "2026-11", "2026-11-1", "kms.example.com"
NOW = datetime(2026, 11, 15, 12, tzinfo=UTC).timestamp()
SIZES = (1, 2, 3)
AT_ONCE = 12
"""Operations that are asked for at the same time: enough for all engines."""
LEAST_SHARE = 0.7
"""Of a pool's ratio in that of the bare processes: the rest is the relay's share and noise."""
BARE_PER_ROUND = 36
BARE = "  no relay"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: what to call, how often in a round, and whether its growth is judged.

    The short ones are as much the relay's work as the engines'.
    """

    name: str
    run: Callable[[EnginePool, int], Awaitable[object]]
    per_round: int
    judged: bool


class BareProcesses:
    """Processes that decapsulate on command, with nothing in between."""

    def __init__(self, size: int, keys: UserKeys) -> None:
        self._size = size
        sed = keys.kms.encapsulate(bytes(16), identifier=keys.identifier)
        context = multiprocessing.get_context("fork")
        pairs = [context.Pipe() for _ in range(size)]
        self._pipes = [ours for ours, _ in pairs]
        for _, theirs in pairs:
            context.Process(
                target=_decapsulate, args=(theirs, keys.decapsulator, sed), daemon=True
            ).start()

    def round(self) -> float:
        """Do a round; gives operations a second."""
        start = time.perf_counter()
        for pipe in self._pipes:
            pipe.send(BARE_PER_ROUND // self._size)
        for pipe in self._pipes:
            pipe.recv()
        return BARE_PER_ROUND / (time.perf_counter() - start)


def _decapsulate(pipe: Connection, decapsulator: Decapsulator, sed: bytes) -> None:
    while True:
        for _ in range(pipe.recv()):
            decapsulator.decapsulate(sed)
        pipe.send(None)


def _material(masters: MasterKeys) -> KeyMaterial:
    identifier = tel_identifier(GATEWAY, MONTH)
    ssk, pvt = masters.issue_ssk(identifier)
    kms = KmsParameters(KMS_URI, masters.kpak, masters.z_public)
    keys = PeriodKeys(PERIOD, kms, Secret(ssk), pvt, Secret(masters.issue_rsk(identifier)))
    return KeyMaterial(GATEWAY, "BENCH", ("127.0.0.1:146",), bytes(32), None, (keys,))


def _operations(message: bytes) -> list[Operation]:
    def build(pool: EnginePool, number: int) -> Awaitable[object]:
        to = f"tel:+4670{number % 10**7:07}"
        return pool.build_message(responder=to, now=NOW, ssrc=1, csb_id=number, binding=bytes(32))

    return [
        Operation("open", lambda pool, _: pool.open_message(message, now=NOW), 36, True),
        Operation("build", build, 36, True),
        Operation("verify", lambda pool, _: pool.verify_message(message, now=NOW), 240, False),
        Operation(
            "sign", lambda pool, _: pool.sign_auth(period=PERIOD, text=bytes(200)), 240, False
        ),
    ]


async def _round(operation: Operation, pool: EnginePool) -> float:
    """Do a round; gives operations a second."""
    numbers = iter(range(operation.per_round))

    async def one_after_the_other() -> None:
        for number in numbers:
            await operation.run(pool, number)

    start = time.perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))
    return operation.per_round / (time.perf_counter() - start)


async def _measure(
    rounds: int, masters: MasterKeys, bare: list[BareProcesses]
) -> dict[str, list[float]]:
    """Measure and print; gives each operation's ratios to one engine."""
    caller = masters.issue(CALLER, MONTH, kms_uri=KMS_URI)
    message = initiator.build(caller, to_uri=GATEWAY, ssrc=7, binding=bytes(32), now=NOW).message
    material = _material(masters)
    pools = [EnginePool(size) for size in SIZES]
    for pool in pools:
        await pool.start()
        await pool.load(material)
    ratios: dict[str, list[float]] = {}
    try:
        for operation in _operations(message):
            for pool in pools:
                await _round(operation, pool)  # what is computed on first use
            done, done_bare = [], []
            for _ in range(rounds):
                done.append([await _round(operation, pool) for pool in pools])
                done_bare.append([processes.round() for processes in bare])
            ratios[operation.name] = _print(operation.name, done)
            if operation.judged:
                ratios[BARE + operation.name] = _print(BARE, done_bare)
    finally:
        await asyncio.gather(*(pool.close() for pool in pools))
    return ratios


def _print(name: str, rates: list[list[float]]) -> list[float]:
    ratios = [statistics.median(rate[i] / rate[0] for rate in rates) for i in range(len(SIZES))]
    figures = "".join(
        f"{statistics.median(column):9.0f} ({ratio:4.2f})"
        for column, ratio in zip(zip(*rates, strict=True), ratios, strict=True)
    )
    print(f"{name:16}{figures}", flush=True)
    return ratios


def _processors() -> int:
    return len(os.sched_getaffinity(0))


def main() -> int:
    """Print the table; gives the exit code."""
    parser = argparse.ArgumentParser(description="Operations a second of 1, 2 and 3 engines")
    parser.add_argument("--rounds", type=int, default=25, help="how many rounds of each")
    rounds = parser.parse_args().rounds
    masters = MasterKeys.generate()
    keys = masters.issue(GATEWAY, MONTH)
    bare = [BareProcesses(size, keys) for size in SIZES]
    heads = "".join(f"{size:>9} engine{'s' if size > 1 else ' '}" for size in SIZES)
    print(f"operations a second (ratio to one engine), {_processors()} processors")
    print(f"{'':16}{heads}")
    ratios = uvloop.run(_measure(rounds, masters, bare))
    missed = False
    for name, of_pools in ratios.items():
        for index, size in enumerate(SIZES[1:], 1):
            gain = ratios.get(BARE + name)
            if gain is not None and of_pools[index] < LEAST_SHARE * gain[index]:
                missed = True
                print(f"MISSED: {name} with {size} engines gains less than the host has to give")
    print(f"{rounds} rounds each; " + ("targets missed" if missed else "all targets met"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
