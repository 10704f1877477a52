# SPDX-License-Identifier: GPL-3.0-or-later
"""Reload after reload under steady calls: what the test does for seconds and the bench for long.

SIPp begins calls at a fixed rate; the lab's secure phone answers each at once and SIPp ends it
after a moment, so every call goes through routing, crypto, media and both sides' signalling.
Meanwhile cig.conf is written and reloaded again and again, each time another one: the maps and the
port ranges change, but both files let the calls in. A call is lost when SIPp does not see all of
its messages, or when session.log does not have it from ``routing`` to ``hangup``.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cig_lab.environment import HOST
from e2e.support import Gateway
from sip.sipp import filled, free_port

TALK_MS = 100
_QUIET_SECONDS = 30.0


@dataclass
class Sample:
    """Resident memory, kB, of both daemons when so many reloads had been done."""

    reloads: int
    server_kb: int
    relay_kb: int


@dataclass
class Soaked:
    """What came of it."""

    reloads: int = 0
    seconds: float = 0.0
    calls: int = 0
    lost: int = 0
    states: Counter[str] = field(default_factory=Counter)
    memory: list[Sample] = field(default_factory=list)
    times_ms: list[float] = field(default_factory=list)


class Files:
    """The two cig.conf that take turns: other maps, other ports, the same calls pass."""

    def __init__(self, lab: Gateway) -> None:
        self._path = lab.lab.folder / "cig.conf"
        text = self._path.read_text()
        low, high = lab.lab.rtp_ports[0], lab.lab.rtp_ports[-1]
        quarter = (high - low + 1) // 4
        entries = "".join(
            f'  entry e{n} sip "sip:9000{n}@{HOST}" tel "tel:+4670{n:03d}";\n' for n in range(100)
        )
        self._texts = (
            text,
            _ranges(
                text.replace("map mapsip2tel {\n", f"map mapsip2tel {{\n{entries}"),
                (low, low + quarter - 1, low + 2 * quarter, low + 3 * quarter - 1),
            ),
        )
        assert self._texts[0] != self._texts[1]

    def write(self, number: int) -> None:
        """Put one of them in place, whole at once as a careful editor does."""
        fresh = self._path.with_suffix(".new")
        fresh.write_text(self._texts[number % 2])
        fresh.replace(self._path)


def _ranges(text: str, ports: tuple[int, int, int, int]) -> str:
    found = iter((ports[:2], ports[2:]))

    def change(_: re.Match[str]) -> str:
        low, high = next(found)
        return f"rtp_port_range {low} {high};"

    return re.sub(r"rtp_port_range \d+ \d+;", change, text)


async def soak(
    lab: Gateway,
    folder: Path,
    *,
    reloads: int,
    rate: int,
    pause: float,
    most_seconds: float,
    samples: int = 10,
    warm_up: float = 0.0,
) -> Soaked:
    """Reload ``reloads`` times under ``rate`` calls a second, for ``most_seconds`` at the most.

    ``pause`` is the time from the end of one reload to the next, seconds. The calls run alone for
    ``warm_up`` seconds first: the SIP stack keeps what it knows of a call for up to 32 s (RFC 3261,
    timers H and J), so its memory grows for that long and then stays.
    """
    result = Soaked()
    files = Files(lab)
    async with answering(lab), calling(lab, folder, rate) as calls:
        await asyncio.sleep(warm_up)
        began = time.monotonic()
        result.memory.append(_sample(lab, 0))
        async with connection(lab) as reload:
            every = max(1, reloads // samples)
            while result.reloads < reloads and time.monotonic() - began < most_seconds:
                files.write(result.reloads + 1)
                sent = time.monotonic()
                assert await reload() == "OK"
                result.times_ms.append((time.monotonic() - sent) * 1000)
                result.reloads += 1
                await asyncio.sleep(pause)
                if result.reloads % every == 0:
                    result.memory.append(_sample(lab, result.reloads))
            result.seconds = time.monotonic() - began
            files.write(0)
            assert await reload() == "OK"
        result.calls, result.lost = await calls.finish()
    await asyncio.wait_for(lab.idle(), _QUIET_SECONDS)
    result.states = Counter(line.state for line in lab.session_log())
    result.memory.append(_sample(lab, result.reloads))
    return result


# --- the calls ----------------------------------------------------------------------------------


@dataclass
class Calls:
    """SIPp at work."""

    process: asyncio.subprocess.Process
    statistics: Path

    async def finish(self) -> tuple[int, int]:
        """Begin no more, wait for the last call's end; gives all calls, and those that failed."""
        # SIPp's own signal for that: no new calls, end when the last one has.
        self.process.send_signal(10)
        await asyncio.wait_for(self.process.wait(), _QUIET_SECONDS)
        with self.statistics.open() as file:
            last = list(csv.DictReader(file, delimiter=";"))[-1]
        return int(last["TotalCallCreated"]), int(last["FailedCall(C)"])


@asynccontextmanager
async def calling(lab: Gateway, folder: Path, rate: int) -> AsyncIterator[Calls]:
    """Begin ``rate`` calls a second, without an end."""
    scenario, statistics = folder / "soak.xml", folder / "soak.csv"
    scenario.write_text(filled("caller_talks", {"talk_ms": TALK_MS}))
    process = await asyncio.create_subprocess_exec(
        *("sipp", "-sf", str(scenario), "-s", "946701234567", "-nostdin"),
        *("-i", HOST, "-p", str(free_port()), "-r", str(rate), "-l", str(rate * 20)),
        *("-trace_stat", "-stf", str(statistics), "-fd", "5", "-recv_timeout", "10000"),
        *("-trace_err", "-error_file", str(folder / "soak.errors")),
        f"{HOST}:{lab.port}",
        cwd=folder,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield Calls(process, statistics)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def answering(lab: Gateway) -> AsyncIterator[None]:
    """Have the secure phone answer every call."""

    async def answer() -> None:
        while True:
            call = await lab.lab.phone.incoming()
            with contextlib.suppress(Exception):  # SIPp sees what becomes of it
                await call.accept()

    task = asyncio.create_task(answer())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# --- the reloads --------------------------------------------------------------------------------


@asynccontextmanager
async def connection(lab: Gateway):
    """Open one connection to the management port; gives a function that reloads by it."""
    reader, writer = await asyncio.open_connection(HOST, lab.lab.mgmt_port)
    token = (lab.lab.folder / "mgmt-token").read_text().strip()

    async def ask(line: str) -> str:
        writer.write(line.encode() + b"\n")
        while True:
            answer = (await reader.readline()).decode().rstrip("\n")
            if not answer or answer == "OK" or answer.startswith("ERROR"):
                return answer

    try:
        assert await ask(f"auth {token}") == "OK"
        yield lambda: ask("reload")
    finally:
        writer.close()


def _sample(lab: Gateway, reloads: int) -> Sample:
    return Sample(reloads, resident_kb(lab.lab.server.pid), resident_kb(lab.lab.relay.pid))


def resident_kb(pid: int) -> int:
    """Give a process's resident memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])
