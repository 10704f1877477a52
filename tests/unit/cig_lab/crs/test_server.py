# SPDX-License-Identifier: GPL-3.0-or-later
"""The running server: real TLS, real signatures, real UDP."""

import asyncio
import dataclasses
import hashlib
import ssl

import pytest

from cig_lab.crs import CrsServer
from mikey_sakke.kms import MasterKeys
from umsg.errors import ErrorCode
from umsg.events import Resumed, SessionEnded
from umsg.messages import Bang, Growl, Hangup, Talk, Try
from umsg.reasons import Reason
from unit.cig_lab.crs.shell import MediaSocket, Phone, tls_context

ALICE, BOB = "tel:+46701111111", "tel:+46702222222"
ID = "SxU+cQAE66+12m5j"
BANG = Bang(
    id=ID, from_uri=ALICE, to_uri=BOB + ";101", mikey=b"mikey", offer=("PCMA/8000",), dtmf=101
)
TALK = Talk(id=ID, codec="PCMA/8000", dtmf=101, mac=bytes(32))


@pytest.fixture(scope="module")
def master() -> MasterKeys:
    return MasterKeys.generate()


@pytest.fixture
async def crs(master):
    async with CrsServer(kpak=master.kpak, domain="lab.example") as server:
        yield server


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def pair(crs: CrsServer, master: MasterKeys) -> tuple[Phone, Phone]:
    alice, bob = Phone(ALICE, master), Phone(BOB, master)
    for phone in (alice, bob):
        await phone.connect(crs)
        assert isinstance(await phone.event(), Resumed)
    return alice, bob


async def test_a_call_with_media(crs, master):
    alice, bob = await pair(crs, master)
    alice.send(BANG)
    rung, tried = await bob.message(), await alice.message()
    assert rung == dataclasses.replace(BANG, leg=rung.leg)
    assert isinstance(tried, Try)
    assert (tried.leg.addr, tried.leg.port) == crs.media_address
    one, two = await MediaSocket.open(tried.leg), await MediaSocket.open(rung.leg)
    mapped = (await one.bind(tried.leg)).attributes["XOR-MAPPED-ADDRESS"]
    assert mapped == one.transport.get_extra_info("sockname")
    await two.bind(rung.leg)
    bob.send(Growl(id=ID), TALK)
    assert [await alice.message(), await alice.message()] == [Growl(id=ID), TALK]
    one.transport.sendto(b"\x80\x08from alice")
    two.transport.sendto(b"\x80\x08from bob")
    assert await two.packet() == b"\x80\x08from alice"
    assert await one.packet() == b"\x80\x08from bob"
    hangup = Hangup(id=ID, reason=Reason.NORMAL)
    alice.send(hangup)
    assert await bob.message() == hangup
    one.transport.sendto(b"\x80\x08late")
    await until(lambda: crs.stats.media_unknown == 1)
    assert (crs.stats.stun_bound, crs.stats.media_forwarded) == (2, 2)


async def test_media_flows_on_while_a_connection_is_broken_and_the_call_is_resumed(crs, master):
    alice, bob = await pair(crs, master)
    alice.send(BANG)
    rung, tried = await bob.message(), await alice.message()
    one, two = await MediaSocket.open(tried.leg), await MediaSocket.open(rung.leg)
    await one.bind(tried.leg)
    await two.bind(rung.leg)
    crs.drop_connections()
    for phone in (alice, bob):
        ended = await phone.event()
        assert isinstance(ended, SessionEnded)
        assert ended.code is None
    one.transport.sendto(b"\x80\x08still here")
    assert await two.packet() == b"\x80\x08still here"
    alice, bob = Phone(ALICE, master), Phone(BOB, master)
    await alice.connect(crs, ID)
    await bob.connect(crs, ID)
    for phone in (alice, bob):
        resumed = await phone.event()
        assert resumed == Resumed(alive=frozenset({ID}), lost=frozenset())
    assert (await alice.message(), await bob.message()) == (tried, rung)
    bob.send(TALK)
    assert await alice.message() == TALK


async def test_stop_and_start_again_on_the_same_ports(crs, master):
    alice, _ = await pair(crs, master)
    before = (crs.tls_address, crs.media_address, crs.certificate_sha256)
    await crs.stop()
    assert isinstance(await alice.event(), SessionEnded)
    with pytest.raises(OSError):
        await asyncio.open_connection(*crs.tls_address)
    await crs.start()
    assert (crs.tls_address, crs.media_address, crs.certificate_sha256) == before
    back = await Phone(ALICE, master).connect(crs, ID)
    assert await back.event() == Resumed(alive=frozenset(), lost=frozenset({ID}))


async def test_the_certificate_is_the_one_that_is_named(crs, master):
    _reader, writer = await asyncio.open_connection(*crs.tls_address, ssl=tls_context(crs))
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    assert hashlib.sha256(der).digest() == crs.certificate_sha256
    assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
    writer.close()


async def test_keys_of_another_authority_are_refused(crs):
    phone = Phone(ALICE, MasterKeys.generate())
    with pytest.raises(AssertionError):
        await phone.connect(crs)
    assert phone.session.closed
    assert crs.stats.auth_refused == 1


async def test_a_second_connection_replaces_the_first(crs, master):
    first = await Phone(ALICE, master).connect(crs)
    assert isinstance(await first.event(), Resumed)
    await Phone(ALICE, master).connect(crs)
    ended = await first.event()
    assert (ended.code, ended.by_peer) == (ErrorCode.REPLACED, True)
    assert await first.event() is None


async def test_a_tampering_server(crs, master):
    alice, bob = await pair(crs, master)
    crs.tamper = lambda m: dataclasses.replace(m, to_uri=BOB) if isinstance(m, Bang) else m
    alice.send(BANG)
    assert (await bob.message()).to_uri == BOB


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.0\r\n\r\n", bytes(500), b"\x16\x03\x01junk"])
async def test_garbage_before_tls(crs, master, garbage):
    reader, writer = await asyncio.open_connection(*crs.tls_address)
    writer.write(garbage)
    writer.write_eof()
    await reader.read()
    writer.close()
    await until(lambda: crs.stats.tls_failed == 1)
    await Phone(ALICE, master).connect(crs)


async def test_garbage_inside_tls(crs, master):
    reader, writer = await asyncio.open_connection(*crs.tls_address, ssl=tls_context(crs))
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    assert b"protocol" in await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert crs.stats.sessions_broken == 1
    await Phone(ALICE, master).connect(crs)


async def test_another_alpn_is_turned_away(crs):
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        reader, _ = await asyncio.open_connection(
            *crs.tls_address, ssl=tls_context(crs, "http/1.1")
        )
        await reader.readexactly(1)
    await until(lambda: crs.stats.tls_failed == 1)


async def test_too_many_strangers_from_one_address(master):
    async with CrsServer(kpak=master.kpak, domain="lab.example", max_strangers=2) as crs:
        context = tls_context(crs)
        held = [await asyncio.open_connection(*crs.tls_address, ssl=context) for _ in range(2)]
        await until(lambda: crs.stats.tcp_accepted == 2)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            reader, _ = await asyncio.open_connection(*crs.tls_address, ssl=context)
            await reader.readexactly(1)
        assert crs.stats.tcp_refused == 1
        for _, writer in held:
            writer.close()


async def test_a_server_that_takes_no_connections(crs):
    crs.accepting = False
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError, ssl.SSLError)):
        await asyncio.open_connection(*crs.tls_address, ssl=tls_context(crs))
    assert crs.stats.tcp_refused == 1


async def test_garbage_on_udp(crs, master):
    alice, _bob = await pair(crs, master)
    alice.send(BANG)
    tried = await alice.message()
    socket = await MediaSocket.open(tried.leg)
    for packet in (b"x", bytes(1000), b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12)):
        socket.transport.sendto(packet)
    await socket.bind(tried.leg)
    await until(lambda: crs.stats.media_unknown + crs.stats.stun_refused == 3)
    assert crs.stats.internal_errors == 0
