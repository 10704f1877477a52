# SPDX-License-Identifier: GPL-3.0-or-later
"""The control socket: who may speak, take-over, grace, rubbish, limits; and calls that go out."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from cig_common.control.codec import Envelope
from cig_common.control.messages import (
    VERSION,
    AcceptCallReply,
    AnswerMacRequest,
    CheckMacRequest,
    Done,
    EnginesEvent,
    ErrorCode,
    ErrorReply,
    HelloReply,
    HelloRequest,
    IdentityEvent,
    MediaLostEvent,
    PlaceCallReply,
    SignAuthReply,
    SignAuthRequest,
    StatisticsReply,
    StatisticsRequest,
    StatusReply,
    StatusRequest,
    TelBoundEvent,
)
from cig_relay.control import server as server_module
from cig_relay.control.local_socket import SocketInUseError
from cig_relay.control.server import ControlServer
from cig_relay.keys.errors import KeystoreAccessError
from cig_relay.keys.keystore import Keystore
from cig_relay.keys.wrapping import USERDATA_WORDS
from mikey_sakke import eccsi, receiver
from mikey_sakke.identifiers import tel_identifier
from umsg.binding import ANSWER_INFO, answer_mac, auth_text_from_digests, call_digest
from unit.cig_relay.control.harness import CALL_ID, Peer, Rig, bang, lab_keys, place, relay
from unit.cig_relay.keys.lab import ALICE, GATEWAY, NOW, domain, material, user

DIGESTS = {
    "hello_digest": bytes(32),
    "challenge_digest": b"\1" * 32,
    "certificate_digest": b"\2" * 32,
}


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with relay(tmp_path, keys=lab_keys()) as running:
        yield running


@pytest_asyncio.fixture
async def peer(rig: Rig) -> AsyncIterator[Peer]:
    connected = await rig.peer()
    yield connected
    await connected.close()


async def _until_no_calls(rig: Rig) -> None:
    async with asyncio.timeout(10):
        while rig.media.calls():
            await asyncio.sleep(0.02)


# --- calls that go out --------------------------------------------------------------------------


async def test_a_call_that_goes_out_can_be_opened_by_its_callee(rig: Rig, peer: Peer) -> None:
    request = place(to_uri=f"{ALICE};7")
    reply = await peer.expect(PlaceCallReply, request)
    parsed = receiver.precheck(reply.mikey, now=NOW, own_uri=ALICE, initiator=request.from_uri)
    keys = receiver.open(receiver.verify(parsed, verifier=user(ALICE).verifier), user(ALICE))
    assert parsed.binding == call_digest(
        id=request.id,
        from_uri=request.from_uri,
        to_uri=request.to_uri,
        offer=request.offer,
        dtmf=request.dtmf,
    )
    seen = rig.media.seen["p1"]
    assert seen.tx == keys.initiator.reveal()
    assert seen.rx == keys.responder.reveal()
    assert [session.ssrc for session in keys.sessions] == [seen.ssrc, 0]
    assert reply.sip_port % 2 == 0

    mac = answer_mac(
        keys.answer_key(ANSWER_INFO).reveal(),
        t="talk",
        id=CALL_ID,
        codec="PCMA/8000",
        dtmf=None,
        message_digest=keys.message_digest,
    )
    good = CheckMacRequest("p1", "talk", "PCMA/8000", None, mac)
    await peer.expect(Done, good)
    for wrong in (
        replace(good, mac=bytes(32)),
        replace(good, mac=b""),
        replace(good, t="growl"),
        replace(good, codec="PCMU/8000"),
        replace(good, dtmf=101),
    ):
        assert await peer.refused(wrong) == ("crypto", "wrong-mac")
    own = AnswerMacRequest("p1", "talk", "PCMA/8000", None)
    assert await peer.refused(own) == ("protocol", "control")


async def test_messages_made_at_the_same_moment_differ_in_time_and_csb_id(
    rig: Rig, peer: Peer
) -> None:
    futures = [peer.submit(place(call=f"p{n}")) for n in range(8)]
    parsed = []
    for future in futures:
        reply = await future
        assert isinstance(reply, PlaceCallReply)
        parsed.append(receiver.precheck(reply.mikey, now=NOW, own_uri=ALICE))
    assert len({p.message.timestamp.ntp for p in parsed}) == 8
    assert len({p.message.header.csb_id for p in parsed}) == 8


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"from_uri": "tel:+7777;101"}, ("crypto", "wrong-signer")),
        ({"to_uri": "sip:alice@example.com"}, ("crypto", "identity")),
        ({"to_uri": "tel:+012"}, ("crypto", "identity")),
    ],
)
async def test_a_call_that_nobody_can_have_keys_for(
    rig: Rig, peer: Peer, change: dict[str, str], answer: tuple[str, str]
) -> None:
    assert await peer.refused(replace(place(), **change)) == answer  # type: ignore[arg-type]
    assert rig.media.calls() == 0


async def test_out_of_its_months_a_gateway_calls_nobody(rig: Rig, peer: Peer) -> None:
    rig.clock.advance(40 * 86_400)
    assert await peer.refused(place()) == ("no-keys", "no-period")
    status = await peer.expect(StatusReply, StatusRequest())
    assert status.crypto_state.startswith("no keys of 2026-12 are loaded")


# --- login and status ---------------------------------------------------------------------------


async def test_signs_a_login(peer: Peer) -> None:
    reply = await peer.expect(SignAuthReply, SignAuthRequest(**DIGESTS, period="2026-11-1"))
    text = auth_text_from_digests(**DIGESTS, period="2026-11-1")
    identifier = tel_identifier(GATEWAY, "2026-11")
    eccsi.verify(reply.sig, text, identifier=identifier, kpak=domain().kpak)


@pytest.mark.parametrize("period", ["2026-10-1", "2026-11-2", "", "2026-11-1;x"])
async def test_signs_no_login_for_a_period_that_does_not_count(peer: Peer, period: str) -> None:
    request = SignAuthRequest(**DIGESTS, period=period)
    assert (await peer.refused(request))[0] == "no-keys"


async def test_signs_no_text_of_another_form(peer: Peer) -> None:
    request = SignAuthRequest(**{**DIGESTS, "hello_digest": bytes(31)}, period="2026-11-1")
    assert await peer.refused(request) == ("protocol", "control")


async def test_status(rig: Rig, peer: Peer) -> None:
    await peer.expect(AcceptCallReply, bang()[1])
    status = await peer.expect(StatusReply, StatusRequest())
    assert (status.engines_available, status.engines_total) == (2, 2)
    assert (status.crypto_state, status.calls) == ("OK", 1)
    assert status.identity == material().identity
    assert status.ports_free > 100
    assert status.counters["calls_callee"] == 1
    assert status.keystore == USERDATA_WORDS


async def test_no_event_comes_before_the_answer_to_a_greeting(rig: Rig) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def before_hello() -> None:
        asked.set()
        await go.wait()

    rig.service.before_hello = before_hello
    peer = await Peer.connect(rig.path, hello=False)
    greeting = peer.submit(HelloRequest(VERSION, "test", os.getpid()))
    await asked.wait()
    rig.server.identity_changed()
    go.set()
    reply = await asyncio.wait_for(greeting, 20)
    assert isinstance(reply, HelloReply)
    assert reply.identity is not None
    await peer.expect(StatusReply, StatusRequest())
    assert peer.events.empty()
    rig.server.identity_changed()
    assert (await peer.event(IdentityEvent)).identity == reply.identity
    await peer.close()


async def test_status_without_keys(tmp_path: Path) -> None:
    async with relay(tmp_path) as running:
        peer = await running.peer()
        status = await peer.expect(StatusReply, StatusRequest())
        assert status.identity is None
        assert "cig-cli set-key" in status.crypto_state
        assert status.keystore == "no keystore yet"
        assert await peer.refused(place()) == ("no-keys", "no-keys")


async def test_new_keys_are_reported_and_bad_ones_leave_the_old(rig: Rig, peer: Peer) -> None:
    holder = rig.service.holder
    path = Keystore(rig.userdata).save(material("2026-11-2"))
    await holder.reload()
    rig.server.identity_changed()
    event = await peer.event(IdentityEvent)
    assert event.identity is not None
    assert event.identity.periods == ("2026-11-2",)
    path.chmod(0o644)
    with pytest.raises(KeystoreAccessError):
        await holder.reload()
    await peer.expect(AcceptCallReply, bang()[1])
    status = await peer.expect(StatusReply, StatusRequest())
    assert "mode is 0644" in status.crypto_state
    path.unlink()
    await holder.reload()
    assert await peer.refused(bang(call="c2")[1]) == ("no-keys", "no-keys")


async def test_the_death_of_an_engine_is_reported_and_costs_no_call(rig: Rig, peer: Peer) -> None:
    await peer.expect(AcceptCallReply, bang()[1])
    os.kill(rig.service.pool.pids()[0], signal.SIGKILL)
    assert await peer.event(EnginesEvent) == EnginesEvent(1, 2)
    await peer.expect(AcceptCallReply, bang(call="c2")[1])
    assert await peer.event(EnginesEvent) == EnginesEvent(2, 2)
    await peer.expect(StatisticsReply, StatisticsRequest("c1"))


async def test_what_media_reports_reaches_the_server_by_the_calls_name(
    rig: Rig, peer: Peer
) -> None:
    await peer.expect(AcceptCallReply, bang(call="a/b")[1])
    (session,) = rig.server._sessions
    (call,) = session._calls.values()
    session.tel_bound(call.media_name)
    session.media_lost(call.media_name, "tel", 60.0)
    assert await peer.event(TelBoundEvent) == TelBoundEvent("a/b")
    assert await peer.event(MediaLostEvent) == MediaLostEvent("a/b", "tel", 60.0)


async def test_a_fault_of_our_own_ends_its_request_only(
    rig: Rig, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await peer.expect(AcceptCallReply, bang()[1])

    def broken(call: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(rig.media, "statistics", broken)
    assert await peer.refused(StatisticsRequest("c1")) == ("internal", "internal")
    await peer.expect(StatusReply, StatusRequest())


# --- the socket ---------------------------------------------------------------------------------


async def test_another_user_is_shut_out(tmp_path: Path) -> None:
    async with relay(tmp_path, keys=lab_keys(), allowed_uid=os.geteuid() + 1) as running:
        stranger = await Peer.connect(running.path, hello=False)
        stranger.submit(HelloRequest(VERSION, "stranger", 1))
        await asyncio.wait_for(stranger.closed.wait(), 10)
        assert stranger.events.empty()
        assert running.service.counters["connections_refused"] == 1
        assert not running.server.connected


async def test_the_greeting_tells_whose_keys_there_are(rig: Rig) -> None:
    peer = await Peer.connect(rig.path, hello=False)
    reply = await peer.expect(HelloReply, HelloRequest(VERSION, "test", 1))
    assert (reply.version, reply.identity) == (VERSION, material().identity)
    await peer.close()


@pytest.mark.parametrize("request_", [HelloRequest(VERSION + 1, "test", 1), StatusRequest()])
async def test_whoever_does_not_greet_first_is_shut_out(
    rig: Rig, request_: HelloRequest | StatusRequest
) -> None:
    peer = await Peer.connect(rig.path, hello=False)
    assert await peer.refused(request_) == ("protocol", "version")
    await asyncio.wait_for(peer.closed.wait(), 10)


@pytest.mark.parametrize(
    "rubbish",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\0",
        b"\0\0\0\1\xff",
        Envelope(0, StatusRequest()).encode(),
        Envelope(7, Done()).encode(),
    ],
)
async def test_rubbish_ends_the_connection_and_nothing_else(rig: Rig, rubbish: bytes) -> None:
    peer = await rig.peer()
    peer.writer.write(rubbish)
    await asyncio.wait_for(peer.closed.wait(), 10)
    again = await rig.peer()
    await again.expect(StatusReply, StatusRequest())
    await again.close()


async def test_a_server_that_goes_leaves_its_calls_for_a_moment(rig: Rig) -> None:
    peer = await rig.peer()
    await peer.expect(AcceptCallReply, bang()[1])
    await peer.expect(PlaceCallReply, place())
    free = rig.media.ports_free()
    await peer.close()
    assert rig.media.calls() == 2
    await _until_no_calls(rig)
    async with asyncio.timeout(10):
        # A port is given back once its socket is closed, a moment after the call is.
        while rig.media.ports_free() != free + 2:
            await asyncio.sleep(0.01)
        while rig.server._sessions:
            await asyncio.sleep(0.01)


async def test_a_second_server_takes_over(rig: Rig) -> None:
    first = await rig.peer()
    await first.expect(AcceptCallReply, bang()[1])
    second = await rig.peer()
    await asyncio.wait_for(first.closed.wait(), 10)
    # The name is free for the new server at once; the old call goes on until its grace is over.
    await second.expect(AcceptCallReply, bang()[1])
    assert rig.media.calls() == 2
    async with asyncio.timeout(10):
        while rig.media.calls() > 1:
            await asyncio.sleep(0.02)
    await second.expect(StatisticsReply, StatisticsRequest("c1"))
    assert rig.server.connected
    await second.close()


async def test_a_request_that_runs_when_the_server_goes_leaves_nothing(rig: Rig) -> None:
    peer = await rig.peer()
    for number in range(6):
        peer.submit(bang(call=f"c{number}")[1])
    await asyncio.sleep(0.005)
    await peer.close()
    await _until_no_calls(rig)
    again = await rig.peer()
    await again.expect(AcceptCallReply, bang()[1])
    await again.close()


async def test_too_many_requests_at_once_are_overload(
    rig: Rig, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MAX_PENDING", 3)
    answers = [await f for f in [peer.submit(StatusRequest()) for _ in range(5)]]
    refused = [a for a in answers if isinstance(a, ErrorReply)]
    assert [a.code for a in refused] == [ErrorCode.OVERLOAD] * 2
    await peer.expect(StatusReply, StatusRequest())


async def test_the_sockets_rights_and_its_end(tmp_path: Path) -> None:
    async with relay(tmp_path) as running:
        assert stat.S_IMODE(running.path.stat().st_mode) == 0o660
    assert not (tmp_path / "relay.sock").exists()


async def test_a_socket_that_nobody_listens_on_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "relay.sock"))
    async with relay(tmp_path) as running:
        await (await running.peer()).expect(StatusReply, StatusRequest())


async def test_a_socket_in_use_is_left_alone(rig: Rig) -> None:
    second = ControlServer(rig.service, rig.path, allowed_uid=os.geteuid())
    with pytest.raises(SocketInUseError, match="listens there already"):
        await second.start()
    await second.close()
    await (await rig.peer()).expect(StatusReply, StatusRequest())


async def test_what_is_no_socket_is_left_alone(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(SocketInUseError, match="is no socket"):
        await ControlServer(rig.service, path, allowed_uid=os.geteuid()).start()
    assert path.read_text() == "mine"


async def test_stopping_closes_calls_at_once(tmp_path: Path) -> None:
    async with relay(tmp_path, keys=lab_keys(), grace=60) as running:
        peer = await running.peer()
        await peer.expect(AcceptCallReply, bang()[1])
        gone = await running.peer()
        await gone.expect(AcceptCallReply, bang()[1])
        async with asyncio.timeout(5):
            await running.server.close()
        assert running.media.calls() == 0
        await asyncio.wait_for(gone.closed.wait(), 10)


async def test_a_stranger_who_does_not_greet_takes_nothing_over(rig: Rig) -> None:
    first = await rig.peer()
    stranger = await Peer.connect(rig.path, hello=False)
    await first.expect(StatusReply, StatusRequest())
    await stranger.refused(StatusRequest())
    await asyncio.wait_for(stranger.closed.wait(), 10)
    await first.expect(StatusReply, StatusRequest())


async def test_who_says_nothing_is_closed_after_a_while(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "GREETING_SECONDS", 0.05)
    stranger = await Peer.connect(rig.path, hello=False)
    await asyncio.wait_for(stranger.closed.wait(), 10)
