# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's texts through a real relay with real engines: both ways, and every way to fail."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import pytest
import pytest_asyncio

from cig_common.control.messages import HelloReply
from cig_common.control.record import Record
from cig_common.errors import CigError, CryptoError, NoKeysForPeerError, RelayUnavailableError
from cig_server.relay.client import RelayClient
from cig_server.texts.crypto import MAX_CONTENT, Opened, Sealed, TextCrypto
from cig_server.texts.model import ContentRefusedError, StorageError
from umsg.binding import receipt_text
from umsg.messages import Receipt, ReceiptStatus
from umsg.texts import MAX_PART, MAX_SEALED
from unit.cig_relay.control.harness import Rig, lab_keys, relay
from unit.cig_relay.control.text_peer import CONTENT, MID, Made, made, taken
from unit.cig_relay.keys.lab import ALICE, GATEWAY, MALLORY, NOW, user

pytestmark = pytest.mark.asyncio(loop_scope="module")

FROM, TO = f"{GATEWAY};101", f"{ALICE};7"
BEFORE = b"what was there before"


class Listener:
    def __init__(self) -> None:
        self.connected = asyncio.Event()

    def relay_connected(self, hello: HelloReply) -> None:
        self.connected.set()

    def relay_lost(self) -> None:
        self.connected.clear()

    def relay_event(self, event: Record) -> None:
        pass


@dataclass
class Setup:
    rig: Rig
    client: RelayClient
    crypto: TextCrypto

    def under_way(self) -> int:
        return sum(len(session.texts) for session in self.rig.server._sessions)

    async def nothing_left(self, out: BinaryIO) -> None:
        """Nothing was written that counts, and the relay has forgotten the text."""
        assert out.tell() == len(BEFORE)
        out.seek(0)
        assert out.read() == BEFORE
        async with asyncio.timeout(5):
            while self.crypto._closing:
                await asyncio.sleep(0)
        assert self.under_way() == 0


@asynccontextmanager
async def connected(rig: Rig) -> AsyncIterator[Setup]:
    listener = Listener()
    client = RelayClient(rig.path, listener)
    client.start()
    try:
        async with asyncio.timeout(10):
            await listener.connected.wait()
        yield Setup(rig, client, TextCrypto(client))
    finally:
        await client.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def setup(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Setup]:
    folder = tmp_path_factory.mktemp("relay")
    async with relay(folder, keys=lab_keys()) as rig, connected(rig) as running:
        yield running


def spool(content: bytes = BEFORE) -> io.BytesIO:
    file = io.BytesIO(content)
    file.seek(0, io.SEEK_END)
    return file


async def open_(setup: Setup, text: Made) -> tuple[Opened, bytes]:
    source, out = io.BytesIO(b"skipped" + text.sealed), spool()
    source.seek(len(b"skipped"))
    opened = await setup.crypto.open(text.envelope, source, out)
    return opened, out.getvalue().removeprefix(BEFORE)


async def seal(setup: Setup, pieces: list[bytes]) -> tuple[Sealed, bytes]:
    out = spool()
    sealed = await setup.crypto.seal(MID, FROM, TO, pieces, out)
    return sealed, out.getvalue().removeprefix(BEFORE)


@pytest.mark.parametrize("length", [0, 1, MAX_PART - 16, MAX_PART, MAX_PART + 1, 5 * MAX_PART])
async def test_a_text_passes_both_ways(setup: Setup, length: int) -> None:
    content = bytes(n % 251 for n in range(length))
    assert await open_(setup, made(content)) == (Opened(ALICE, "LAB"), content)
    sealed, octets = await seal(setup, [content[: length // 3], b"", content[length // 3 :]])
    assert (sealed.digest, sealed.length) == (hashlib.sha256(octets).digest(), length + 16)
    assert len(octets) == sealed.length
    named = (sealed.envelope.mid, sealed.envelope.from_uri, sealed.envelope.to_uri)
    assert named == (MID, FROM, TO)
    assert taken(sealed.envelope, octets, keys=user(ALICE), now=NOW) == content
    assert setup.under_way() == 0


async def test_the_largest_text_is_sealed_and_a_larger_one_refused(setup: Setup) -> None:
    sealed, octets = await seal(setup, [bytes(MAX_CONTENT)])
    assert sealed.length == len(octets) == MAX_SEALED
    pieces = ([bytes(MAX_CONTENT + 1)], [b"0"] * 3 + [bytes(MAX_CONTENT - 2)])
    for piece in pieces:
        out = spool()
        with pytest.raises(ContentRefusedError) as caught:
            await setup.crypto.seal(MID, FROM, TO, piece, out)
        assert caught.value.word == "too-large"
        await setup.nothing_left(out)


async def test_many_at_once(setup: Setup) -> None:
    contents = [bytes([n]) * (n * 7_000) for n in range(20)]
    opening = (open_(setup, made(content)) for content in contents)
    sealing = (seal(setup, [content]) for content in contents)
    opened = await asyncio.gather(*opening)
    assert [content for _, content in opened] == contents
    for content, (sealed, octets) in zip(contents, await asyncio.gather(*sealing), strict=True):
        assert taken(sealed.envelope, octets, keys=user(ALICE), now=NOW) == content


async def _refused(setup: Setup, text: Made) -> CigError:
    out = spool()
    with pytest.raises(CigError) as caught:
        await setup.crypto.open(text.envelope, io.BytesIO(text.sealed), out)
    await setup.nothing_left(out)
    return caught.value


async def test_what_is_not_authentic_leaves_nothing(setup: Setup) -> None:
    text = made(CONTENT * 3000)
    assert len(text.sealed) > 4 * MAX_PART
    for octet in (0, len(text.sealed) // 2, len(text.sealed) - 1):
        altered = bytearray(text.sealed)
        altered[octet] ^= 1
        error = await _refused(setup, replace(text, sealed=bytes(altered)))
        assert isinstance(error, CryptoError)
        assert not error.retryable
        assert "content" in str(error)
    for sealed in (b"", text.sealed[:MAX_PART], text.sealed[:-1], text.sealed + b"\0"):
        assert isinstance(await _refused(setup, replace(text, sealed=sealed)), CryptoError)
    forged = replace(text, envelope=replace(text.envelope, mikey=text.envelope.mikey[:-1] + b"\0"))
    assert "bad-signature" in str(await _refused(setup, forged))
    assert (await open_(setup, text))[1] == CONTENT * 3000


async def test_missing_keys_may_come(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig, connected(rig) as setup:
        error = await _refused(setup, made())
        assert isinstance(error, NoKeysForPeerError)
        assert error.retryable
        with pytest.raises(NoKeysForPeerError):
            await setup.crypto.sign_receipt(MID, ReceiptStatus.DELIVERED, bytes(32))


async def test_a_relay_that_goes_away_leaves_nothing(setup: Setup) -> None:
    def content() -> Iterator[bytes]:
        yield bytes(3 * MAX_PART)
        assert setup.client._writer is not None
        setup.client._writer.close()
        yield bytes(3 * MAX_PART)

    out = spool()
    with pytest.raises(RelayUnavailableError):
        await setup.crypto.seal(MID, FROM, TO, content(), out)
    assert out.getvalue() == BEFORE
    async with asyncio.timeout(10):
        while setup.under_way() or not setup.client.connected:
            await asyncio.sleep(0.01)
    assert (await open_(setup, made()))[1] == CONTENT


async def test_who_gives_up_leaves_nothing(setup: Setup) -> None:
    out = spool()
    sealing: asyncio.Task[Sealed]

    def content() -> Iterator[bytes]:
        yield bytes(3 * MAX_PART)
        sealing.cancel()
        yield bytes(3 * MAX_PART)

    sealing = asyncio.create_task(setup.crypto.seal(MID, FROM, TO, content(), out))
    with pytest.raises(asyncio.CancelledError):
        await sealing
    await setup.nothing_left(out)


class FullDisk(io.BytesIO):
    """Takes so many octets."""

    def __init__(self, room: int) -> None:
        super().__init__(BEFORE)
        self.seek(0, io.SEEK_END)
        self.room = room

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("room", [0, MAX_PART, 2 * MAX_PART])
async def test_a_full_disk_is_told_and_leaves_nothing(setup: Setup, room: int) -> None:
    text = made(bytes(3 * MAX_PART))
    opened, sealed = FullDisk(room), FullDisk(room)
    with pytest.raises(StorageError, match="No space left") as caught:
        await setup.crypto.open(text.envelope, io.BytesIO(text.sealed), opened)
    assert caught.value.retryable
    with pytest.raises(StorageError, match="No space left"):
        await setup.crypto.seal(MID, FROM, TO, [bytes(3 * MAX_PART)], sealed)
    await setup.nothing_left(opened)
    await setup.nothing_left(sealed)


async def test_a_content_that_cannot_be_read_is_told(setup: Setup) -> None:
    def content() -> Iterator[bytes]:
        yield bytes(2 * MAX_PART)
        raise OSError(errno.EIO, "Input/output error")

    out = spool()
    with pytest.raises(StorageError):
        await setup.crypto.seal(MID, FROM, TO, content(), out)
    await setup.nothing_left(out)


async def test_nobody_else_s_text_is_sealed(setup: Setup) -> None:
    out = spool()
    with pytest.raises(CryptoError, match="wrong-signer"):
        await setup.crypto.seal(MID, MALLORY, TO, [CONTENT], out)
    await setup.nothing_left(out)


async def test_receipts(setup: Setup) -> None:
    digest = bytes(range(32))
    signed = receipt_text(mid=MID, status="delivered", content_digest=digest)
    period, sig = await setup.crypto.sign_receipt(MID, ReceiptStatus.DELIVERED, digest)
    assert period == "2026-11-1"
    own = Receipt(mid=MID, status=ReceiptStatus.DELIVERED, period=period, sig=sig)
    await setup.crypto.check_receipt(own, content_digest=digest, signer=GATEWAY)
    theirs = replace(own, sig=user(ALICE).signer.sign(signed))
    await setup.crypto.check_receipt(theirs, content_digest=digest, signer=TO)
    wrong = (
        (theirs, digest, MALLORY),
        (theirs, bytes(32), TO),
        (own, digest, TO),
        (replace(theirs, status=ReceiptStatus.REFUSED), digest, TO),
    )
    for receipt, content_digest, signer in wrong:
        with pytest.raises(CryptoError) as caught:
            await setup.crypto.check_receipt(receipt, content_digest=content_digest, signer=signer)
        assert not caught.value.retryable
