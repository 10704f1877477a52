# SPDX-License-Identifier: GPL-3.0-or-later
"""The relay client against a real Unix socket on which a test speaks for cig-relay."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cig_common.control.codec import ControlDecoder, Envelope
from cig_common.control.messages import (
    VERSION,
    AnswerMacRequest,
    Done,
    EnginesEvent,
    ErrorCode,
    ErrorReply,
    HelloReply,
    HelloRequest,
    MacReply,
    StatisticsRequest,
    StatusRequest,
)
from cig_common.control.record import Record
from cig_common.errors import ControlError, CryptoError, RelayUnavailableError
from cig_server.relay.client import RelayClient


class Listener:
    def __init__(self) -> None:
        self.heard: asyncio.Queue[object] = asyncio.Queue()

    def relay_connected(self, hello: HelloReply) -> None:
        self.heard.put_nowait(hello)

    def relay_lost(self) -> None:
        self.heard.put_nowait("lost")

    def relay_event(self, event: Record) -> None:
        self.heard.put_nowait(event)


class FakeRelay:
    """Answers on the socket as the test says; ``None`` from the script closes the connection."""

    def __init__(self, version: int = VERSION) -> None:
        self.version = version
        self.script: dict[type[Record], Record | None] = {}
        self.writer: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        decoder = ControlDecoder()
        while data := await reader.read(4096):
            for envelope in decoder.feed(data):
                answer = self._answer(envelope.message)
                if answer is None:
                    writer.close()
                    return
                writer.write(Envelope(envelope.number, answer).encode())
        writer.close()

    def _answer(self, message: Record) -> Record | None:
        if isinstance(message, HelloRequest):
            return HelloReply(self.version, "relay", None)
        return self.script[type(message)]


@asynccontextmanager
async def running(path: Path, relay: FakeRelay) -> AsyncIterator[tuple[RelayClient, Listener]]:
    server = await asyncio.start_unix_server(relay.serve, path)
    listener = Listener()
    client = RelayClient(path, listener)
    client.start()
    try:
        yield client, listener
    finally:
        await client.stop()
        server.close()


async def heard(listener: Listener) -> object:
    return await asyncio.wait_for(listener.heard.get(), 5)


async def test_request_answer_error_and_event(tmp_path: Path) -> None:
    relay = FakeRelay()
    relay.script[AnswerMacRequest] = MacReply(b"m" * 32)
    relay.script[StatisticsRequest] = ErrorReply(ErrorCode.CRYPTO, "replayed", "seen before")
    async with running(tmp_path / "s", relay) as (client, listener):
        assert isinstance(await heard(listener), HelloReply)
        reply = await client.request(AnswerMacRequest("c", "talk", "PCMA/8000", 101), MacReply)
        assert reply.mac == b"m" * 32
        with pytest.raises(CryptoError, match="replayed"):
            await client.request(StatisticsRequest("c"), Done)
        assert relay.writer is not None
        relay.writer.write(Envelope(0, EnginesEvent(2, 3)).encode())
        assert await heard(listener) == EnginesEvent(2, 3)


async def test_an_answer_of_another_type_is_an_error(tmp_path: Path) -> None:
    relay = FakeRelay()
    relay.script[StatusRequest] = Done()
    async with running(tmp_path / "s", relay) as (client, listener):
        await heard(listener)
        with pytest.raises(ControlError):
            await client.request(StatusRequest(), MacReply)


async def test_a_broken_connection_fails_what_waits_and_is_made_again(tmp_path: Path) -> None:
    relay = FakeRelay()
    relay.script[StatusRequest] = None
    async with running(tmp_path / "s", relay) as (client, listener):
        await heard(listener)
        with pytest.raises(RelayUnavailableError):
            await client.request(StatusRequest(), Done)
        assert await heard(listener) == "lost"
        assert isinstance(await heard(listener), HelloReply)
        assert client.connected


async def test_without_a_relay_requests_fail_at_once_and_say_why(tmp_path: Path) -> None:
    client = RelayClient(tmp_path / "absent", Listener())
    client.start()
    await asyncio.sleep(0)
    with pytest.raises(RelayUnavailableError):
        await client.request(StatusRequest(), Done)
    while not client.complaint:
        await asyncio.sleep(0.01)
    assert "absent" in client.complaint
    await client.stop()


async def test_a_relay_of_another_version_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path / "s", FakeRelay(version=VERSION + 1)) as (client, listener):
        while "version" not in client.complaint:
            await asyncio.sleep(0.01)
        assert not client.connected
        assert listener.heard.empty()


async def test_garbage_from_the_socket_costs_the_connection_only(tmp_path: Path) -> None:
    relay = FakeRelay()
    async with running(tmp_path / "s", relay) as (client, listener):
        await heard(listener)
        assert relay.writer is not None
        relay.writer.write(b"\x00\x00\x00\x05hello")
        assert await heard(listener) == "lost"
        assert isinstance(await heard(listener), HelloReply)
        assert client.protocol_errors == 1


async def test_our_own_stop_is_no_loss(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(tmp_path / "relay.sock", FakeRelay()) as (client, listener):
        await listener.heard.get()
    assert listener.heard.empty()
    assert not client.connected
    assert not caplog.records
