# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine on real loopback sockets, under asyncio and under uvloop."""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import weakref

import pytest
import uvloop

from cig_common.control.media import Direction, SipMedia, TelLeg
from cig_common.errors import CodecError, MediaError
from cig_relay.media import codec, rtcp
from cig_relay.media.engine import (
    CallExistsError,
    MediaSettings,
    PortRange,
    UnknownCallError,
)
from cig_relay.media.python_engine import PythonMediaEngine
from cig_relay.media.rtp import RtpPacket
from cig_relay.media.telephone_event import TelephoneEvent
from unit.cig_relay.media.peers import (
    PWD,
    RX_KEYS,
    TEL_SSRC,
    TX_KEYS,
    UFRAG,
    Talker,
    keys,
    receiver,
    sender,
    stun_answer,
)

HOST = "127.0.0.1"
PUBLIC = "203.0.113.5"


def on_both_loops(test):
    """Run a test with an open `Call`, once under asyncio and once under uvloop."""

    @pytest.mark.parametrize(
        "loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
    )
    def run(loop):
        async def body():
            call = await Call().open()
            try:
                await test(call)
            finally:
                await call.close()

        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(body())

    return run


class Peer(asyncio.DatagramProtocol):
    """A socket that keeps what it gets until somebody waits for it."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[tuple[bytes, tuple]] = asyncio.Queue()

    @classmethod
    async def open(cls, host: str = HOST, answers_stun: bool = False) -> Peer:
        loop = asyncio.get_running_loop()
        transport, peer = await loop.create_datagram_endpoint(cls, local_addr=(host, 0))
        peer.transport, peer.answers_stun = transport, answers_stun
        peer.port = transport.get_extra_info("sockname")[1]
        peer.gateway = None
        return peer

    def datagram_received(self, data, addr) -> None:
        if self.answers_stun and data[0] < 4:
            self.gateway = addr
            self.transport.sendto(stun_answer(data), addr)
        else:
            self.inbox.put_nowait((data, addr))

    async def get(self) -> bytes:
        return (await asyncio.wait_for(self.inbox.get(), 5))[0]

    def send(self, data: bytes, to) -> None:
        self.transport.sendto(data, to)


class Listener:
    def __init__(self) -> None:
        self.bound: asyncio.Queue[str] = asyncio.Queue()
        self.lost: asyncio.Queue[tuple] = asyncio.Queue()

    def tel_bound(self, call) -> None:
        self.bound.put_nowait(call)

    def media_lost(self, call, side, seconds) -> None:
        self.lost.put_nowait((call, side, seconds))


def free_range(size: int) -> PortRange:
    """A range in which nobody listens, below those that the kernel gives out by itself."""
    while True:
        low = 2 * random.SystemRandom().randrange(5000, 15000)
        held = []
        try:
            for port in range(low, low + size):
                held.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                held[-1].bind((HOST, port))
        except OSError:
            continue
        finally:
            for sock in held:
                sock.close()
        return PortRange(low, low + size - 1)


class Call:
    """One call of a real engine between two real sockets."""

    host = HOST

    async def open(self, **engine_options) -> Call:
        self.crs = await Peer.open(self.host, answers_stun=True)
        self.pbx, self.pbx_rtcp = await Peer.open(self.host), await Peer.open(self.host)
        self.listener = Listener()
        settings = MediaSettings(
            free_range(4), free_range(8), {PUBLIC: self.host}, {PUBLIC: self.host}
        )
        self.engine = PythonMediaEngine(settings, **engine_options)
        self.sip = await self.open_call("one")
        self.phone_tx, self.phone_rx = sender(RX_KEYS), receiver(TX_KEYS)
        self.phone, self.talker = Talker(0x77, 8), Talker(0x88, 0, event_type=97)
        return self

    async def open_call(self, name: str):
        return await self.engine.open_call(
            name,
            tel_tx=TX_KEYS,
            tel_rx=RX_KEYS,
            tel_ssrc=TEL_SSRC,
            tel_local_addr=self.host,
            sip_local_addr=self.host,
            listener=self.listener,
        )

    async def talk(self, direction: Direction = Direction.SENDRECV) -> Call:
        await self.engine.set_tel_leg("one", TelLeg(PUBLIC, self.crs.port, UFRAG, PWD))
        assert await asyncio.wait_for(self.listener.bound.get(), 5) == "one"
        self.engine.set_tel_media("one", "PCMA/8000", 100)
        self.set_sip(direction)
        return self

    def set_sip(self, direction: Direction = Direction.SENDRECV) -> None:
        media = SipMedia(PUBLIC, self.pbx.port, self.pbx_rtcp.port, "PCMU/8000", 96, 97, direction)
        self.engine.set_sip_media("one", media)

    def from_phone(self, packet: RtpPacket) -> None:
        self.crs.send(self.phone_tx.protect(packet.encode()), self.crs.gateway)

    def from_pbx(self, packet: RtpPacket) -> None:
        self.pbx.send(packet.encode(), (self.sip.addr, self.sip.port))

    async def at_pbx(self) -> RtpPacket:
        return RtpPacket.parse(await self.pbx.get())

    async def at_phone(self) -> RtpPacket:
        return RtpPacket.parse(self.phone_rx.unprotect(await self.crs.get()))

    async def close(self) -> None:
        await self.engine.close()
        for peer in (self.crs, self.pbx, self.pbx_rtcp):
            peer.transport.close()


@on_both_loops
async def test_a_call_with_speech_and_digits_both_ways(call):
    await call.talk()
    assert call.sip.port % 2 == 0
    a2u = codec.transcoding_table(codec.PCMA, codec.PCMU)
    u2a = codec.transcoding_table(codec.PCMU, codec.PCMA)
    for _ in range(5):
        call.from_phone(call.phone.audio())
        call.from_pbx(call.talker.audio())
    at_pbx = [await call.at_pbx() for _ in range(5)]
    at_phone = [await call.at_phone() for _ in range(5)]
    assert {p.payload for p in at_pbx} == {call.phone.payload.translate(a2u)}
    assert {p.payload for p in at_phone} == {call.talker.payload.translate(u2a)}
    for digit in (1, 5, 9, 10, 11):
        event = TelephoneEvent(digit, True, 10, 800).encode()
        for n in range(3):
            call.from_phone(call.phone.event(event, not n))
            call.from_pbx(call.talker.event(event, not n))
        call.phone.timestamp = (call.phone.timestamp + 800) & 0xFFFFFFFF
        call.talker.timestamp = (call.talker.timestamp + 800) & 0xFFFFFFFF
    events = [await call.at_pbx() for _ in range(15)]
    assert {p.payload_type for p in events} == {96}
    assert list({p.timestamp: p.payload[0] for p in events}.values()) == [1, 5, 9, 10, 11]
    events = [await call.at_phone() for _ in range(15)]
    assert {p.payload_type for p in events} == {100}
    assert list({p.timestamp: p.payload[0] for p in events}.values()) == [1, 5, 9, 10, 11]
    statistics = await call.engine.close_call("one")
    assert [leg.packets_sent for leg in statistics.legs] == [20, 20]
    assert statistics.tel.remote == f"{HOST}:{call.crs.port}"


@on_both_loops
async def test_strangers_replays_and_garbage_are_counted_and_forwarded_to_nobody(call):
    await call.talk()
    call.from_pbx(call.talker.audio())
    await call.at_phone()
    wire = call.phone_tx.protect(call.phone.audio().encode())
    stranger = await Peer.open()
    sip = (call.sip.addr, call.sip.port)
    stranger.send(wire, call.crs.gateway)
    stranger.send(call.talker.audio().encode(), sip)
    call.crs.send(wire, call.crs.gateway)
    call.crs.send(wire, call.crs.gateway)
    forged = sender(keys(9)).protect(call.phone.audio().encode())
    call.crs.send(forged, call.crs.gateway)
    for size in (1, 11, 12, 40, 1500):
        for octet in (0x00, 0x01, 0x16, 0x80, 0xBF, 0xFF):
            data = bytes((octet,)) * size
            call.crs.send(data, call.crs.gateway)
            call.pbx.send(data, sip)
            call.pbx_rtcp.send(data, (sip[0], sip[1] + 1))
    call.from_phone(call.phone.audio())
    first, last = await call.at_pbx(), await call.at_pbx()
    # The forged packet took a sequence number of the phone's that never came.
    assert (last.sequence - first.sequence) & 0xFFFF == 2
    while call.engine.statistics("one").sip.rejected <= 40:
        await asyncio.sleep(0.005)
    assert call.pbx.inbox.empty() and stranger.inbox.empty()
    tel, sip_leg = call.engine.statistics("one").legs
    assert tel.replayed == 1
    assert tel.packets_received == 2
    assert tel.auth_failed >= 1
    assert sip_leg.auth_failed == 0
    counters = call.engine.counters()
    assert counters["faults"] == 0
    assert counters["tel_replayed"] == 1
    stranger.transport.close()


@on_both_loops
async def test_hold_and_resume_keep_the_numbers(call):
    await call.talk()
    call.from_phone(call.phone.audio())
    first = await call.at_pbx()
    call.set_sip(Direction.INACTIVE)
    for _ in range(5):
        call.from_phone(call.phone.audio())
    while call.engine.statistics("one").tel.packets_received < 6:
        await asyncio.sleep(0.005)
    call.set_sip()
    call.from_phone(call.phone.audio())
    after = await call.at_pbx()
    assert (after.sequence - first.sequence) & 0xFFFF == 1
    assert (after.timestamp - first.timestamp) & 0xFFFFFFFF == 6 * 160


@on_both_loops
async def test_reports_and_goodbye_reach_both_sides(call):
    await call.talk()
    call.from_phone(call.phone.audio())
    call.from_pbx(call.talker.audio())
    await call.at_pbx()
    await call.at_phone()
    report = rtcp.ReceiverReport(0x77).encode()
    call.crs.send(call.phone_tx.protect_rtcp(report), call.crs.gateway)
    await call.engine.close_call("one")
    at_phone = rtcp.parse_compound(call.phone_rx.unprotect_rtcp(await call.crs.get()))
    at_pbx = rtcp.parse_compound(await call.pbx_rtcp.get())
    for got in (at_phone, at_pbx):
        assert [type(p).__name__ for p in got] == ["SenderReport", "SourceDescription", "Goodbye"]
        assert got[0].packets == 1
        assert len(got[0].blocks) == 1


@on_both_loops
async def test_dead_media_is_told(_):
    call = await Call().open(dead_after=0.05)
    await call.talk()
    name, side, seconds = await asyncio.wait_for(call.listener.lost.get(), 5)
    assert (name, side) == ("one", "tel")
    assert seconds >= 0.05
    await call.close()


@on_both_loops
async def test_a_listener_that_fails_ends_nothing(call):
    class Broken(Listener):
        def tel_bound(self, call) -> None:
            super().tel_bound(call)
            raise RuntimeError("the listener is broken")

    await call.engine.close_call("one")
    call.listener = Broken()
    call.sip = await call.open_call("one")
    await call.talk()
    call.from_phone(call.phone.audio())
    await call.at_pbx()
    assert call.engine.counters()["faults"] == 1


@on_both_loops
async def test_ports_rest_and_come_back(call):
    assert (call.engine.ports_free(), call.engine.calls()) == (3, 1)
    others = [await call.open_call(name) for name in ("two", "three", "four")]
    assert len({call.sip.port, *(other.port for other in others)}) == 4
    with pytest.raises(MediaError):
        await call.open_call("five")
    with pytest.raises(CallExistsError):
        await call.open_call("two")
    await call.engine.close_call("two")
    await call.engine.close_call("one")
    assert (await call.open_call("six")).port == others[0].port
    assert (await call.open_call("seven")).port == call.sip.port
    assert call.engine.ports_free() == 0


@on_both_loops
async def test_wrong_orders_are_told_and_hold_nothing(call):
    engine = call.engine
    with pytest.raises(UnknownCallError):
        engine.set_tel_media("none", "PCMA/8000", None)
    with pytest.raises(UnknownCallError):
        await engine.close_call("none")
    with pytest.raises(CodecError):
        engine.set_tel_media("one", "opus/48000", None)
    with pytest.raises(MediaError):
        await engine.set_tel_leg("one", TelLeg("crs.example", 146, UFRAG, PWD))
    with pytest.raises(MediaError):
        engine.set_sip_media(
            "one", SipMedia(HOST, 0, 0, "PCMA/8000", None, None, Direction.SENDRECV)
        )
    with pytest.raises(MediaError):
        await engine.open_call(
            "two",
            tel_tx=TX_KEYS,
            tel_rx=RX_KEYS,
            tel_ssrc=1,
            tel_local_addr=HOST,
            sip_local_addr="192.0.2.200",
            listener=call.listener,
        )
    assert (engine.ports_free(), engine.calls()) == (3, 1)
    assert PWD not in repr(TelLeg(HOST, 146, UFRAG, PWD))


@on_both_loops
async def test_new_settings_are_for_new_calls(call):
    ports = free_range(2)
    call.engine.configure(MediaSettings(free_range(2), ports))
    assert (await call.open_call("two")).port == ports.low
    await call.engine.close_call("one")
    assert call.engine.ports_free() == 0


@on_both_loops
async def test_a_call_keeps_the_overrides_that_it_began_with(call):
    """A re-INVITE or a new leg after a reload still goes where the call's other packets go."""
    call.engine.configure(MediaSettings(free_range(2), free_range(2)))
    await call.talk()
    call.from_phone(call.phone.audio())
    await call.at_pbx()
    call.set_sip(Direction.SENDRECV)
    call.from_pbx(call.talker.audio())
    await call.at_phone()


@on_both_loops
async def test_a_call_over_ipv6(_):
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this host has no IPv6 loopback")
    call = Call()
    call.host = "::1"
    await call.open()
    await call.talk()
    call.from_phone(call.phone.audio())
    call.from_pbx(call.talker.audio())
    await call.at_pbx()
    await call.at_phone()
    assert call.engine.statistics("one").sip.remote == f"[::1]:{call.pbx.port}"
    await call.close()


@on_both_loops
async def test_an_address_of_the_other_family_is_refused_and_the_call_goes_on(call):
    await call.talk()

    def moved(addr: str) -> SipMedia:
        return SipMedia(addr, 6000, 6001, "PCMU/8000", 96, 97, Direction.SENDRECV)

    with pytest.raises(MediaError, match=r"sip: media to \[2001:db8::9\]:6000 \(IPv6\) cannot"):
        call.engine.set_sip_media("one", moved("2001:db8::9"))
    with pytest.raises(MediaError, match=r"tel: media to \[2001:db8::9\]:5004"):
        await call.engine.set_tel_leg("one", TelLeg("2001:db8::9", 5004, UFRAG, PWD))
    call.engine.set_sip_media("one", moved("::"))
    call.set_sip(Direction.SENDRECV)
    call.from_pbx(call.talker.audio())
    await call.at_phone()


@on_both_loops
async def test_the_keys_go_with_the_call(call):
    await call.talk()
    call.from_phone(call.phone.audio())
    await call.at_pbx()
    sessions = weakref.ref(call.engine._calls["one"].bridge)
    gc.disable()
    try:
        await call.engine.close_call("one")
        assert sessions() is None
    finally:
        gc.enable()
