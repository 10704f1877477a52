# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests' end of `driver.py`: a SIP trunk in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sip.sipp import HOST, free_port, in_uri

ROOT = Path(__file__).parents[2]
Event = dict[str, Any]


def environment() -> dict[str, str]:
    """Give the environment for a program that runs the tree under test."""
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}


class Gateway:
    """A running trunk; events are taken from ``expect``, or by ``react`` as they come.

    ``host`` stands for its relay and its PBX, where a test says nothing else.
    """

    def __init__(self, host: str, port: int, process: asyncio.subprocess.Process) -> None:
        self.host = host
        self.port = port
        self.process = process
        self.react: Callable[[Event], None] | None = None
        self.seen: list[Event] = []
        self.dialled: dict[str, str] = {}
        self.last: Event | None = None
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._numbers = 0
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, host: str = HOST, **settings: Any) -> Gateway:
        settings.setdefault("bind_addr", host)
        port = settings.setdefault("bind_port", free_port(settings["bind_addr"]))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).parent / "driver.py"),
            json.dumps(settings),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(),
        )
        gateway = cls(host, port, process)
        try:
            await gateway.expect("Started")
        except BaseException:
            await gateway.kill()
            raise
        return gateway

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            if not line.startswith(b"{"):
                continue  # pjlib says hello on standard output before it can be told not to
            event = json.loads(line)
            if event["event"] == "Dialled":
                self.dialled[event["call"]] = event["call_id"]
                continue
            self.seen.append(event)
            if self.react is not None:
                self.react(event)
            self._events.put_nowait(event)
        self._events.put_nowait({"event": "Exit"})

    def do(self, name: str, call: str | None = None, /, **arguments: Any) -> None:
        assert self.process.stdin is not None
        line = {"do": name, **({} if call is None else {"call": call}), **arguments}
        self.process.stdin.write(json.dumps(line).encode() + b"\n")

    def answer(self, call: str) -> None:
        self.do("answer", call, relay_addr=self.host, relay_port=20000)

    def dial(self, port: int, *, user: str = "101", transport: str = "", **more: Any) -> str:
        """Dial and give the call's name."""
        self._numbers += 1
        call = f"out-{self._numbers}"
        arguments = {
            "to_uri": f"sip:{user}@{in_uri(self.host)}:{port}{transport}",
            "from_uri": "sip:46701234567@secure.com",
            "relay_addr": self.host,
            "relay_port": 20000,
            **more,
        }
        self.do("dial", call, **arguments)
        return call

    async def expect(self, name: str, /, **fields: Any) -> Event:
        """Wait for the next event, which must be ``name`` with these fields."""
        event = await asyncio.wait_for(self._events.get(), 10)
        assert event["event"] == name, (event, await self._complaint(event))
        for field, value in fields.items():
            assert event[field] == value, event
        return event

    async def expect_any(self, call: str) -> Event:
        """Give the next event, which must be of this call."""
        event = await asyncio.wait_for(self._events.get(), 10)
        assert event.get("call") == call, (event, await self._complaint(event))
        return event

    async def expect_end(self, call: str, **fields: Any) -> Event:
        """Skip to the end of a call."""
        while True:
            event = await asyncio.wait_for(self._events.get(), 15)
            assert event["event"] != "Exit", await self._complaint(event)
            if event["event"] == "Ended" and event["call"] == call:
                for field, value in fields.items():
                    assert event[field] == value, event
                return event

    async def counters(self) -> dict[str, int]:
        """Give the trunk's counters; events that came before are skipped."""
        self.do("counters")
        while True:
            event = await asyncio.wait_for(self._events.get(), 10)
            assert event["event"] != "Exit", await self._complaint(event)
            if event["event"] == "Counters":
                return dict(event["counters"])

    async def _complaint(self, event: Event) -> str:
        if event["event"] != "Exit" or self.process.stderr is None:
            return ""
        return (await self.process.stderr.read()).decode(errors="replace")[-3000:]

    async def stop(self) -> Event:
        """Stop the trunk and give its last words; the process must end with status 0."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        while True:
            event = await asyncio.wait_for(self._events.get(), 10)
            assert event["event"] != "Exit", await self._complaint(event)
            if event["event"] == "Stopped":
                break
        await self._reader
        assert self.process.stderr is not None
        log = await self.process.stderr.read()
        assert await self.process.wait() == 0, log.decode(errors="replace")
        self.last = {**event, "log": log.decode(errors="replace")}
        return self.last

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        await self._reader
