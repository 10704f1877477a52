# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls from the secure side: a good one, and each kind of bad I_MESSAGE with its word."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from cig_common.control.media import Direction, SipMedia, TelLeg
from cig_common.control.messages import (
    AcceptCallReply,
    AcceptCallRequest,
    AnswerMacRequest,
    CheckMacRequest,
    CloseCallRequest,
    Done,
    MacReply,
    SipMediaRequest,
    StatisticsReply,
    StatisticsRequest,
    TelLegRequest,
    TelMediaRequest,
)
from cig_relay.media.engine import MediaSettings, PortRange
from mikey_sakke import initiator
from mikey_sakke.message import IMessage
from mikey_sakke.payloads import Payload, Sakke, SecurityPolicy, Sign
from mikey_sakke.session import signed_prefix
from umsg.binding import ANSWER_INFO, answer_mac
from unit.cig_relay.control.harness import (
    CALL_ID,
    OFFER,
    Peer,
    Rig,
    bang,
    free_pair,
    lab_keys,
    relay,
)
from unit.cig_relay.keys.lab import ALICE, GATEWAY, MALLORY, NOW, material, user


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with relay(tmp_path, keys=lab_keys()) as running:
        yield running


@pytest_asyncio.fixture
async def peer(rig: Rig) -> AsyncIterator[Peer]:
    connected = await rig.peer()
    yield connected
    await connected.close()


def _resigned(built: initiator.Built, change: Callable[[Payload], Payload]) -> bytes:
    """Alter payloads of Alice's message and have her sign it again."""
    message = IMessage.parse(built.message)
    blank = Sign(bytes(129))
    altered = replace(message, payloads=tuple(map(change, message.payloads)), sign=blank)
    prefix = signed_prefix(altered.encode(), 129)
    return prefix + user(ALICE).signer.sign(prefix)


async def test_a_good_call_is_opened_with_the_callers_keys(rig: Rig, peer: Peer) -> None:
    built, request = bang()
    reply = await peer.expect(AcceptCallReply, request)
    assert reply.signer == ALICE
    assert (reply.sip_addr, reply.sip_port % 2) == ("127.0.0.1", 0)
    seen = rig.media.seen["c1"]
    assert seen.rx == built.keys.initiator.reveal()
    assert seen.tx == built.keys.responder.reveal()
    assert seen.ssrc not in (0, 0x1234)
    assert rig.media.calls() == 1


async def test_the_answer_has_the_mac_that_the_caller_expects(rig: Rig, peer: Peer) -> None:
    built, request = bang()
    await peer.expect(AcceptCallReply, request)
    for t in ("growl", "talk"):
        reply = await peer.expect(MacReply, AnswerMacRequest("c1", t, "PCMA/8000", 101))
        assert reply.mac == answer_mac(
            built.keys.answer_key(ANSWER_INFO).reveal(),
            t=t,
            id=CALL_ID,
            codec="PCMA/8000",
            dtmf=101,
            message_digest=built.keys.message_digest,
        )


async def test_the_relay_is_no_oracle_for_other_macs(rig: Rig, peer: Peer) -> None:
    _, request = bang()
    await peer.expect(AcceptCallReply, request)
    odd = AnswerMacRequest("c1", "hangup", "PCMA/8000", None)
    assert await peer.refused(odd) == ("protocol", "control")
    check = CheckMacRequest("c1", "talk", "PCMA/8000", None, bytes(32))
    assert await peer.refused(check) == ("protocol", "control")


async def test_media_of_a_call_can_be_set_asked_and_closed(rig: Rig, peer: Peer) -> None:
    _, request = bang()
    await peer.expect(AcceptCallReply, request)
    await peer.expect(Done, TelLegRequest("c1", TelLeg("127.0.0.1", 9, "ufrag", "p" * 24)))
    await peer.expect(Done, TelMediaRequest("c1", "PCMA/8000", 101))
    sip = SipMedia("127.0.0.1", 40000, 40001, "PCMU/8000", 101, 101, Direction.SENDRECV)
    await peer.expect(Done, SipMediaRequest("c1", sip))
    statistics = await peer.expect(StatisticsReply, StatisticsRequest("c1"))
    assert [leg.side for leg in statistics.legs] == ["tel", "sip"]
    assert statistics.call == "c1"
    await peer.expect(StatisticsReply, CloseCallRequest("c1"))
    assert rig.media.calls() == 0
    assert await peer.refused(StatisticsRequest("c1")) == ("unknown-call", "unknown-call")


async def test_what_the_secret_keys_were_is_wiped_with_the_call(rig: Rig, peer: Peer) -> None:
    _, request = bang()
    await peer.expect(AcceptCallReply, request)
    (session,) = rig.server._sessions
    keys = session._calls["c1"].keys
    assert keys is not None
    assert not any(keys.tx.master_key._octets + keys.rx.master_key._octets)
    assert any(keys.answer_key._octets)
    await peer.expect(StatisticsReply, CloseCallRequest("c1"))
    assert not any(keys.answer_key._octets)


def _truncated(request: AcceptCallRequest, built: initiator.Built) -> AcceptCallRequest:
    return replace(request, mikey=request.mikey[:-1])


def _bit(request: AcceptCallRequest, built: initiator.Built) -> AcceptCallRequest:
    return replace(request, mikey=request.mikey[:-1] + bytes([request.mikey[-1] ^ 1]))


def _signed_by_mallory(request: AcceptCallRequest, built: initiator.Built) -> AcceptCallRequest:
    prefix = built.message[: built.signed_prefix_len]
    return replace(request, mikey=prefix + user(MALLORY).signer.sign(prefix))


def _no_sakke_for_us(request: AcceptCallRequest, built: initiator.Built) -> AcceptCallRequest:
    def alter(payload: Payload) -> Payload:
        if isinstance(payload, Sakke):
            return replace(payload, data=payload.data[:-1] + bytes([payload.data[-1] ^ 1]))
        return payload

    return replace(request, mikey=_resigned(built, alter))


def _no_encryption(request: AcceptCallRequest, built: initiator.Built) -> AcceptCallRequest:
    def alter(payload: Payload) -> Payload:
        if isinstance(payload, SecurityPolicy):
            null = tuple((n, b"\0" if n == 0 else value) for n, value in payload.parameters)
            return replace(payload, parameters=null)
        return payload

    return replace(request, mikey=_resigned(built, alter))


def _to_somebody_else(request: AcceptCallRequest, built: initiator.Built) -> AcceptCallRequest:
    return replace(bang(to_uri="tel:+7777;101")[1], call=request.call)


BAD: dict[str, tuple[str, Callable[[AcceptCallRequest, initiator.Built], AcceptCallRequest]]] = {
    "empty": ("malformed", lambda r, b: replace(r, mikey=b"")),
    "zeros": ("unsupported", lambda r, b: replace(r, mikey=bytes(900))),
    "of another data type": ("unsupported", lambda r, b: replace(r, mikey=b"\x01\xff" * 450)),
    "truncated": ("malformed", _truncated),
    "surplus octet": ("malformed", lambda r, b: replace(r, mikey=r.mikey + b"\0")),
    "too long": ("malformed", lambda r, b: replace(r, mikey=r.mikey + bytes(5000))),
    "one bit of the signature": ("bad-signature", _bit),
    "signed by somebody else": ("bad-signature", _signed_by_mallory),
    "made by somebody else": (
        "wrong-signer",
        lambda r, b: replace(bang(signer=user(MALLORY))[1], call=r.call, from_uri=ALICE),
    ),
    "from no tel URI": ("identity", lambda r, b: replace(r, from_uri="sip:alice@example.com")),
    "our own, reflected": (
        "identity",
        lambda r, b: replace(
            bang(signer=material().user_keys(material().periods[0]), to_uri=GATEWAY)[1],
            call=r.call,
        ),
    ),
    "for somebody else": ("not-for-us", _to_somebody_else),
    "to somebody else": ("not-for-us", lambda r, b: replace(r, to_uri="tel:+7777;101")),
    "moved to another extension": ("binding", lambda r, b: replace(r, to_uri=f"{GATEWAY};900")),
    "another id": ("binding", lambda r, b: replace(r, id="AAAAAAAAAAAAAAAA")),
    "a weaker offer": ("binding", lambda r, b: replace(r, offer=OFFER[:1])),
    "DTMF taken away": ("binding", lambda r, b: replace(r, dtmf=None)),
    "too old": ("too-old", lambda r, b: replace(bang(now=NOW - 301)[1], call=r.call)),
    "too new": ("too-new", lambda r, b: replace(bang(now=NOW + 301)[1], call=r.call)),
    "encrypted to another key": ("decapsulation", _no_sakke_for_us),
    "without encryption": ("policy", _no_encryption),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_message_is_refused_with_its_word_and_disturbs_nothing(
    rig: Rig, peer: Peer, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    await peer.expect(AcceptCallReply, bang(call="other")[1])
    pids = rig.service.pool.pids()
    detail, change = BAD[name]
    built, good = bang(call="bad")
    request = change(good, built)
    caplog.clear()
    assert await peer.refused(request) == ("crypto", detail)
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert f"refused, {detail}: " in warnings[0]
    assert rig.service.counters[f"refused_{detail}"] == 1
    assert rig.media.calls() == 1
    assert rig.service.pool.pids() == pids
    await peer.expect(StatisticsReply, StatisticsRequest("other"))
    assert await peer.refused(StatisticsRequest("bad")) == ("unknown-call", "unknown-call")
    await peer.expect(AcceptCallReply, bang(call="bad")[1])


async def test_a_message_is_taken_once(rig: Rig, peer: Peer) -> None:
    _, request = bang()
    await peer.expect(AcceptCallReply, request)
    again = replace(request, call="c2")
    assert await peer.refused(again) == ("crypto", "replayed")
    # A second valid signature of the same octets (s and q - s) is the same message.
    q = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    prefix, signature = request.mikey[:-129], request.mikey[-129:]
    s = q - int.from_bytes(signature[32:64], "big")
    twin = prefix + signature[:32] + s.to_bytes(32, "big") + signature[64:]
    assert await peer.refused(replace(again, mikey=twin)) == ("crypto", "replayed")


async def test_of_two_equal_messages_at_once_one_is_taken(rig: Rig, peer: Peer) -> None:
    _, request = bang()
    futures = [peer.submit(replace(request, call=f"c{n}")) for n in range(4)]
    answers = [await future for future in futures]
    assert sum(isinstance(answer, AcceptCallReply) for answer in answers) == 1
    assert rig.media.calls() == 1


async def test_a_message_is_not_taken_again_after_a_restart(tmp_path: Path) -> None:
    _, request = bang()
    async with relay(tmp_path, keys=lab_keys()) as first:
        await (await first.peer()).expect(AcceptCallReply, request)
    async with relay(tmp_path) as second:
        peer = await second.peer()
        assert await peer.refused(request) == ("crypto", "replayed")
        await peer.expect(AcceptCallReply, bang(call="c2")[1])


async def test_a_forged_message_does_not_block_the_true_one(rig: Rig, peer: Peer) -> None:
    built, request = bang()
    forged = _bit(request, built)
    assert await peer.refused(forged) == ("crypto", "bad-signature")
    await peer.expect(AcceptCallReply, request)


async def test_without_keys_there_are_no_calls(tmp_path: Path) -> None:
    async with relay(tmp_path) as running:
        peer = await running.peer()
        assert await peer.refused(bang()[1]) == ("no-keys", "no-keys")


async def test_a_month_without_keys_is_told(tmp_path: Path) -> None:
    end = NOW + 15 * 86_400 + 12 * 3600 - 10
    december = user(ALICE, "2026-12")
    async with relay(tmp_path, keys=lab_keys(), now=end) as running:
        peer = await running.peer()
        request = bang(signer=december, now=end + 20)[1]
        assert await peer.refused(request) == ("no-keys", "no-period")
        await peer.expect(AcceptCallReply, bang(now=end)[1])


async def test_both_months_serve_around_midnight(tmp_path: Path) -> None:
    end = NOW + 15 * 86_400 + 12 * 3600 - 10
    async with relay(tmp_path, keys=material("2026-11-1", "2026-12-1"), now=end) as running:
        peer = await running.peer()
        await peer.expect(AcceptCallReply, bang(call="old", now=end)[1])
        new = bang(call="new", signer=user(ALICE, "2026-12"), now=end + 20)[1]
        await peer.expect(AcceptCallReply, new)
        running.clock.advance(3 * 86_400)
        late = bang(call="late", now=end)[1]
        assert await peer.refused(late) == ("crypto", "too-old")


async def test_no_g711_is_no_call(rig: Rig, peer: Peer) -> None:
    _, request = bang()
    for codec in ("opus/48000", "L16/16000"):
        assert await peer.refused(replace(request, codec=codec)) == ("codec", "codec")
    not_offered = replace(request, offer=OFFER[1:])
    assert await peer.refused(not_offered) == ("codec", "codec")


async def test_without_a_free_port_nothing_is_left_behind(tmp_path: Path) -> None:
    pair = free_pair()
    ports = MediaSettings(PortRange(21000, 29998), PortRange(pair, pair + 1))
    async with relay(tmp_path, keys=lab_keys(), settings=ports) as running:
        peer = await running.peer()
        await peer.expect(AcceptCallReply, bang(call="first")[1])
        assert await peer.refused(bang(call="second")[1]) == ("media", "media")
        assert running.media.calls() == 1
        await peer.expect(StatisticsReply, CloseCallRequest("first"))
        await peer.expect(AcceptCallReply, bang(call="second")[1])


async def test_a_call_name_is_used_once(rig: Rig, peer: Peer) -> None:
    await peer.expect(AcceptCallReply, bang()[1])
    assert await peer.refused(bang()[1]) == ("protocol", "control")
    assert await peer.refused(bang(call="")[1]) == ("protocol", "control")
    assert await peer.refused(bang(call="c" * 129)[1]) == ("protocol", "control")
    await peer.expect(StatisticsReply, StatisticsRequest("c1"))


async def test_requests_of_a_call_wait_for_its_opening(rig: Rig, peer: Peer) -> None:
    opened = peer.submit(bang()[1])
    leg = peer.submit(TelLegRequest("c1", TelLeg("127.0.0.1", 9, "ufrag", "p" * 24)))
    closed = peer.submit(CloseCallRequest("c1"))
    gone = peer.submit(StatisticsRequest("c1"))
    assert isinstance(await opened, AcceptCallReply)
    assert isinstance(await leg, Done)
    assert isinstance(await closed, StatisticsReply)
    assert await gone == await peer.ask(StatisticsRequest("c1"))
    assert rig.media.calls() == 0
