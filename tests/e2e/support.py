# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole gateway for one test: real programs, a CRS, a secure phone, and a SIPp as the PBX.

``async with gateway() as lab`` starts it all on free ports of the loopback. When the test's body
has passed, the gateway is looked over before it is stopped: both programs must be alive, no call
may be left, their logs must show nothing that was not foreseen, and SIGTERM must end each of them
with 0 within 5 s.
"""

from __future__ import annotations

import asyncio
import csv
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from cig_lab import ports
from cig_lab.environment import HOST, Environment, Plan
from cig_lab.phone.call import SecureCall
from cig_lab.process import Child
from umsg.reasons import Reason

STOP_SECONDS = 5.0
SECURE_NUMBER = "946701234567"
"""What a SIP phone dials to reach the lab's secure phone."""
SECURE_URI = "tel:+46701234567"
PATIENCE = 10.0
"""Seconds after which a test stops waiting for what should have come at once."""

_NEVER = re.compile(r"Traceback|not foreseen|\binternal\b|protocol error", re.IGNORECASE)


class SessionLine(NamedTuple):
    """One line of session.log."""

    header: str
    time: str
    caller: str
    callee: str
    routed_caller: str
    routed_callee: str
    state: str
    caller_if_id: str
    callee_if_id: str


async def until(
    what: str, condition: Callable[[], Any | Awaitable[Any]], seconds: float = PATIENCE
) -> Any:
    """Wait until ``condition`` gives something true, and give that; fails with ``what``."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}"
        await asyncio.sleep(0.01)


async def reason_of(call: SecureCall) -> Reason:
    """Wait for the end of the secure phone's call; gives the reason that it was told."""
    return Reason((await soon(call.ended)).reason)


async def soon(awaitable: Awaitable[Any], seconds: float = PATIENCE) -> Any:
    """Await something that must not take longer than ``seconds``."""
    return await asyncio.wait_for(awaitable, seconds)


@dataclass
class Gateway:
    """The running lab, with what tests ask of it."""

    lab: Environment

    @property
    def port(self) -> int:
        """Where the gateway takes SIP, over UDP and TCP."""
        return self.lab.sip_port

    # --- the secure phone -----------------------------------------------------------------------

    async def dial(self, number: str = "+8888w101", **how: Any) -> SecureCall:
        """Have the secure phone call."""
        return await self.lab.phone.dial(number, **how)

    async def growls(self) -> SecureCall:
        """Wait until a call from SIP is growling at the secure phone."""
        return await soon(self.lab.phone.incoming())

    # --- what the gateway shows -----------------------------------------------------------------

    async def calls(self) -> list[dict[str, Any]]:
        """Give the rows of ``show call``."""
        return (await self.lab.ask("show call"))["calls"]

    async def status(self) -> dict[str, Any]:
        """Give ``status``."""
        return await self.lab.ask("status")

    async def shows(self, state: str) -> dict[str, Any]:
        """Wait until ``show call`` has one call, in ``state``; gives its row."""

        async def found() -> dict[str, Any] | None:
            rows = await self.calls()
            return rows[0] if [row["state"] for row in rows] == [state] else None

        return await until(f"show call to say {state}", found)

    async def idle(self) -> None:
        """Wait until no call is up any more."""

        async def none_up() -> bool:
            return (await self.status())["sip_rows"]["Calls up"] == "0"

        await until("the last call to end", none_up)

    async def relay_is_empty(self) -> bool:
        """Tell whether the relay has no call."""
        return (await self.status())["relay_rows"].get("Calls in the relay") == "0"

    def session_log(self) -> list[SessionLine]:
        """Give all lines of session.log so far."""
        file = self.lab.folder / "session.log"
        text = file.read_text() if file.exists() else ""
        rows = csv.reader(text.splitlines(), skipinitialspace=True, strict=True)
        return [SessionLine(*row) for row in rows]

    async def session_states(self, call_id: str = "", last: str = "hangup") -> list[str]:
        """Wait for the state ``last`` of a call in session.log; give all its states there.

        ``call_id`` is the caller's; it may be left out where there was one call only.
        """

        def told() -> list[SessionLine] | None:
            lines = [line for line in self.session_log() if line.caller_if_id.startswith(call_id)]
            return lines if lines and lines[-1].state == last else None

        lines = await until(f"session.log to end with {last}", told)
        assert len({line.caller_if_id for line in lines}) == 1, lines
        assert all(line.header == "event" for line in lines)
        assert [line.time for line in lines] == sorted(line.time for line in lines)
        return [line.state for line in lines]

    def log(self, child: Child) -> str:
        """Give what a program wrote to its log and to its output."""
        files = (self.lab.folder / f"{child.name}.{end}" for end in ("log", "out"))
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    # --- cig.conf -------------------------------------------------------------------------------

    async def reconfigure(self, *pairs: tuple[str, str]) -> None:
        """Edit cig.conf and have it taken: each text, which must be there once, becomes another."""
        file = self.lab.folder / "cig.conf"
        text = file.read_text()
        for old, new in pairs:
            assert text.count(old) == 1, (old, text)
            text = text.replace(old, new)
        file.write_text(text)
        token = str(self.lab.folder / "mgmt-token")
        await self.lab.cli("reload", "--token-file", token)

    # --- the end of a test ----------------------------------------------------------------------

    async def look_over(self) -> None:
        """Check that the gateway is well after a test, and that it stops as it should."""
        await self.idle()
        await until("the relay to have no call", self.relay_is_empty)
        assert not self.lab.crs.stats.internal_errors
        for child in (self.lab.server, self.lab.relay):
            assert child.returncode is None, f"{child.name} has ended\n{child.tail()}"
            began = time.monotonic()
            assert await child.stop() == 0, child.tail()
            assert time.monotonic() - began < STOP_SECONDS, child.tail()
            bad = [line for line in self.log(child).splitlines() if _NEVER.search(line)]
            assert not bad, f"{child.name} wrote\n" + "\n".join(bad)


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """Stop a process for the while, so that what waits for it can be looked at."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def gateway(
    *, pbx: str = "", any_caller: bool = True, look_over: bool = True, **more: Any
) -> AsyncIterator[Gateway]:
    """Start everything; ``pbx`` is where calls to SIP go: ``host:port``, ``…;transport=tcp``.

    ``more`` is for `cig_lab.environment.Plan`. With ``look_over`` False (for tests that kill a
    part) the checks at the end are left out.
    """
    mgmt_port = ports.free_port(HOST, ("tcp",))
    plan = Plan(mgmt_port=mgmt_port, pbx=pbx, any_caller=any_caller, **more)
    async with Environment(plan) as lab:
        running = Gateway(lab)
        try:
            yield running
        except BaseException:
            print(lab.tails())
            raise
        if look_over:
            await running.look_over()


def pbx_address(port: int, transport: str) -> str:
    """Give the ``pbx`` of `gateway` for a SIPp on ``port``; ``transport`` is ``u1`` or ``t1``."""
    return f"{HOST}:{port}" + (";transport=tcp" if transport.startswith("t") else "")


def new_pbx_port() -> int:
    """Give a port for a SIPp that is to be called."""
    return ports.free_port(HOST)
