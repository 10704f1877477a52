# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts through a real relay: what opens, what is refused with which word, receipts."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from cig_common.control.messages import AcceptCallReply, CloseCallRequest, Done, StatisticsReply
from cig_common.control.texts import (
    CheckReceiptRequest,
    OpenTextReply,
    OpenTextRequest,
    SealTextReply,
    SignReceiptReply,
    SignReceiptRequest,
)
from cig_relay.keys.errors import NoKeysError
from mikey_sakke import eccsi, receiver
from mikey_sakke.identifiers import tel_identifier
from umsg.binding import receipt_text
from umsg.texts import MAX_AGE
from unit.cig_relay.control.harness import CALL_ID, Peer, Rig, bang, lab_keys, place, relay
from unit.cig_relay.control.text_peer import (
    CONTENT,
    MID,
    Made,
    made,
    opened,
    seal_request,
    sealed,
    taken,
)
from unit.cig_relay.keys.lab import ALICE, GATEWAY, MALLORY, NOW, domain, material, user

DAY = 86_400.0
DIGEST = bytes(range(32))


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with relay(tmp_path_factory.mktemp("relay"), keys=lab_keys()) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def peer(rig: Rig) -> AsyncIterator[Peer]:
    connected = await rig.peer()
    yield connected
    await connected.close()


async def test_a_text_is_opened_and_its_sender_told(rig: Rig, peer: Peer) -> None:
    before = rig.service.counters["texts_opened"]
    reply = await peer.expect(OpenTextReply, made().request())
    assert (reply.signer, reply.domain, reply.data) == (ALICE, "LAB", CONTENT)
    assert rig.service.counters["texts_opened"] == before + 1
    assert not rig.media.calls()


async def test_a_text_is_sealed_for_its_recipient(rig: Rig, peer: Peer) -> None:
    before = rig.service.counters["texts_sealed"]
    envelope, octets = await sealed(peer, CONTENT, 1000)
    assert len(octets) == len(CONTENT) + 16
    assert taken(envelope, octets, keys=user(ALICE), now=NOW) == CONTENT
    assert rig.service.counters["texts_sealed"] == before + 1


async def test_any_pieces_do(peer: Peer) -> None:
    for length in (0, 1, 15, 16, 17, 100):
        content = bytes(range(length))
        for stride in (1, 16, 50):
            assert await opened(peer, made(content), stride) == content
            envelope, octets = await sealed(peer, content, stride)
            assert taken(envelope, octets, keys=user(ALICE), now=NOW) == content


async def test_a_text_that_was_opened_can_be_opened_again(tmp_path: Path) -> None:
    text = made()
    async with relay(tmp_path, keys=lab_keys()) as first:
        peer = await first.peer()
        for _ in range(2):
            assert (await peer.expect(OpenTextReply, text.request())).data == CONTENT
    async with relay(tmp_path) as second:
        peer = await second.peer()
        assert (await peer.expect(OpenTextReply, text.request())).data == CONTENT


def _signed_by_mallory(text: Made) -> OpenTextRequest:
    prefix = text.built.message[: text.built.signed_prefix_len]
    return replace(text.request(), mikey=prefix + user(MALLORY).signer.sign(prefix))


def _altered(text: Made, octet: int) -> OpenTextRequest:
    octets = bytearray(text.sealed)
    octets[octet] ^= 1
    return replace(text.request(), data=bytes(octets))


BAD: dict[str, tuple[str, Callable[[Made], OpenTextRequest]]] = {
    "empty": ("malformed", lambda t: replace(t.request(), mikey=b"")),
    "zeros": ("unsupported", lambda t: replace(t.request(), mikey=bytes(900))),
    "truncated": ("malformed", lambda t: replace(t.request(), mikey=t.built.message[:-1])),
    "signed by somebody else": ("bad-signature", _signed_by_mallory),
    "made by somebody else": (
        "wrong-signer",
        lambda t: replace(made(signer=user(MALLORY)).request(), from_uri=ALICE),
    ),
    "from no tel URI": ("identity", lambda t: replace(t.request(), from_uri="sip:a@example.com")),
    "our own, reflected": (
        "identity",
        lambda t: made(
            signer=material().user_keys(material().periods[0]), to_uri=GATEWAY
        ).request(),
    ),
    "for somebody else": ("not-for-us", lambda t: made(to_uri="tel:+7777").request()),
    "to somebody else": ("not-for-us", lambda t: replace(t.request(), to_uri="tel:+7777;101")),
    "moved to another extension": (
        "binding",
        lambda t: replace(t.request(), to_uri=f"{GATEWAY};900"),
    ),
    "from another extension": ("binding", lambda t: replace(t.request(), from_uri=f"{ALICE};1")),
    "another mid": ("binding", lambda t: replace(t.request(), mid=CALL_ID)),
    "of a call": ("binding", lambda t: replace(t.request(), mikey=bang()[1].mikey)),
    "too old": ("too-old", lambda t: made(now=NOW - MAX_AGE - 1).request()),
    "too new": ("too-new", lambda t: made(now=NOW + 301).request()),
    "altered in its content": ("content", lambda t: _altered(t, 0)),
    "altered in its tag": ("content", lambda t: _altered(t, -1)),
    "cut": ("content", lambda t: replace(t.request(), data=t.sealed[:-1])),
    "shorter than a tag": ("content", lambda t: replace(t.request(), data=t.sealed[:15])),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_text_is_refused_with_its_word_and_leaves_nothing(
    rig: Rig, peer: Peer, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    detail, change = BAD[name]
    text = made()
    caplog.clear()
    assert await peer.refused(change(text)) == ("crypto", detail)
    (warning,) = (r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)
    assert f"refused, {detail}: " in warning
    assert warning.startswith("text ")
    assert "morning" not in caplog.text
    (session,) = rig.server._sessions
    assert not len(session.texts)
    assert (await peer.expect(OpenTextReply, text.request())).data == CONTENT


async def test_a_text_s_message_makes_no_call(peer: Peer) -> None:
    _, request = bang(call="call")
    text = made(to_uri=request.to_uri)
    assert await peer.refused(replace(request, mikey=text.built.message)) == ("crypto", "binding")
    await peer.expect(AcceptCallReply, request)
    await peer.expect(StatisticsReply, CloseCallRequest("call"))


async def test_a_text_may_be_old_as_a_call_may_not(peer: Peer) -> None:
    for age in (301.0, 3 * DAY, MAX_AGE - 1):
        assert await opened(peer, made(now=NOW - age), 1000) == CONTENT
        assert await peer.refused(bang(now=NOW - age)[1]) == ("crypto", "too-old")


def _utc(month: int, day: int, hour: int = 0) -> float:
    return datetime(2026, month, day, hour, tzinfo=UTC).timestamp()


async def test_last_month_s_keys_serve_texts_for_eight_days(tmp_path: Path) -> None:
    now = _utc(12, 7, 23)
    sent = _utc(11, 30, 23) + 60
    text = made(now=sent)
    async with relay(tmp_path, keys=material("2026-11-1", "2026-12-1"), now=now) as rig:
        peer = await rig.peer()
        assert await opened(peer, text, 1000) == CONTENT
        sig = user(ALICE).signer.sign(
            receipt_text(mid=MID, status="delivered", content_digest=DIGEST)
        )
        check = CheckReceiptRequest(MID, "delivered", DIGEST, ALICE, "2026-11-1", sig)
        rig.clock.advance(DAY)
        assert await peer.refused(text.request()) == ("crypto", "too-old")
        await peer.expect(Done, check)
        rig.clock.advance(DAY)
        assert await peer.refused(check) == ("crypto", "no-period")


async def test_missing_keys_are_no_refusal(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig:
        peer = await rig.peer()
        for request in (
            made().request(),
            seal_request(),
            SignReceiptRequest(MID, "delivered", DIGEST),
        ):
            assert await peer.refused(request) == ("no-keys", "no-keys")
    december = material("2026-12-1")
    async with relay(tmp_path, keys=december, now=_utc(12, 5)) as rig:
        peer = await rig.peer()
        old = made(now=_utc(11, 30)).request()
        assert await peer.refused(old) == ("no-keys", "no-period")
        check = CheckReceiptRequest(MID, "delivered", DIGEST, ALICE, "2026-11-1", bytes(129))
        assert await peer.refused(check) == ("no-keys", "no-period")
        rig.clock.advance(30 * DAY)
        for request in (seal_request(), SignReceiptRequest(MID, "delivered", DIGEST)):
            assert await peer.refused(request) == ("no-keys", "no-period")


async def test_engines_that_lack_the_keys_refuse_nothing_for_good(rig: Rig) -> None:
    await rig.service.pool.load(material("2026-10-1"))
    with pytest.raises(NoKeysError):
        await rig.service.texts.open(made().request())
    with pytest.raises(NoKeysError):
        await rig.service.texts.seal(seal_request())
    with pytest.raises(NoKeysError):
        await rig.service.texts.sign_receipt(SignReceiptRequest(MID, "refused", DIGEST))
    await rig.service.pool.load(lab_keys())
    (await rig.service.texts.open(made().request())).key.wipe()


async def test_no_key_shows(rig: Rig) -> None:
    opened_text = await rig.service.texts.open(made().request())
    key, _ = await rig.service.texts.seal(seal_request())
    for secret in (opened_text.key, key):
        assert secret.reveal().hex() not in f"{opened_text!r} {key!r}"
        assert repr(secret.reveal()) not in f"{opened_text!r} {key!r}"


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"from_uri": ALICE}, ("crypto", "wrong-signer")),
        ({"from_uri": "sip:a@example.com"}, ("crypto", "identity")),
        ({"to_uri": "sip:a@example.com"}, ("crypto", "identity")),
        ({"mid": "short"}, ("protocol", "control")),
    ],
)
async def test_what_cannot_be_sealed(
    peer: Peer, change: dict[str, str], answer: tuple[str, str]
) -> None:
    assert await peer.refused(replace(seal_request(), **change)) == answer  # type: ignore[arg-type]


async def test_times_and_csb_ids_of_texts_and_calls_never_repeat(rig: Rig, peer: Peer) -> None:
    messages = []
    for number in range(3):
        reply = await peer.expect(SealTextReply, seal_request(f"s{number}"))
        messages.append(reply.mikey)
        _, message = await rig.service.crypto.place(place(call=f"p{number}"))
        messages.append(message)
    parsed = [receiver.precheck(message, now=NOW, own_uri=ALICE) for message in messages]
    assert len({one.t for one in parsed}) == len(messages)
    assert len({one.message.header.csb_id for one in parsed}) == len(messages)


@pytest.mark.parametrize("status", ["delivered", "refused"])
async def test_a_receipt_is_signed_for_whom_the_text_was_for(peer: Peer, status: str) -> None:
    reply = await peer.expect(SignReceiptReply, SignReceiptRequest(MID, status, DIGEST))
    assert reply.period == "2026-11-1"
    text = receipt_text(mid=MID, status=status, content_digest=DIGEST)
    identifier = tel_identifier(GATEWAY, "2026-11")
    eccsi.verify(reply.sig, text, identifier=identifier, kpak=domain().kpak)


@pytest.mark.parametrize(
    "change",
    [
        {"mid": MID[:-1]},
        {"mid": MID + "d"},
        {"status": "elivered"},
        {"status": ""},
        {"content_digest": DIGEST[:-1]},
    ],
)
async def test_the_relay_signs_receipts_only(peer: Peer, change: dict[str, str]) -> None:
    good = SignReceiptRequest(MID, "delivered", DIGEST)
    odd = replace(good, **change)  # type: ignore[arg-type]
    assert await peer.refused(odd) == ("protocol", "control")


def _check(**change: object) -> CheckReceiptRequest:
    text = receipt_text(mid=MID, status="delivered", content_digest=DIGEST)
    sig = user(ALICE).signer.sign(text)
    good = CheckReceiptRequest(MID, "delivered", DIGEST, f"{ALICE};7", "2026-11-1", sig)
    return replace(good, **change)  # type: ignore[arg-type]


async def test_a_receipt_by_the_recipient_is_good(peer: Peer) -> None:
    await peer.expect(Done, _check())
    # Which revision of her month she signed with is hers to know.
    await peer.expect(Done, _check(period="2026-11-7"))


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"status": "refused"}, ("crypto", "bad-signature")),
        ({"mid": CALL_ID}, ("crypto", "bad-signature")),
        ({"content_digest": bytes(32)}, ("crypto", "bad-signature")),
        ({"signer": MALLORY}, ("crypto", "bad-signature")),
        ({"sig": bytes(129)}, ("crypto", "bad-signature")),
        ({"sig": b""}, ("crypto", "bad-signature")),
        ({"signer": "sip:a@example.com"}, ("crypto", "identity")),
        ({"period": "2026-09-1"}, ("crypto", "no-period")),
        ({"period": "2027-01-1"}, ("crypto", "no-period")),
        ({"period": "2026-11"}, ("protocol", "control")),
        ({"status": "lost"}, ("protocol", "control")),
    ],
)
async def test_a_wrong_receipt_is_refused(
    peer: Peer, change: dict[str, object], answer: tuple[str, str]
) -> None:
    assert await peer.refused(_check(**change)) == answer


def _short(text: Made) -> OpenTextRequest:
    prefix = text.built.message[: text.built.signed_prefix_len]
    return replace(text.request(), mikey=prefix + user(ALICE).signer.sign(prefix[:-2]))


async def test_short_signatures_as_the_option_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    request = _short(made())
    async with relay(tmp_path, keys=lab_keys()) as rig:
        assert await (await rig.peer()).refused(request) == ("crypto", "bad-signature")
    async with relay(tmp_path, accept_short=True) as rig:
        peer = await rig.peer()
        caplog.clear()
        assert (await peer.expect(OpenTextReply, request)).data == CONTENT
        assert "leaves out the SIGN header" in caplog.text
        assert rig.service.counters["signatures_short"] == 1
