# SPDX-License-Identifier: GPL-3.0-or-later
"""The UMSG interface against the lab's real CRS: TLS, real signatures, breaks and resumption."""

import asyncio
import dataclasses
import secrets
from collections.abc import AsyncIterator, Callable

import pytest

from cig_common.clock import SystemClock
from cig_common.control.key_facts import Identity
from cig_lab.crs import CrsServer
from cig_server.uif.interface import UifListener, UmsgInterface
from mikey_sakke import eccsi
from mikey_sakke.identifiers import tel_identifier
from mikey_sakke.kms import MasterKeys
from mikey_sakke.periods import month_of
from umsg.call import CallState
from umsg.call_events import CallAnswered, CallEnded, CallGrowled, CallTried
from umsg.events import SignatureWanted
from umsg.messages import Bang, Message, Talk, new_id
from umsg.reasons import Reason

MASTER = MasterKeys.generate()
CODEC = "PCMA/8000"


class Heard(UifListener):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[object] = asyncio.Queue()

    def bang(self, bang: Bang) -> None:
        self.events.put_nowait(bang)

    def tel_tried(self, call_id: str, event: CallTried) -> None:
        self.events.put_nowait(event)

    def tel_growled(self, call_id: str, event: CallGrowled) -> None:
        self.events.put_nowait(event)

    def tel_answered(self, call_id: str, event: CallAnswered) -> None:
        self.events.put_nowait(event)

    def tel_ended(self, call_id: str, event: CallEnded) -> None:
        self.events.put_nowait(event)

    async def next(self) -> object:
        return await asyncio.wait_for(self.events.get(), 10)


def signer(uri: str, master: MasterKeys = MASTER) -> Callable[..., object]:
    async def sign(wanted: SignatureWanted, period: str) -> bytes:
        identifier = tel_identifier(uri, period[:7])
        ssk, pvt = master.issue_ssk(identifier)
        text = wanted.text(period)
        return eccsi.sign(text, identifier=identifier, ssk=ssk, pvt=pvt, kpak=master.kpak)

    return sign


def identity(crs: CrsServer, uri: str) -> Identity:
    host, port = crs.tls_address
    period = month_of(int(SystemClock().utc())) + "-1"
    pin = crs.certificate_sha256
    return Identity(uri, "Lab", (period,), (f"{host}:{port}",), pin, None)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


class Party:
    def __init__(self, uri: str, master: MasterKeys = MASTER) -> None:
        self.heard = Heard()
        self.uif = UmsgInterface(signer(uri, master), self.heard, SystemClock())
        self.uri = uri


@pytest.fixture
async def crs() -> AsyncIterator[CrsServer]:
    async with CrsServer(kpak=MASTER.kpak, domain="Lab") as server:
        yield server


@pytest.fixture
async def parties(crs: CrsServer) -> AsyncIterator[tuple[Party, Party]]:
    pair = Party("tel:+8888"), Party("tel:+46701234567")
    for party in pair:
        party.uif.set_identity(identity(crs, party.uri))
    await until(lambda: all(party.uif.connected for party in pair))
    yield pair
    for party in pair:
        await party.uif.stop()


def bang(caller: Party, callee: Party) -> Bang:
    return Bang(
        id=new_id(secrets.token_bytes),
        from_uri=caller.uri + ";101",
        to_uri=callee.uri,
        mikey=b"opaque",
        offer=(CODEC,),
        dtmf=101,
    )


async def answered(gateway: Party, phone: Party) -> str:
    call = bang(gateway, phone)
    gateway.uif.place(call)
    assert isinstance(await gateway.heard.next(), CallTried)
    got = await phone.heard.next()
    assert isinstance(got, Bang)
    assert dataclasses.replace(got, leg=None) == call
    phone.uif.growl(call.id)
    assert isinstance(await gateway.heard.next(), CallGrowled)
    phone.uif.talk(call.id, codec=CODEC, dtmf=101, mac=b"m" * 32)
    assert await gateway.heard.next() == CallAnswered(CODEC, 101, b"m" * 32)
    gateway.uif.proved(call.id)
    return call.id


async def test_a_call_from_bang_to_hangup(parties: tuple[Party, Party]) -> None:
    gateway, phone = parties
    call_id = await answered(gateway, phone)
    assert [machine.state for machine in gateway.uif] == [CallState.TALK]
    gateway.uif.hangup(call_id, Reason.NORMAL)
    for party in parties:
        ended = await party.heard.next()
        assert isinstance(ended, CallEnded)
        assert ended.reason is Reason.NORMAL


async def test_a_call_survives_a_broken_connection(
    crs: CrsServer, parties: tuple[Party, Party]
) -> None:
    gateway, phone = parties
    call_id = await answered(gateway, phone)
    crs.drop_connections()
    await until(lambda: not gateway.uif.connected)
    await until(lambda: gateway.uif.connected and phone.uif.connected)
    phone.uif.hangup(call_id, Reason.NORMAL)
    ended = await gateway.heard.next()
    assert isinstance(ended, CallEnded)
    assert ended.reason is Reason.NORMAL


async def test_a_call_that_the_crs_forgot_ends_after_the_next_welcome(
    crs: CrsServer, parties: tuple[Party, Party]
) -> None:
    gateway, phone = parties
    await answered(gateway, phone)
    await crs.stop()
    await until(lambda: not gateway.uif.connected)
    assert "127.0.0.1" in gateway.uif.complaint
    await crs.start()
    ended = await gateway.heard.next()
    assert isinstance(ended, CallEnded)
    assert ended.reason is Reason.UNREACHABLE


async def test_a_talk_without_mac_is_hung_up_as_crypto(
    crs: CrsServer, parties: tuple[Party, Party]
) -> None:
    def strip(message: Message) -> Message:
        return dataclasses.replace(message, mac=None) if isinstance(message, Talk) else message

    crs.tamper = strip
    gateway, phone = parties
    call = bang(gateway, phone)
    gateway.uif.place(call)
    await phone.heard.next()
    phone.uif.talk(call.id, codec=CODEC, dtmf=101, mac=b"m" * 32)
    assert isinstance(await gateway.heard.next(), CallTried)
    for party in (gateway, phone):
        ended = await party.heard.next()
        assert isinstance(ended, CallEnded)
        assert ended.reason is Reason.CRYPTO


async def test_another_certificate_than_the_pinned_one_gets_no_word(crs: CrsServer) -> None:
    party = Party("tel:+8888")
    wrong = dataclasses.replace(identity(crs, party.uri), anchor_pin=b"x" * 32)
    party.uif.set_identity(wrong)
    await until(lambda: "pinned" in party.uif.complaint)
    assert not party.uif.connected
    await party.uif.stop()


async def test_a_ca_as_trust_anchor_serves_too(crs: CrsServer) -> None:
    party = Party("tel:+8888")
    ca = dataclasses.replace(
        identity(crs, party.uri), anchor_pin=None, anchor_ca=crs.certificate_pem
    )
    party.uif.set_identity(ca)
    await until(lambda: party.uif.connected)
    await party.uif.stop()


async def test_keys_of_another_kms_are_refused_and_told(crs: CrsServer) -> None:
    party = Party("tel:+8888", MasterKeys.generate())
    party.uif.set_identity(identity(crs, party.uri))
    await until(lambda: "auth" in party.uif.complaint)
    await party.uif.stop()


async def test_no_keys_for_this_month_are_told(crs: CrsServer) -> None:
    party = Party("tel:+8888")
    old = dataclasses.replace(identity(crs, party.uri), periods=("2020-01-1",))
    party.uif.set_identity(old)
    await until(lambda: "2020-01-1" in party.uif.complaint)
    await party.uif.stop()


async def test_other_periods_alone_need_no_new_login(crs: CrsServer) -> None:
    party = Party("tel:+8888")
    held = identity(crs, party.uri)
    party.uif.set_identity(held)
    await until(lambda: party.uif.connected)
    connection = party.uif.connection
    more = dataclasses.replace(held, periods=(*held.periods, "2099-01-1"))
    party.uif.set_identity(more)
    assert party.uif.connection is connection
    assert party.uif.identity == more
    assert party.uif.connected
    party.uif.set_identity(dataclasses.replace(more, crs=(*more.crs, "127.0.0.1:1")))
    assert party.uif.connection is not connection
    await until(lambda: party.uif.connected)
    await party.uif.stop()


async def test_keys_that_come_late_are_used_at_once(crs: CrsServer) -> None:
    party = Party("tel:+8888")
    good = identity(crs, party.uri)
    party.uif.set_identity(dataclasses.replace(good, periods=("2020-01-1",)))
    await until(lambda: "2020-01-1" in party.uif.complaint)
    party.uif.set_identity(good)
    await until(lambda: party.uif.connected)
    await party.uif.stop()


async def test_a_server_that_is_no_crs_is_left(crs: CrsServer) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-not-a-crs\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    party = Party("tel:+8888")
    party.uif.set_identity(
        dataclasses.replace(identity(crs, party.uri), crs=(f"127.0.0.1:{port}",))
    )
    await until(lambda: party.uif.complaint not in ("", "not tried yet"))
    assert not party.uif.connected
    await party.uif.stop()
    server.close()


async def test_a_second_address_is_tried_when_the_first_is_dead(crs: CrsServer) -> None:
    party = Party("tel:+8888")
    good = identity(crs, party.uri)
    party.uif.set_identity(dataclasses.replace(good, crs=("127.0.0.1:1", *good.crs)))
    await until(lambda: party.uif.connected)
    await party.uif.stop()
