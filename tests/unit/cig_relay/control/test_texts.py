# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts through the control socket and real engines: sealed, opened, receipted, refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cig_common.control.messages import Done, ErrorCode, ErrorReply
from cig_common.control.texts import (
    CheckReceiptRequest,
    CloseTextRequest,
    OpenTextReply,
    OpenTextRequest,
    SealTextReply,
    SealTextRequest,
    SignReceiptReply,
    SignReceiptRequest,
    TextDataReply,
    TextDataRequest,
)
from cig_relay.control.text_session import IDLE_SECONDS, MOST
from mikey_sakke import initiator, receiver
from umsg.binding import TEXT_INFO, receipt_text, text_associated_data, text_digest
from umsg.sealing import TextOpener, TextSealer
from unit.cig_relay.control.harness import Peer, bang, relay
from unit.cig_relay.keys.lab import ALICE, GATEWAY, NOW, material, user

MID = "SxU+cQAE66+12m5j"
DAY = 86_400.0
CONTENT = b"Content-Type: text/plain\n\nGood morning"


def _text(*, now: float = NOW, to_uri: str = f"{GATEWAY};101") -> tuple[OpenTextRequest, bytes]:
    """Make a good text of Alice's; gives the request that opens all of it, and the sealed one."""
    named = {"mid": MID, "from_uri": ALICE, "to_uri": to_uri}
    built = initiator.build(
        user(ALICE), to_uri=to_uri, ssrc=7, binding=text_digest(**named), now=now
    )
    key = built.keys.answer_key(TEXT_INFO).reveal()[:16]
    sealer = TextSealer(key, text_associated_data(**named))
    sealed = sealer.update(CONTENT) + sealer.finish()
    return OpenTextRequest("t1", MID, ALICE, to_uri, built.message, sealed, True), sealed


async def _refused(peer: Peer, request: OpenTextRequest) -> str:
    reply = await peer.ask(request)
    assert isinstance(reply, ErrorReply), reply
    assert reply.code is ErrorCode.CRYPTO
    return reply.detail


async def test_a_text_is_opened_at_once_and_in_pieces(tmp_path: Path) -> None:
    async with relay(tmp_path, keys=material()) as rig:
        peer = await Peer.connect(rig.path)
        request, sealed = _text()
        reply = await peer.expect(OpenTextReply, request)
        assert (reply.signer, reply.data) == (ALICE, CONTENT)
        assert reply.domain == rig.service.holder.require().domain
        # Once more: what was opened and not yet safe has to be openable again.
        first = replace(request, text="t2", data=sealed[:20], last=False)
        opened = (await peer.expect(OpenTextReply, first)).data
        for start in range(20, len(sealed), 7):
            piece = TextDataRequest("t2", sealed[start : start + 7], start + 7 >= len(sealed))
            opened += (await peer.expect(TextDataReply, piece)).data
        assert opened == CONTENT


async def test_a_text_may_be_a_week_old_and_of_the_month_before(tmp_path: Path) -> None:
    async with relay(tmp_path, keys=material()) as rig:
        peer = await Peer.connect(rig.path)
        request, _ = _text()
        rig.clock.advance(7 * DAY - 1)
        await peer.expect(OpenTextReply, request)
        rig.clock.advance(2)
        assert await _refused(peer, request) == "too-old"
        early, _ = _text(now=rig.clock.utc() + 301)
        assert await _refused(peer, early) == "too-new"


@pytest.mark.parametrize(
    ("changed", "detail"),
    [
        ({"mid": "SxU+cQAE66+12m5k"}, "binding"),
        ({"to_uri": f"{GATEWAY};102"}, "binding"),
        ({"to_uri": "tel:+9999"}, "not-for-us"),
        ({"from_uri": "tel:+461"}, "wrong-signer"),
        ({"mikey": b"\1" * 300}, "unsupported"),
    ],
)
async def test_a_forged_text_is_refused(
    tmp_path: Path, changed: dict[str, object], detail: str
) -> None:
    async with relay(tmp_path, keys=material()) as rig:
        peer = await Peer.connect(rig.path)
        request, _ = _text()
        assert await _refused(peer, replace(request, **changed)) == detail  # type: ignore[arg-type]
        signed = bytearray(request.mikey)
        signed[-1] ^= 1
        assert await _refused(peer, replace(request, mikey=bytes(signed))) == "bad-signature"


async def test_an_altered_content_is_refused_at_its_end(tmp_path: Path) -> None:
    async with relay(tmp_path, keys=material()) as rig:
        peer = await Peer.connect(rig.path)
        request, sealed = _text()
        altered = bytearray(sealed)
        altered[3] ^= 1
        assert await _refused(peer, replace(request, data=bytes(altered))) == "content"
        assert await _refused(peer, replace(request, data=sealed[:-1])) == "content"
        reply = await peer.ask(TextDataRequest("t1", b"", True))
        assert isinstance(reply, ErrorReply)
        assert reply.code is ErrorCode.PROTOCOL


async def test_the_message_of_a_call_opens_no_text_and_the_other_way_round(tmp_path: Path) -> None:
    async with relay(tmp_path, keys=material()) as rig:
        peer = await Peer.connect(rig.path)
        _, call = bang()
        request, _ = _text()
        assert await _refused(peer, replace(request, mikey=call.mikey)) == "binding"
        assert await _refused(peer, replace(call, mikey=request.mikey)) == "binding"  # type: ignore[arg-type]


async def test_without_keys_a_text_may_be_tried_again(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig:
        peer = await Peer.connect(rig.path)
        reply = await peer.ask(_text()[0])
        assert isinstance(reply, ErrorReply)
        assert reply.code is ErrorCode.NO_KEYS


async def test_a_text_is_sealed_for_its_recipient(tmp_path: Path) -> None:
    async with relay(tmp_path, keys=material()) as rig:
        peer = await Peer.connect(rig.path)
        named = {"mid": MID, "from_uri": f"{GATEWAY};101", "to_uri": ALICE}
        first = await peer.expect(
            SealTextReply, SealTextRequest("s1", **named, data=CONTENT[:10], last=False)
        )
        rest = await peer.expect(TextDataReply, TextDataRequest("s1", CONTENT[10:], True))
        parsed = receiver.precheck(first.mikey, now=NOW, own_uri=ALICE, initiator=GATEWAY)
        assert parsed.binding == text_digest(**named)
        alice = user(ALICE)
        session = receiver.open(receiver.verify(parsed, verifier=alice.verifier), alice)
        key = session.answer_key(TEXT_INFO).reveal()[:16]
        opener = TextOpener(key, text_associated_data(**named))
        assert opener.update(first.data + rest.data) == CONTENT
        opener.finish()


async def test_only_our_own_texts_are_sealed(tmp_path: Path) -> None:
    async with relay(tmp_path, keys=material()) as rig:
        peer = await Peer.connect(rig.path)
        reply = await peer.ask(SealTextRequest("s1", MID, "tel:+461", ALICE, b"x", True))
        assert isinstance(reply, ErrorReply)
        assert reply.detail == "wrong-signer"


async def test_receipts_are_signed_and_checked(tmp_path: Path) -> None:
    async with relay(tmp_path, keys=material()) as rig:
        peer = await Peer.connect(rig.path)
        digest = bytes(range(32))
        ours = await peer.expect(SignReceiptReply, SignReceiptRequest(MID, "delivered", digest))
        text = receipt_text(mid=MID, status="delivered", content_digest=digest)
        alice = user(ALICE)
        own = user(GATEWAY)
        alice.verifier.verify(ours.sig, text, identifier=own.identifier)
        sig = alice.signer.sign(text)
        check = CheckReceiptRequest(MID, "delivered", digest, f"{ALICE};1", ours.period, sig)
        await peer.expect(Done, check)
        for wrong in (
            replace(check, status="refused"),
            replace(check, content_digest=bytes(32)),
            replace(check, mid="SxU+cQAE66+12m5k"),
            replace(check, signer=GATEWAY),
            replace(check, period="2020-01-1"),
        ):
            reply = await peer.ask(wrong)
            assert isinstance(reply, ErrorReply), wrong
            assert reply.code is ErrorCode.CRYPTO
        for impossible in (replace(check, status="auth"), replace(check, content_digest=b"")):
            reply = await peer.ask(impossible)
            assert isinstance(reply, ErrorReply)
            assert reply.code is ErrorCode.PROTOCOL


async def test_there_are_not_too_many_at_once_and_idle_ones_make_room(tmp_path: Path) -> None:
    async with relay(tmp_path, keys=material()) as rig:
        peer = await Peer.connect(rig.path)
        request, sealed = _text()
        begun = replace(request, data=sealed[:4], last=False)
        for number in range(MOST):
            await peer.expect(OpenTextReply, replace(begun, text=f"n{number}"))
        reply = await peer.ask(replace(begun, text="more"))
        assert isinstance(reply, ErrorReply)
        assert reply.code is ErrorCode.OVERLOAD
        again = await peer.ask(replace(begun, text="n0"))
        assert isinstance(again, ErrorReply)
        await peer.expect(Done, CloseTextRequest("n0"))
        await peer.expect(OpenTextReply, replace(begun, text="more"))
        rig.clock.advance(IDLE_SECONDS + 1)
        await peer.expect(OpenTextReply, replace(begun, text="much more"))
        gone = await peer.ask(TextDataRequest("n1", sealed[4:], True))
        assert isinstance(gone, ErrorReply)
