# SPDX-License-Identifier: GPL-3.0-or-later
"""Reloading: taken whole or refused whole, with a relay that takes part, refuses, or is away."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cig_common.clock import ManualClock
from cig_common.control.codec import ControlDecoder, Envelope
from cig_common.control.messages import (
    VERSION,
    CommitReloadRequest,
    ConfigurationEvent,
    Done,
    ErrorCode,
    ErrorReply,
    HelloReply,
    HelloRequest,
    PrepareReloadRequest,
)
from cig_common.control.record import Record
from cig_common.loading import load_part
from cig_server.call.manager import CallManager
from cig_server.config_view import server_part
from cig_server.gateway import Gateway
from cig_server.mgmt.view import NeedsRestart
from cig_server.relay.client import RelayClient
from cig_server.reload import Reloader, summary
from cig_server.session_log import SessionLog
from cig_server.uif.interface import UmsgInterface
from umsg.events import SignatureWanted

OLD = """\
map m { entry e sip "sip:{x}@h" tel "tel:+{x}"; }
interfaces {
  tel { extension map m; }
  sip { extension map m;
    bind 192.0.2.1;
  }
}
"""
NEW = OLD.replace("interfaces {", "interfaces {\n  max_calls 7;")
BAD = OLD.replace("extension map m;", "extension map n;")
REFUSAL = ErrorReply(ErrorCode.INTERNAL, "reload", "cig-relay finds another file")


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


class Relay:
    """The relay's end of the control socket; ``answers`` may say otherwise than it would."""

    def __init__(self) -> None:
        self.digest = digest(OLD)
        self.asked: list[Record] = []
        self.answers: dict[type[Record], ErrorReply | None] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.writer: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        decoder = ControlDecoder()
        while data := await reader.read(4096):
            for envelope in decoder.feed(data):
                request = envelope.message
                if isinstance(request, HelloRequest):
                    hello = HelloReply(VERSION, "relay", None, self.digest)
                    writer.write(Envelope(envelope.number, hello).encode())
                    continue
                self.asked.append(request)
                await self.gate.wait()
                answer: Record | None = self.answers.get(type(request), Done())
                if answer is None:
                    writer.close()
                    return
                if isinstance(request, CommitReloadRequest) and isinstance(answer, Done):
                    self.digest = request.digest
                writer.write(Envelope(envelope.number, answer).encode())


@dataclass
class Rig:
    path: Path
    relay: Relay
    gateway: Gateway
    reloader: Reloader

    async def until(self, what: str) -> None:
        """Wait until the relay's connection is in a state: ``connected`` or not."""
        async with asyncio.timeout(10):
            while self.gateway.relay.connected != (what == "connected"):
                await asyncio.sleep(0.01)


async def _sign(wanted: SignatureWanted, period: str) -> bytes:
    raise AssertionError("nothing is signed here")


@asynccontextmanager
async def running(folder: Path, *, with_relay: bool = True) -> AsyncIterator[Rig]:
    path, clock = folder / "cig.conf", ManualClock()
    path.write_text(OLD)
    loaded = load_part(path, server_part)
    manager = CallManager(clock, SessionLog(None))
    gateway = Gateway(loaded.part.configuration, manager, os.urandom)
    client = RelayClient(folder / "relay.sock", gateway, sip_bind="192.0.2.1")
    uif = UmsgInterface(_sign, gateway, clock)
    gateway.attach(client, uif, None)  # type: ignore[arg-type]  # SIP has no part in this
    rig = Rig(path, Relay(), gateway, Reloader(path, loaded, gateway, clock))
    server = None
    if with_relay:
        server = await asyncio.start_unix_server(rig.relay.serve, folder / "relay.sock")
        client.start()
        await rig.until("connected")
    try:
        yield rig
    finally:
        await rig.reloader.stop()
        await client.stop()
        if server is not None:
            server.close()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path) as running_rig:
        yield running_rig


async def test_a_good_file_is_taken_by_both(rig: Rig) -> None:
    rig.path.write_text(NEW)
    report = await rig.reloader.reload("an operator")
    assert (report.taken, report.by, report.relay) == (True, "an operator", "")
    assert report.changes == ("max_calls: 1000 -> 7",)
    assert rig.gateway.config.max_calls == 7
    assert rig.relay.asked == [PrepareReloadRequest(digest(NEW)), CommitReloadRequest(digest(NEW))]
    assert rig.reloader.last == report
    assert "was taken (an operator)" in summary(report)


async def test_a_bad_file_does_not_reach_the_relay(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.path.write_text(BAD)
    before = rig.gateway.config
    report = await rig.reloader.reload("x")
    assert (report.taken, report.refusal) == (False, "2 mistakes")
    assert [problem.line for problem in report.problems] == [3, 4]
    assert rig.gateway.config is before
    assert rig.relay.asked == []
    messages = [record.getMessage() for record in caplog.records]
    assert sum(": error: map `n` is not defined" in message for message in messages) == 2
    assert not any("\n" in message for message in messages)


@pytest.mark.parametrize("step", [PrepareReloadRequest, CommitReloadRequest])
async def test_what_the_relay_refuses_is_taken_by_nobody(rig: Rig, step: type[Record]) -> None:
    rig.relay.answers[step] = REFUSAL
    rig.path.write_text(NEW)
    report = await rig.reloader.reload("x")
    assert not report.taken
    assert "cig-relay finds another file" in report.refusal
    assert rig.gateway.config.max_calls == 1000
    assert not rig.reloader.relay_differs


async def test_a_relay_that_goes_away_in_the_middle_is_told_and_mended(rig: Rig) -> None:
    rig.relay.answers[CommitReloadRequest] = None
    rig.path.write_text(NEW)
    report = await rig.reloader.reload("x")
    assert report.taken
    assert "cig-relay is not connected" in report.relay
    assert rig.gateway.config.max_calls == 7
    del rig.relay.answers[CommitReloadRequest]
    await rig.until("connected")
    async with asyncio.timeout(10):
        while rig.reloader.relay_differs:
            await asyncio.sleep(0.01)
    assert rig.relay.digest == digest(NEW)


async def test_without_a_relay_the_file_is_taken_and_that_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, with_relay=False) as rig:
        rig.path.write_text(NEW)
        report = await rig.reloader.reload("x")
        assert report.taken
        assert "it takes the file when it starts" in report.relay
        assert not rig.reloader.relay_differs


async def test_a_relay_that_took_a_file_alone_is_told(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    assert rig.relay.writer is not None
    event = ConfigurationEvent(digest(NEW))
    rig.relay.writer.write(Envelope(0, event).encode())
    async with asyncio.timeout(10):
        while not rig.reloader.relay_differs:
            await asyncio.sleep(0.01)
    assert "cig-relay has taken another cig.conf" in caplog.text
    rig.path.write_text(NEW)
    assert (await rig.reloader.reload("x")).taken
    assert not rig.reloader.relay_differs


async def test_bind_and_port_wait_for_a_restart(rig: Rig) -> None:
    rig.path.write_text(OLD.replace("bind 192.0.2.1;", "bind 192.0.2.2;\n    port 5070;"))
    report = await rig.reloader.reload("x")
    assert report.restart == (
        NeedsRestart("bind", "192.0.2.1", "192.0.2.2", 5),
        NeedsRestart("port", "5060", "5070", 6),
    )
    assert rig.reloader.waiting() == report.restart
    assert str(rig.reloader.listening.bind) == "192.0.2.1"
    rig.path.write_text(OLD.replace("    bind 192.0.2.1;\n", ""))
    report = await rig.reloader.reload("x")
    assert report.restart == (NeedsRestart("bind", "192.0.2.1", "all addresses", 0),)
    rig.path.write_text(OLD)
    assert (await rig.reloader.reload("x")).restart == ()


async def test_reloads_take_turns(rig: Rig) -> None:
    rig.relay.gate.clear()
    rig.path.write_text(NEW)
    first = asyncio.create_task(rig.reloader.reload("first"))
    async with asyncio.timeout(10):
        while not rig.relay.asked:
            await asyncio.sleep(0.01)
    others = [asyncio.create_task(rig.reloader.reload(f"{n}")) for n in range(3)]
    await asyncio.sleep(0)
    assert len(rig.relay.asked) == 1
    rig.relay.gate.set()
    reports = await asyncio.wait_for(asyncio.gather(first, *others), 20)
    assert [report.by for report in reports] == ["first", "0", "1", "2"]
    assert all(report.taken for report in reports)
    kinds = [type(request) for request in rig.relay.asked]
    assert kinds == [PrepareReloadRequest, CommitReloadRequest] * 4


async def test_signals_that_wait_are_one(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rig.path.write_text(NEW)
    for _ in range(100):
        rig.reloader.signalled()
    async with asyncio.timeout(10):
        while rig.reloader.last is None:
            await asyncio.sleep(0.01)
    await rig.reloader.reload("the end")
    assert caplog.text.count("(SIGHUP)") == 1


async def test_none_while_the_gateway_stops(rig: Rig) -> None:
    rig.path.write_text(NEW)
    rig.gateway.stopping = True
    report = await rig.reloader.reload("x")
    assert report.refusal == "the gateway is being stopped"
    assert rig.gateway.config.max_calls == 1000


async def test_none_is_taken_when_the_stop_comes_in_the_middle(rig: Rig) -> None:
    rig.relay.gate.clear()
    rig.path.write_text(NEW)
    reload = asyncio.create_task(rig.reloader.reload("x"))
    async with asyncio.timeout(10):
        while not rig.relay.asked:
            await asyncio.sleep(0.01)
    rig.gateway.stopping = True
    rig.relay.gate.set()
    report = await asyncio.wait_for(reload, 10)
    assert not report.taken
    assert rig.gateway.config.max_calls == 1000
    assert [type(request) for request in rig.relay.asked] == [PrepareReloadRequest]
