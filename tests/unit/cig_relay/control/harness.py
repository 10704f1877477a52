# SPDX-License-Identifier: GPL-3.0-or-later
"""A relay of real parts behind a real control socket, and the server's end of it, for tests."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cig_common.clock import ManualClock
from cig_common.control.codec import ControlDecoder, Envelope
from cig_common.control.messages import (
    VERSION,
    AcceptCallRequest,
    ErrorReply,
    HelloReply,
    HelloRequest,
    PlaceCallRequest,
)
from cig_common.control.record import Record
from cig_common.loading import load_part
from cig_material.material import KeyMaterial
from cig_relay.config_view import media_part
from cig_relay.configuration import RelayConfiguration
from cig_relay.control.call_crypto import CallCrypto
from cig_relay.control.server import ControlServer
from cig_relay.control.service import RelayService
from cig_relay.engines.pool import EnginePool
from cig_relay.keys.holder import KeyHolder
from cig_relay.keys.keeper import KeyKeeper
from cig_relay.keys.keystore import Keystore
from cig_relay.keys.replay_journal import ReplayJournal
from cig_relay.media.engine import MediaListener, MediaSettings, PortRange, SipAddress
from cig_relay.media.python_engine import PythonMediaEngine
from cig_relay.randomness.source import RandomSource, open_source
from mikey_sakke import initiator
from mikey_sakke.keys import UserKeys
from mikey_sakke.srtp import SrtpKeys
from umsg.binding import call_digest
from unit.cig_relay.keys.lab import ALICE, GATEWAY, NOW, material, user
from unit.cig_relay.randomness.host import HAS_RDRAND, OPTIONS

LOOPBACK = "127.0.0.1"
CALL_ID = "SxU+cQAE66+12m5j"
OFFER = ("PCMA/8000", "PCMU/8000")
PORTS = MediaSettings(PortRange(21000, 29998), PortRange(31000, 39998))

_Reply = TypeVar("_Reply", bound=Record)


@dataclass
class SeenKeys:
    """What a call was opened with, before the relay wiped it."""

    tx: bytes
    rx: bytes
    ssrc: int


class WatchedMediaEngine(PythonMediaEngine):
    """The real engine; remembers the keys that it was given."""

    def __init__(self, settings: MediaSettings = PORTS) -> None:
        super().__init__(settings)
        self.seen: dict[str, SeenKeys] = {}

    async def open_call(
        self,
        call: str,
        *,
        tel_tx: SrtpKeys,
        tel_rx: SrtpKeys,
        tel_ssrc: int,
        tel_local_addr: str,
        sip_local_addr: str,
        listener: MediaListener,
    ) -> SipAddress:
        self.seen[call.partition("/")[2]] = SeenKeys(tel_tx.reveal(), tel_rx.reveal(), tel_ssrc)
        return await super().open_call(
            call,
            tel_tx=tel_tx,
            tel_rx=tel_rx,
            tel_ssrc=tel_ssrc,
            tel_local_addr=tel_local_addr,
            sip_local_addr=sip_local_addr,
            listener=listener,
        )


class Peer:
    """The server's end of the control socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.events: asyncio.Queue[Record] = asyncio.Queue()
        self.closed = asyncio.Event()
        self._waiting: dict[int, asyncio.Future[Record]] = {}
        self._number = 0
        self._task = asyncio.create_task(self._read())

    @staticmethod
    async def connect(path: Path, *, hello: bool = True) -> Peer:
        peer = Peer(*await asyncio.open_unix_connection(str(path)))
        if hello:
            await peer.expect(HelloReply, HelloRequest(VERSION, "test", os.getpid()))
        return peer

    def submit(self, request: Record) -> asyncio.Future[Record]:
        self._number += 1
        future: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = future
        self.writer.write(Envelope(self._number, request).encode())
        return future

    async def ask(self, request: Record) -> Record:
        return await asyncio.wait_for(self.submit(request), 20)

    async def expect(self, kind: type[_Reply], request: Record) -> _Reply:
        answer = await self.ask(request)
        assert isinstance(answer, kind), answer
        return answer

    async def refused(self, request: Record) -> tuple[str, str]:
        """Give code and detail of the error that ``request`` must meet."""
        answer = await self.expect(ErrorReply, request)
        return str(answer.code), answer.detail

    async def event(self, kind: type[_Reply]) -> _Reply:
        while True:
            event = await asyncio.wait_for(self.events.get(), 20)
            if isinstance(event, kind):
                return event

    async def close(self) -> None:
        self.writer.close()
        await self._task

    async def _read(self) -> None:
        decoder = ControlDecoder()
        try:
            while octets := await self.reader.read(65536):
                for envelope in decoder.feed(octets):
                    if envelope.number:
                        self._waiting.pop(envelope.number).set_result(envelope.message)
                    else:
                        self.events.put_nowait(envelope.message)
        except ConnectionError:
            return
        finally:
            self.closed.set()
            self.writer.close()


def relay_configuration(folder: Path, media: PythonMediaEngine) -> RelayConfiguration:
    """Give the relay's configuration: a cig.conf in ``folder``, made where there is none."""
    path = folder / "cig.conf"
    if not path.exists():
        path.write_text("interfaces { sip { bind 127.0.0.1; } }")
    configuration = RelayConfiguration(path, load_part(path, media_part))
    configuration.configure = media.configure
    return configuration


@dataclass
class Rig:
    """A relay under test."""

    service: RelayService
    server: ControlServer
    media: WatchedMediaEngine
    clock: ManualClock
    path: Path
    userdata: Path

    async def peer(self) -> Peer:
        return await Peer.connect(self.path)


@asynccontextmanager
async def relay(
    folder: Path,
    *,
    keys: KeyMaterial | None = None,
    now: float = NOW,
    allowed_uid: int | None = None,
    grace: float = 0.2,
    settings: MediaSettings = PORTS,
    random: RandomSource | None = None,
    accept_short: bool = False,
) -> AsyncIterator[Rig]:
    """Run a relay whose userdata and socket are in ``folder`` (kept between runs)."""
    userdata = folder / "userdata"
    userdata.mkdir(mode=0o700, exist_ok=True)
    if keys is not None:
        os.utime(Keystore(userdata).save(keys), (now, now))
    clock = ManualClock(now)
    random = random or open_source(rdrand=HAS_RDRAND)
    servers: list[ControlServer] = []
    pool = EnginePool(
        2,
        listener=lambda a, t: [s.engines_changed(a, t) for s in servers] and None,
        options=OPTIONS,
    )
    await pool.start()
    media = WatchedMediaEngine(settings)
    try:
        holder = KeyHolder(Keystore(userdata), pool, clock)
        await holder.reload()
        journal = ReplayJournal(
            userdata / ".replay.journal", now=now, skew=300.0, keys_before=holder.older_than
        )
        crypto = CallCrypto(
            pool=pool,
            holder=holder,
            journal=journal,
            clock=clock,
            random_bytes=random.random_bytes,
            accept_short=accept_short,
        )
        keeper = KeyKeeper(holder, clock, lambda warning: [s.keys_ending(warning) for s in servers])
        service = RelayService(
            pool=pool,
            holder=holder,
            keeper=keeper,
            journal=journal,
            crypto=crypto,
            media=media,
            clock=clock,
            tel_addr=lambda: LOOPBACK,
            sip_addr=lambda server_bind, peer: server_bind or LOOPBACK,
            configuration=relay_configuration(folder, media),
            random=random,
        )
        path = folder / "relay.sock"
        uid = os.geteuid() if allowed_uid is None else allowed_uid
        server = ControlServer(service, path, allowed_uid=uid, grace=grace)
        await server.start()
        servers.append(server)
        try:
            yield Rig(service, server, media, clock, path, userdata)
        finally:
            await server.close()
            await media.close()
            await journal.close()
    finally:
        await pool.close()


def bang(
    *,
    call: str = "c1",
    signer: UserKeys | None = None,
    now: float = NOW,
    to_uri: str = f"{GATEWAY};101",
    dtmf: int | None = 101,
) -> tuple[initiator.Built, AcceptCallRequest]:
    """Make a good call from Alice: what she holds of it, and the server's request."""
    caller = signer or user(ALICE)
    from_uri = caller.uri
    digest = call_digest(id=CALL_ID, from_uri=from_uri, to_uri=to_uri, offer=OFFER, dtmf=dtmf)
    built = initiator.build(caller, to_uri=to_uri, ssrc=0x1234, binding=digest, now=now)
    request = AcceptCallRequest(
        call=call,
        mikey=built.message,
        id=CALL_ID,
        from_uri=from_uri,
        to_uri=to_uri,
        offer=OFFER,
        dtmf=dtmf,
        codec="PCMA/8000",
    )
    return built, request


def place(*, call: str = "p1", to_uri: str = ALICE) -> PlaceCallRequest:
    """Make the server's request for a call to Alice."""
    return PlaceCallRequest(call, CALL_ID, f"{GATEWAY};101", to_uri, OFFER, 101)


def free_pair() -> int:
    """Find an even UDP port of the loopback address that is free, as is the one after it."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second,
        ):
            first.bind((LOOPBACK, 0))
            port = int(first.getsockname()[1])
            if port % 2:
                continue
            try:
                second.bind((LOOPBACK, port + 1))
            except OSError:
                continue
            return port


def lab_keys() -> KeyMaterial:
    """The gateway's keys of the present month."""
    return material()
