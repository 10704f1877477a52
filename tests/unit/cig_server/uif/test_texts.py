# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts on the UMSG interface: what reaches the listener, room for calls, and asking again.

Calls across a break are tried against the lab's real CRS. For what a CRS says of texts, and for
one that does not read for a while, a server stands in that takes everything it is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import AsyncIterator

import pytest

from cig_common.clock import SystemClock
from cig_common.control.key_facts import Identity
from cig_lab.crs import CrsServer
from cig_lab.crs.certificate import make_certificate
from cig_server.uif.interface import TextListener, UifListener, UmsgInterface
from mikey_sakke import eccsi
from mikey_sakke.identifiers import tel_identifier
from mikey_sakke.kms import MasterKeys
from mikey_sakke.periods import month_of
from umsg.call import CallState
from umsg.call_events import CallAnswered, CallEnded, CallGrowled, CallTried
from umsg.errors import ErrorCode
from umsg.events import AuthWanted, MessageReceived, ResumeReceived, SignatureWanted
from umsg.messages import (
    Alive,
    Bang,
    ErrorMessage,
    Message,
    Receipt,
    ReceiptStatus,
    Stored,
    Text,
    new_id,
)
from umsg.reasons import Reason
from umsg.session import ServerSession
from umsg.texts import MAX_PART, Envelope, parts

MASTER = MasterKeys.generate()
MID = "c29tZSBtaWQgMTIz"
RECEIPT = Receipt(mid=MID, status=ReceiptStatus.DELIVERED, period="2026-11-1", sig=bytes(129))
PART = Text(mid=MID, seq=0, of=1, data=b"x", from_uri="tel:+46", to_uri="tel:+8888", mikey=b"m")


class PaperCrs:
    """Welcomes whoever comes, keeps what it is told, and reads only while `reading` is set."""

    def __init__(self) -> None:
        self.certificate = make_certificate("127.0.0.1", "Lab")
        self.reading = asyncio.Event()
        self.reading.set()
        self.welcoming = True
        self.heard: list[Message] = []
        self.connections = 0
        self._session: ServerSession | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._handlers: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        listening = socket.socket()
        # What a CRS that does not read still takes in is in its kernel.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        listening.bind(("127.0.0.1", 0))
        self._server = await asyncio.start_server(
            self._serve, sock=listening, ssl=self.certificate.context
        )
        self.port = listening.getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    def identity(self) -> Identity:
        period = month_of(int(SystemClock().utc())) + "-1"
        pin = self.certificate.sha256
        return Identity("tel:+8888", "Lab", (period,), (f"127.0.0.1:{self.port}",), pin, None)

    def say(self, message: Message) -> None:
        assert self._session is not None
        assert self._writer is not None
        self._session.send(message, time.monotonic())
        self._writer.write(self._session.data_to_send())

    def drop(self) -> None:
        assert self._writer is not None
        self._writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self.connections += 1
        session = ServerSession(
            domain="Lab",
            certificate_digest=self.certificate.sha256,
            keepalive=30,
            now=time.monotonic(),
            utc=lambda: int(time.time()),
            random_bytes=secrets.token_bytes,
        )
        self._session, self._writer = session, writer
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                session.receive_data(data, time.monotonic())
                while (event := session.next_event()) is not None:
                    if isinstance(event, AuthWanted) and self.welcoming:
                        session.accept(0, time.monotonic())
                    elif isinstance(event, AuthWanted):
                        session.refuse("not today", time.monotonic())
                    elif isinstance(event, ResumeReceived):
                        session.send(Alive(ids=event.ids), time.monotonic())
                    elif isinstance(event, MessageReceived):
                        self.heard.append(event.message)
                writer.write(session.data_to_send())
                if session.closed:
                    break
                await self.reading.wait()
        writer.close()


class Told(UifListener, TextListener):
    """Keeps what it is told of texts, and of the ends of calls."""

    def __init__(self) -> None:
        self.texts: list[object] = []
        self.calls: asyncio.Queue[object] = asyncio.Queue()

    def bang(self, bang: Bang) -> None:
        self.calls.put_nowait(bang)

    def tel_tried(self, call_id: str, event: CallTried) -> None:
        self.calls.put_nowait(event)

    def tel_growled(self, call_id: str, event: CallGrowled) -> None:
        self.calls.put_nowait(event)

    def tel_answered(self, call_id: str, event: CallAnswered) -> None:
        self.calls.put_nowait(event)

    def tel_ended(self, call_id: str, event: CallEnded) -> None:
        self.calls.put_nowait(event)

    def texts_connected(self) -> None:
        self.texts.append("connected")

    def texts_lost(self) -> None:
        self.texts.append("lost")

    def text_part(self, part: Text) -> None:
        self.texts.append(part)

    def text_stored(self, mid: str) -> None:
        self.texts.append(("stored", mid))

    def text_receipt(self, receipt: Receipt) -> None:
        self.texts.append(receipt)

    def text_error(self, mid: str, code: ErrorCode, text: str) -> None:
        self.texts.append((mid, code, text))

    async def are(self, expected: list[object]) -> None:
        async with asyncio.timeout(10):
            while len(self.texts) < len(expected):
                await asyncio.sleep(0.005)
        assert self.texts == expected

    async def call(self) -> object:
        async with asyncio.timeout(10):
            return await self.calls.get()


async def sign_anything(wanted: SignatureWanted, period: str) -> bytes:
    return bytes(129)


@pytest.fixture
async def paper() -> AsyncIterator[PaperCrs]:
    crs = PaperCrs()
    await crs.start()
    yield crs
    await crs.stop()


@pytest.fixture
async def gateway(paper: PaperCrs) -> AsyncIterator[tuple[UmsgInterface, Told]]:
    told = Told()
    uif = UmsgInterface(sign_anything, told, SystemClock())
    uif.texts = told
    uif.set_identity(paper.identity())
    await told.are(["connected"])
    yield uif, told
    await uif.stop()


Gateway = tuple[UmsgInterface, Told]


async def heard(crs: PaperCrs, count: int) -> list[Message]:
    async with asyncio.timeout(10):
        while len(crs.heard) < count:
            await asyncio.sleep(0.005)
    return crs.heard


async def test_what_the_crs_says_of_texts_reaches_the_listener(
    paper: PaperCrs, gateway: Gateway
) -> None:
    _, told = gateway
    refusal = ErrorMessage(code=ErrorCode.NOT_FOUND, text="nobody of that name", mid=MID)
    for message in (PART, Stored(mid=MID), RECEIPT, refusal):
        paper.say(message)
    said = ("stored", MID), RECEIPT, (MID, ErrorCode.NOT_FOUND, "nobody of that name")
    await told.are(["connected", PART, *said])


async def test_without_a_listener_texts_are_left_with_the_crs(
    paper: PaperCrs, gateway: Gateway
) -> None:
    uif, told = gateway
    uif.texts = None
    for message in (PART, Stored(mid=MID), RECEIPT):
        paper.say(message)
    paper.say(ErrorMessage(code=ErrorCode.OVERLOAD, text="", mid=MID))
    async with asyncio.timeout(10):
        while not uif.counters["error-overload"]:
            await asyncio.sleep(0.005)
    left = {name: uif.counters[f"left-{name}"] for name in ("text", "stored", "receipt")}
    assert left == {"text": 1, "stored": 1, "receipt": 1}
    uif.ask_again()
    async with asyncio.timeout(10):
        while paper.connections < 2 or not uif.connected:
            await asyncio.sleep(0.005)
    assert told.texts == ["connected"]


async def test_parts_and_receipts_are_sent(paper: PaperCrs, gateway: Gateway) -> None:
    uif, _ = gateway
    assert await uif.send_part(PART)
    assert uif.send_receipt(RECEIPT)
    assert await heard(paper, 2) == [PART, RECEIPT]


async def test_without_a_connection_nothing_is_sent(paper: PaperCrs) -> None:
    uif = UmsgInterface(sign_anything, Told(), SystemClock())
    assert not await uif.send_part(PART)
    assert not uif.send_receipt(RECEIPT)
    uif.ask_again()


async def sending(uif: UmsgInterface, count: int) -> tuple[list[bool], asyncio.Task[None]]:
    """Send the parts of a long text until no more goes out."""
    sent: list[bool] = []

    async def send() -> None:
        envelope = Envelope(MID, "tel:+8888", "tel:+46", b"m")
        for part in parts(envelope, bytes(count * MAX_PART)):
            sent.append(await uif.send_part(part))

    task = asyncio.create_task(send())
    before = -1
    async with asyncio.timeout(10):
        while len(sent) != before:
            before = len(sent)
            await asyncio.sleep(0.1)
    return sent, task


async def test_a_call_s_message_passes_between_the_parts_of_a_text(
    paper: PaperCrs, gateway: Gateway
) -> None:
    uif, _ = gateway
    paper.reading.clear()
    uif.send_receipt(RECEIPT)  # after this one the CRS reads no more
    await heard(paper, 1)
    sent, task = await sending(uif, 64)
    assert len(sent) < 48
    call = Bang(
        id=new_id(secrets.token_bytes),
        from_uri="tel:+8888;101",
        to_uri="tel:+46",
        mikey=b"m",
        offer=("PCMA/8000",),
        dtmf=101,
    )
    uif.place(call)
    paper.reading.set()
    await task
    messages = await heard(paper, 66)
    assert all(sent)
    assert [m.seq for m in messages if isinstance(m, Text)] == list(range(64))
    # Before it in the line is what had been sent when the call was placed, and no more.
    assert messages.index(call) <= len(sent) + 2
    assert isinstance(messages[-1], Text)
    placed_after = messages.index(call) - 1
    assert placed_after < 50


async def test_a_part_that_waits_when_the_connection_is_lost_is_told_so(
    paper: PaperCrs, gateway: Gateway
) -> None:
    uif, told = gateway
    paper.reading.clear()
    uif.send_receipt(RECEIPT)
    await heard(paper, 1)
    sent, task = await sending(uif, 64)
    paper.drop()
    paper.reading.set()
    async with asyncio.timeout(10):
        await task
    assert not all(sent)
    await told.are(["connected", "lost", "connected"])


async def test_a_lost_connection_is_told_once_and_only_if_it_was_welcomed(
    paper: PaperCrs, gateway: Gateway
) -> None:
    uif, told = gateway
    paper.welcoming = False
    paper.drop()
    async with asyncio.timeout(10):
        while paper.connections < 3:
            await asyncio.sleep(0.005)
    assert told.texts == ["connected", "lost"]
    assert not uif.connected
    paper.welcoming = True
    await told.are(["connected", "lost", "connected"])


# --- against the real CRS ---------------------------------------------------------------------


async def test_asking_again_reconnects_and_calls_are_resumed() -> None:
    def party(uri: str) -> tuple[UmsgInterface, Told]:
        async def sign(wanted: SignatureWanted, period: str) -> bytes:
            identifier = tel_identifier(uri, period[:7])
            ssk, pvt = MASTER.issue_ssk(identifier)
            text = wanted.text(period)
            return eccsi.sign(text, identifier=identifier, ssk=ssk, pvt=pvt, kpak=MASTER.kpak)

        told = Told()
        uif = UmsgInterface(sign, told, SystemClock())
        uif.texts = told
        return uif, told

    async with CrsServer(kpak=MASTER.kpak, domain="Lab") as crs:
        host, port = crs.tls_address
        period = month_of(int(SystemClock().utc())) + "-1"
        pair = {uri: party(uri) for uri in ("tel:+8888", "tel:+46701234567")}
        for uri, (uif, told) in pair.items():
            address, pin = (f"{host}:{port}",), crs.certificate_sha256
            uif.set_identity(Identity(uri, "Lab", (period,), address, pin, None))
            await told.are(["connected"])
        (ours, told), (theirs, phone) = pair.values()
        call = Bang(
            id=new_id(secrets.token_bytes),
            from_uri="tel:+8888;101",
            to_uri="tel:+46701234567",
            mikey=b"opaque",
            offer=("PCMA/8000",),
            dtmf=101,
        )
        ours.place(call)
        assert isinstance(await phone.call(), Bang)
        theirs.talk(call.id, codec="PCMA/8000", dtmf=101, mac=b"m" * 32)
        assert isinstance(await told.call(), CallTried)
        assert isinstance(await told.call(), CallAnswered)
        ours.proved(call.id)
        ours.ask_again()
        await told.are(["connected", "lost", "connected"])
        assert [machine.state for machine in ours] == [CallState.TALK]
        theirs.hangup(call.id, Reason.NORMAL)
        ended = await told.call()
        assert isinstance(ended, CallEnded)
        assert ended.reason is Reason.NORMAL
        for uif, _ in pair.values():
            await uif.stop()
