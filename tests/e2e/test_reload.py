# SPDX-License-Identifier: GPL-3.0-or-later
"""cig.conf taken anew while calls are up, by every way that an operator has."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from cig_lab.process import run
from cig_lab.signals import make
from e2e.media import TAIL_PACKETS, check, check_echo, packets_heard
from e2e.soak import soak
from e2e.support import (
    HOST,
    Gateway,
    gateway,
    new_pbx_port,
    pbx_address,
    reason_of,
    soon,
    until,
)
from sip.sipp import Sipp
from umsg.reasons import Reason

OTHER_HOST = "127.0.0.2"


@pytest.fixture
def port() -> int:
    """The PBX's port."""
    return new_pbx_port()


def conf(lab: Gateway) -> Path:
    return lab.lab.folder / "cig.conf"


def change(lab: Gateway, *pairs: tuple[str, str]) -> None:
    """Edit cig.conf: each text, which must be there once, becomes another."""
    text = conf(lab).read_text()
    for old, new in pairs:
        assert text.count(old) == 1, (old, text)
        text = text.replace(old, new)
    conf(lab).write_text(text)


def sip_range(lab: Gateway) -> str:
    """Give the statement with the SIP side's ports as it stands in cig.conf."""
    block = conf(lab).read_text().partition("\n  sip {\n")[2]
    return "rtp_port_range " + block.partition("rtp_port_range ")[2].partition(";")[0] + ";"


async def cli(lab: Gateway, *arguments: str, token: str = "mgmt-token") -> tuple[int, str]:
    """Run ``cig-cli reload``; gives its exit code and all that it printed."""
    options = ("--token-file", str(lab.lab.folder / token), *arguments)
    return await run("cig-cli", "--port", str(lab.lab.mgmt_port), "reload", *options)


async def last_reload(lab: Gateway) -> str:
    return str((await lab.status())["relay_rows"]["Last reload"])


async def test_running_calls_keep_their_maps_and_new_ones_follow_the_new(tmp_path, port):
    async with gateway(pbx=pbx_address(port, "u1")) as lab:
        sipp = await Sipp.callee(tmp_path, "callee_answers", port=port, calls=2, echo=True)
        call = await lab.dial("+8888w101")
        await soon(call.up)
        await check_echo(call)
        change(lab, ('tel "tel:+8888;{TELEXT}"', 'tel "tel:+8888;7{TELEXT}"'))
        code, said = await cli(lab)
        assert (code, said.splitlines()[-1]) == (0, "OK"), said
        assert "map `maptel2sip`: changed, 1 entry, 1 before" in said
        assert await reason_of(await lab.dial("+8888w101")) is Reason.NOT_FOUND
        other = await lab.dial("+8888w7102")
        await soon(other.up)
        signal_ = make("fall", 0.8)
        await soon(call.play(signal_))
        played = packets_heard(call)
        await until("the echo's end", lambda: packets_heard(call) >= played + TAIL_PACKETS)
        check(signal_, call.recorded())
        call.hangup()
        other.hangup()
        await sipp.passed()
        assert f"127.0.0.1:{lab.lab.mgmt_port}" not in await last_reload(lab)
        assert "was taken" in await last_reload(lab)
        assert "map `maptel2sip`: changed" in lab.log(lab.lab.server)


async def test_a_bad_file_is_refused_whole_and_told_in_full(tmp_path, port):
    async with gateway(pbx=pbx_address(port, "u1")) as lab:
        assert await last_reload(lab) == "none since the start"
        good = conf(lab).read_text()
        # Three mistakes; the change before them would route calls elsewhere, were it taken.
        change(
            lab,
            ('tel "tel:+8888;{TELEXT}"', 'tel "tel:+8888;7{TELEXT}"'),
            ("extension map maptel2sip", "extension map maptel2spi"),
            ("messaging false", "messaging yes"),
        )
        conf(lab).write_text(conf(lab).read_text() + "}\n")
        before = await lab.status()
        code, said = await cli(lab)
        assert code == 1
        assert said.count(": error: ") == 3
        for place in ("maptel2spi", "messaging yes", "^"):
            assert place in said
        assert "was refused: 3 mistakes; the old one stays in use" in said.splitlines()[-1]
        log = lab.log(lab.lab.server)
        assert log.count(": error: ") == 3
        assert "maptel2spi" in log
        assert "was refused: 3 mistakes" in await last_reload(lab)
        code, said = await cli(lab, "--json")
        facts = json.loads(said)
        assert (code, facts["ok"], len(facts["problems"])) == (1, False, 3)
        assert all(problem["line"] for problem in facts["problems"])
        sipp = await Sipp.callee(tmp_path, "callee_answers", port=port, echo=True)
        call = await lab.dial("+8888w101")
        await soon(call.up)
        call.hangup()
        await sipp.passed()
        after = await lab.status()
        assert after["sip_bind_address"] == before["sip_bind_address"]
        conf(lab).write_text(good)
        code, said = await cli(lab, "--json")
        facts = json.loads(said)
        assert (code, facts["ok"], facts["changes"]) == (0, True, [])


async def test_bind_and_port_wait_for_a_restart_and_all_else_is_taken(tmp_path, port):
    async with gateway(pbx=pbx_address(port, "u1")) as lab:
        low = lab.lab.rtp_ports[0] + 100
        change(
            lab,
            (f"bind {HOST};", f"bind {OTHER_HOST};"),
            (f"port {lab.port};", f"port {lab.port + 1};"),
            (sip_range(lab), f"rtp_port_range {low} {low + 1};"),
            ("interfaces {", "interfaces {\n  max_calls 7;"),
        )
        code, said = await cli(lab)
        assert code == 0, said
        line = conf(lab).read_text().partition(f"bind {OTHER_HOST}")[0].count("\n") + 1
        assert f"cig.conf:{line}: bind {OTHER_HOST} is taken when cig-server is restarted" in said
        assert f"until then it stays {HOST}" in said
        assert f"cig.conf:{line + 1}: port {lab.port + 1} is taken when" in said
        assert "max_calls: 1000 -> 7" in said
        status = await lab.status()
        assert status["sip_bind_address"] == HOST
        assert status["sip_rows"]["SIP port"] == str(lab.port)
        assert status["sip_rows"]["Calls at most"] == "7"
        assert OTHER_HOST in status["relay_rows"]["Restart for bind"]
        # SIP and its media stay where they are, but the new port range is in use.
        sipp = await Sipp.callee(
            tmp_path,
            "callee_answers",
            port=port,
            check=f"c=IN IP4 {HOST}",
            check_too=f"m=audio {low} ",
            echo=True,
        )
        call = await lab.dial("+8888w101")
        await soon(call.up)
        call.hangup()
        await sipp.passed()
        await lab.idle()
        # After the restart of the server alone the relay's media follows it.
        assert await lab.lab.server.stop() == 0
        await lab.lab.start_server()
        await until("the CRS's welcome", lambda: _connected(lab))
        assert (await lab.status())["sip_bind_address"] == OTHER_HOST
        assert (await lab.status())["sip_rows"]["SIP port"] == str(lab.port + 1)
        sipp = await Sipp.callee(
            tmp_path, "callee_answers", port=port, check=f"c=IN IP4 {OTHER_HOST}", echo=True
        )
        call = await lab.dial("+8888w101")
        await soon(call.up)
        call.hangup()
        await sipp.passed()


async def _connected(lab: Gateway) -> bool:
    return bool((await lab.status())["umsg_connected"])


async def test_sighup_reloads_and_the_service_manager_is_told():
    async with gateway() as lab:
        server = lab.lab.server
        change(lab, ("interfaces {", "interfaces {\n  max_calls 8;"))
        os.kill(server.pid, signal.SIGHUP)
        await until("READY=1 after the reload", lambda: len(server.told) == 2)
        begun, ended = server.told
        assert begun.startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert ended.startswith("READY=1\nSTATUS=")
        assert "was taken (SIGHUP)" in ended
        assert (await lab.status())["sip_rows"]["Calls at most"] == "8"
        conf(lab).write_text("nonsense")
        os.kill(server.pid, signal.SIGHUP)
        await until("READY=1 after the refusal", lambda: len(server.told) == 4)
        assert "was refused" in server.told[-1]
        assert "1 mistake; the old one stays in use (SIGHUP)" in await last_reload(lab)
        assert (await lab.status())["sip_rows"]["Calls at most"] == "8"


async def test_who_has_no_token_changes_nothing():
    async with gateway() as lab:
        change(lab, ("interfaces {", "interfaces {\n  max_calls 9;"))
        code, said = await cli(lab, token="no-such-file")
        assert code == 1
        assert "cannot be read: No such file or directory" in said
        (lab.lab.folder / "old-token").write_text("0123456789abcdef" * 4)
        code, said = await cli(lab, token="old-token")
        assert code == 1
        assert "this is not the token of the running service" in said
        with pytest.raises(json.JSONDecodeError):
            await lab.lab.ask("reload")
        assert "`reload` refused to 127.0.0.1:" in lab.log(lab.lab.server)
        assert await last_reload(lab) == "none since the start"
        assert (await lab.status())["sip_rows"]["Calls at most"] == "1000"


async def test_a_relay_that_is_down_is_told_and_reads_the_file_when_it_starts(tmp_path, port):
    async with gateway(pbx=pbx_address(port, "u1")) as lab:
        assert await lab.lab.relay.stop() == 0
        low = lab.lab.rtp_ports[0] + 100
        change(lab, (sip_range(lab), f"rtp_port_range {low} {low + 1};"))
        code, said = await cli(lab)
        assert code == 0
        assert "cig-relay is not connected: it takes the file when it starts" in said
        await lab.lab.start_relay()

        async def relay_is_back() -> bool:
            return bool((await lab.status())["relay_connected"])

        await until("the relay to be connected", relay_is_back)
        status = await lab.status()
        assert "Relay configuration" not in status["relay_rows"]
        assert status["relay_rows"]["SIP ports free"] == "1"


async def test_a_reload_of_the_relay_alone_is_told_and_mended():
    async with gateway() as lab:
        change(lab, ("interfaces {", "interfaces {\n  max_calls 5;"))
        os.kill(lab.lab.relay.pid, signal.SIGHUP)

        async def differs() -> bool:
            return "Relay configuration" in (await lab.status())["relay_rows"]

        await until("status to tell of two files", differs)
        assert "cig-relay has taken another cig.conf" in lab.log(lab.lab.server)
        assert (await cli(lab))[0] == 0
        assert not await differs()


async def test_a_big_file_compiles_beside_the_calls(tmp_path, port):
    """Some 300 kB: enough for a process of its own on both sides."""
    async with gateway(pbx=pbx_address(port, "u1")) as lab:
        entries = "".join(
            f'  entry e{n} tel "tel:+8888;{n:06d}" sip "sip:{n:06d}@pbx{n}.example.com";\n'
            for n in range(100_000, 104_000)
        )
        change(lab, ("map maptel2sip {\n", f"map maptel2sip {{\n{entries}"))
        sipp = await Sipp.callee(tmp_path, "callee_answers", port=port, echo=True)
        reload = asyncio.create_task(cli(lab))
        call = await lab.dial("+8888w101")
        await soon(call.up)
        code, said = await reload
        assert code == 0, said
        assert "map `maptel2sip`: changed, 4001 entries, 1 before" in said
        await check_echo(call)
        call.hangup()
        await sipp.passed()


async def test_a_reload_is_given_up_when_the_gateway_stops():
    async with gateway(look_over=False) as lab:
        entries = "".join(
            f'  entry e{n} tel "tel:+8888;{n:06d}" sip "sip:{n:06d}@pbx{n}.example.com";\n'
            for n in range(100_000, 150_000)
        )
        change(lab, ("map maptel2sip {\n", f"map maptel2sip {{\n{entries}"))
        reload = asyncio.create_task(cli(lab))
        await until("the reload to begin", lambda: lab.lab.server.told)
        assert await asyncio.wait_for(lab.lab.server.stop(), 5) == 0
        assert (await reload)[0] != 0
        assert "was taken" not in lab.log(lab.lab.server)


async def test_reloads_under_steady_calls_lose_none(tmp_path):
    async with gateway() as lab:
        soaked = await soak(
            lab, tmp_path, reloads=40, rate=5, pause=0.1, most_seconds=40, samples=4
        )
        assert soaked.reloads == 40
        assert soaked.calls >= 10
        assert soaked.lost == 0
        assert len(set(soaked.states.values())) == 1, soaked.states
        assert set(soaked.states) == {"routing", "routed", "trying", "ringing", "talk", "hangup"}
        first, last = soaked.memory[1], soaked.memory[-1]
        assert last.server_kb < first.server_kb + 8192, soaked.memory
        assert last.relay_kb < first.relay_kb + 8192, soaked.memory
