# SPDX-License-Identifier: GPL-3.0-or-later
"""Twenty calls at once, in each direction; afterwards nothing of them may be left anywhere."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from e2e.media import packets_heard
from e2e.support import PATIENCE, Gateway, gateway, new_pbx_port, pbx_address, until
from sip.sipp import Sipp

OVER = pytest.mark.parametrize("over", ["u1", "t1"])
CALLS = 20
EACH_HEARS = 25
"""Voice packets: half a second."""


@OVER
async def test_twenty_calls_to_sip(tmp_path, over):
    port = new_pbx_port()
    async with gateway(pbx=pbx_address(port, over)) as lab:
        before = sockets(lab)
        sipp = await Sipp.callee(
            tmp_path, "callee_answers", port=port, transport=over, calls=CALLS, echo=True
        )
        calls = [await lab.dial(f"+8888w{100 + number}") for number in range(CALLS)]
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(call.up for call in calls))
        await all_up_and_heard(lab, calls)
        for call in calls:
            call.hangup()
        await sipp.passed()
        await nothing_left(lab, before)


@OVER
async def test_twenty_calls_from_sip(tmp_path, over):
    async with gateway() as lab:
        before = sockets(lab)
        sipp = await Sipp.caller(
            tmp_path,
            "caller_is_hung_up",
            lab.port,
            transport=over,
            calls=CALLS,
            rate=100,
            echo=True,
        )
        calls = [await lab.growls() for _ in range(CALLS)]
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(call.accept() for call in calls))
        await all_up_and_heard(lab, calls)
        for call in calls:
            call.hangup()
        await sipp.passed()
        await nothing_left(lab, before)


async def all_up_and_heard(lab: Gateway, calls: list) -> None:
    """All calls are up at one moment, and the PBX's echo comes back in each of them."""

    async def all_answered() -> bool:
        return [row["state"] for row in await lab.calls()] == ["ANSWER"] * CALLS

    await until("all calls to be answered", all_answered)
    await until(
        "voice in each call", lambda: all(packets_heard(call) >= EACH_HEARS for call in calls)
    )
    status = await lab.status()
    assert status["sip_rows"]["Calls up"] == str(CALLS)
    assert not any(call.ended.done() for call in calls)


async def nothing_left(lab: Gateway, sockets_before: set[int]) -> None:
    """The server counts no call, the relay has no call and no more sockets than before."""
    await lab.idle()
    await until("the relay to have no call", lab.relay_is_empty)
    await until("the relay's ports to be closed", lambda: sockets(lab) <= sockets_before)
    status = await lab.status()
    assert status["sip_rows"]["Calls up"] == "0"
    assert status["sip_rows"]["Calls since start"] == str(CALLS)
    assert status["relay_rows"]["SIP ports free"] == pairs_of_the_sip_range(lab), status
    states = [line.state for line in lab.session_log()]
    assert states.count("talk") == states.count("hangup") == CALLS
    assert not states.count("failed")


def pairs_of_the_sip_range(lab: Gateway) -> str:
    """Give how many pairs the configured range of the SIP side has."""
    text = (lab.lab.folder / "cig.conf").read_text()
    low, high = text.partition(" sip {\n")[2].partition("rtp_port_range ")[2].split(";")[0].split()
    return str((int(high) - int(low) + 1) // 2)


def sockets(lab: Gateway) -> set[int]:
    """Give the ports of the gateway's RTP ranges that are bound; /proc shows them to every user."""
    lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    bound = {int(line.split()[1].rpartition(":")[2], 16) for line in lines}
    return bound.intersection(lab.lab.rtp_ports)
