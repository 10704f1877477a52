# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole texts through a real relay: the server's own client, the control socket, real engines."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cig_common.control.messages import HelloReply
from cig_common.control.record import Record
from cig_common.errors import CryptoError, RelayUnavailableError
from cig_server.relay.client import RelayClient
from cig_server.texts.crypto import TextCrypto
from cig_server.texts.model import ContentRefusedError
from mikey_sakke import initiator, receiver
from umsg.binding import TEXT_INFO, receipt_text, text_associated_data, text_digest
from umsg.messages import Receipt, ReceiptStatus
from umsg.sealing import TextOpener, TextSealer
from umsg.texts import MAX_PART, MAX_SEALED, Envelope
from unit.cig_relay.control.harness import relay
from unit.cig_relay.keys.lab import ALICE, GATEWAY, NOW, material, user

MID = "SxU+cQAE66+12m5j"


class _Listener:
    def __init__(self) -> None:
        self.connected = asyncio.Event()

    def relay_connected(self, hello: HelloReply) -> None:
        self.connected.set()

    def relay_lost(self) -> None:
        self.connected.clear()

    def relay_event(self, event: Record) -> None:
        pass


@asynccontextmanager
async def _crypto(folder: Path) -> AsyncIterator[TextCrypto]:
    async with relay(folder, keys=material()) as rig:
        listener = _Listener()
        client = RelayClient(rig.path, listener)
        client.start()
        try:
            await asyncio.wait_for(listener.connected.wait(), 10)
            yield TextCrypto(client)
        finally:
            await client.stop()


def _from_alice(content: bytes) -> tuple[Envelope, bytes]:
    named = {"mid": MID, "from_uri": ALICE, "to_uri": f"{GATEWAY};101"}
    built = initiator.build(
        user(ALICE), to_uri=GATEWAY, ssrc=7, binding=text_digest(**named), now=NOW
    )
    sealer = TextSealer(
        built.keys.answer_key(TEXT_INFO).reveal()[:16], text_associated_data(**named)
    )
    return Envelope(mikey=built.message, **named), sealer.update(content) + sealer.finish()


def _opened_by_alice(envelope: Envelope, sealed: bytes) -> bytes:
    parsed = receiver.precheck(envelope.mikey, now=NOW, own_uri=ALICE, initiator=GATEWAY)
    alice = user(ALICE)
    session = receiver.open(receiver.verify(parsed, verifier=alice.verifier), alice)
    named = {"mid": envelope.mid, "from_uri": envelope.from_uri, "to_uri": envelope.to_uri}
    opener = TextOpener(session.answer_key(TEXT_INFO).reveal()[:16], text_associated_data(**named))
    content = opener.update(sealed)
    opener.finish()
    return content


@pytest.mark.parametrize("length", [0, 1, MAX_PART - 16, MAX_PART, 3 * MAX_PART + 1])
async def test_both_ways(tmp_path: Path, length: int) -> None:
    content = os.urandom(length)
    async with _crypto(tmp_path) as crypto:
        envelope, sealed = _from_alice(content)
        out = io.BytesIO()
        opened = await crypto.open(envelope, io.BytesIO(sealed), out)
        assert (opened.signer, out.getvalue()) == (ALICE, content)
        out = io.BytesIO()
        pieces = (content[start : start + 1000] for start in range(0, length, 1000))
        made = await crypto.seal(MID, f"{GATEWAY};101", ALICE, pieces, out)
        assert made.length == len(out.getvalue()) == length + 16
        assert made.digest == hashlib.sha256(out.getvalue()).digest()
        assert _opened_by_alice(made.envelope, out.getvalue()) == content


async def test_what_is_forged_leaves_nothing(tmp_path: Path) -> None:
    async with _crypto(tmp_path) as crypto:
        envelope, sealed = _from_alice(bytes(3 * MAX_PART))
        out = io.BytesIO(b"before")
        out.seek(6)
        with pytest.raises(CryptoError, match="content") as caught:
            await crypto.open(envelope, io.BytesIO(sealed[:-1] + b"\0"), out)
        assert not caught.value.retryable
        assert out.getvalue() == b"before"
        with pytest.raises(CryptoError):
            await crypto.open(replace(envelope, to_uri=GATEWAY), io.BytesIO(sealed), out)


async def test_the_longest_content(tmp_path: Path) -> None:
    async with _crypto(tmp_path) as crypto:
        piece = bytes(1 << 16)
        whole = (MAX_SEALED >> 16) - 1
        out = io.BytesIO()
        most = [*[piece] * whole, piece[:-16]]
        assert (await crypto.seal(MID, GATEWAY, ALICE, most, out)).length == MAX_SEALED
        with pytest.raises(ContentRefusedError) as caught:
            await crypto.seal(MID, GATEWAY, ALICE, [*most, b"x"], io.BytesIO())
        assert caught.value.word == "too-large"


async def test_receipts(tmp_path: Path) -> None:
    async with _crypto(tmp_path) as crypto:
        digest = bytes(range(32))
        period, sig = await crypto.sign_receipt(MID, "refused", digest)
        text = receipt_text(mid=MID, status="refused", content_digest=digest)
        user(GATEWAY).verifier.verify(sig, text, identifier=user(GATEWAY).identifier)
        theirs = Receipt(
            mid=MID, status=ReceiptStatus.REFUSED, period=period, sig=user(ALICE).signer.sign(text)
        )
        await crypto.check_receipt(theirs, content_digest=digest, signer=ALICE)
        with pytest.raises(CryptoError):
            await crypto.check_receipt(theirs, content_digest=bytes(32), signer=ALICE)


async def test_without_a_relay() -> None:
    class _Nobody(_Listener):
        pass

    crypto = TextCrypto(RelayClient(Path("/nonexistent/relay.sock"), _Nobody()))
    with pytest.raises(RelayUnavailableError):
        await crypto.seal(MID, GATEWAY, ALICE, [b"x"], io.BytesIO())
