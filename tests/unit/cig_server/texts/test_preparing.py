# SPDX-License-Identifier: GPL-3.0-or-later
"""From a message to a sealed row."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import BinaryIO

import pytest

from cig_common.clock import ManualClock
from cig_common.config import Mailbox, loads
from cig_common.errors import CigError, CryptoError, NoKeysForPeerError
from cig_common.texts.content import Held, TextContent
from cig_server.texts import outbox_store, preparing
from cig_server.texts.crypto import Sealed
from cig_server.texts.model import ContentRefusedError, Origin, StorageError
from cig_server.texts.outbox_store import IN_ROW, Row, RowState
from cig_server.texts.preparing import ENGINES, MAX_ACCEPTED, OwnFaultError, Preparing
from cig_server.texts.read_mailbox import Candidate, NotYetError, scan
from cig_server.texts.sealed_files import SealedFiles
from cig_server.texts.store import TextStore
from unit.cig_server.texts.sendings import (
    CONFIG,
    OWN,
    PHONE,
    SECRET,
    SealingRelay,
    message,
    opened,
    text_content,
)
from unit.cig_server.texts.stand_ins import make_mailbox

MID = "mid0123456789abc"


class Relay(SealingRelay):
    """Calls `meanwhile` in the midst of each sealing."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()

    def meanwhile(self) -> None:
        pass

    async def _seal(
        self, mid: str, from_uri: str, to_uri: str, content: Iterable[bytes], out: BinaryIO
    ) -> Sealed:
        sealed = await super()._seal(mid, from_uri, to_uri, content, out)
        self.meanwhile()
        await self.gate.wait()
        return sealed


class Bench:
    def __init__(self, folder: Path) -> None:
        self.state, self.box = folder / "state", make_mailbox(folder / "a")
        self.state.mkdir()
        self.clock = ManualClock()
        self.relay = Relay()
        self.store = TextStore(self.state, [outbox_store.SCHEMA])
        self.files = SealedFiles(self.state)
        self.preparing = Preparing(
            store=self.store,
            files=self.files,
            crypto=self.relay,
            clock=self.clock,
            random_bytes=secrets.token_bytes,
            folder=self.state,
        )

    @property
    def mailbox(self) -> Mailbox:
        return loads(CONFIG.format(a=self.box, b=self.box.with_name("b"))).mailboxes[0]

    def put(self, octets: bytes, name: str = "one") -> Candidate:
        path = self.box / "new" / name
        path.write_bytes(octets)
        when = self.clock.utc() - 100
        os.utime(path, (when, when))
        found = scan(str(self.box), now=self.clock.utc()).candidates
        return next(candidate for candidate in found if candidate.name == name)

    async def prepare(self, candidate: Candidate, mid: str = MID) -> Row:
        return await self.preparing.from_mailbox(self.mailbox, candidate, OWN, mid)

    async def kept(self, mid: str = MID) -> Row | None:
        return await self.store.run(lambda connection: outbox_store.find(connection, mid))

    def in_files(self) -> list[str]:
        return [path.name for path in (self.state / "out").iterdir()]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    await bench.store.open()
    bench.files.prepare([])
    yield bench
    await bench.store.close()


async def test_a_message_becomes_a_row_on_disk(bench: Bench) -> None:
    candidate = bench.put(message("hello"))
    row = await bench.prepare(candidate)
    assert await bench.kept() == row
    assert (row.from_uri, row.to_uri, row.source) == (f"{OWN};101", PHONE, candidate)
    assert (row.state, row.automatic, row.written) == (RowState.SEALED, False, 1_794_999_600)
    assert row.since == bench.clock.utc() - 100
    whole = b"".join(bench.preparing.pieces(row))
    assert (len(whole), hashlib.sha256(whole).digest()) == (row.length, row.digest)
    assert opened(row.envelope, whole).strip() == "hello"
    assert bench.in_files() == []


async def test_a_long_content_is_in_a_file(bench: Bench) -> None:
    lines = "hello\n" * (IN_ROW // 5)
    row = await bench.prepare(bench.put(message(lines)))
    assert row.sealed is None
    assert bench.in_files() == [MID]
    whole = b"".join(bench.preparing.pieces(row))
    assert opened(row.envelope, whole).strip() == lines.strip()


async def test_without_a_date_it_was_written_when_its_file_was(bench: Bench) -> None:
    octets = message().replace(b"Date: 18 Nov 2026 11:00:00 +0000\n", b"")
    row = await bench.prepare(bench.put(octets))
    assert row.written == pytest.approx(bench.clock.utc() - 100, abs=1)


async def test_an_automatic_message_is_known_as_such(bench: Bench) -> None:
    row = await bench.prepare(bench.put(message(more="Auto-Submitted: auto-generated\n")))
    assert row.automatic


@pytest.mark.parametrize("length", [10, 2 * IN_ROW])
async def test_one_that_changes_while_it_is_sealed_leaves_nothing(
    bench: Bench, length: int
) -> None:
    candidate = bench.put(message("x" * length))

    def grow() -> None:
        with (bench.box / "new/one").open("ab") as file:
            file.write(b"more")

    bench.relay.meanwhile = grow  # type: ignore[method-assign]
    with pytest.raises(NotYetError):
        await bench.prepare(candidate)
    assert await bench.kept() is None
    assert bench.in_files() == []


async def test_one_that_is_removed_while_it_is_sealed_is_sent(bench: Bench) -> None:
    candidate = bench.put(message("hello"))
    bench.relay.meanwhile = (bench.box / "new/one").unlink  # type: ignore[method-assign]
    row = await bench.prepare(candidate)  # it was whole when it was read
    assert opened(row.envelope, b"".join(bench.preparing.pieces(row))).strip() == "hello"


@pytest.mark.parametrize(
    ("fault", "raised", "words"),
    [
        (CryptoError("no such user"), OwnFaultError, f"cannot be sealed for {PHONE}: no such"),
        (NoKeysForPeerError("none"), NoKeysForPeerError, "none"),
        (ContentRefusedError("too-large", "it is too large"), OwnFaultError, "it is too large"),
    ],
)
async def test_whose_fault_it_is(
    bench: Bench, fault: Exception, raised: type[Exception], words: str
) -> None:
    bench.relay.fault = fault
    with pytest.raises(raised, match=words.replace("+", r"\+")):
        await bench.prepare(bench.put(message()))
    assert await bench.kept() is None


async def test_more_than_a_text_may_hold_is_its_own_fault(bench: Bench) -> None:
    with pytest.raises(OwnFaultError, match="16 MiB"):
        await bench.prepare(bench.put(message("x" * 78 + ("\n" + "x" * 78) * 213_000)))
    assert bench.in_files() == []


@pytest.mark.parametrize(
    ("number", "ours"), [(errno.ENOSPC, True), (errno.EROFS, True), (errno.EIO, False)]
)
async def test_a_fault_of_a_disk_names_its_place(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int, ours: bool
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(preparing, "_read", fail)
    with pytest.raises(StorageError) as caught:
        await bench.prepare(bench.put(message()))
    assert caught.value.where == str(bench.state if ours else bench.box)


async def test_a_row_that_cannot_be_kept_is_told_and_leaves_no_file(bench: Bench) -> None:
    candidate = bench.put(message("x" * IN_ROW))
    await bench.store.close()
    with pytest.raises(StorageError):
        await bench.prepare(candidate)
    assert bench.in_files() == []
    await bench.store.open()
    assert await bench.kept() is None
    assert (await bench.prepare(candidate)).source == candidate


async def test_no_more_are_sealed_at_once_than_there_are_engines(bench: Bench) -> None:
    bench.relay.gate.clear()
    candidates = [bench.put(message(), f"{number}") for number in range(3 * ENGINES)]
    preparing = asyncio.gather(
        *(bench.prepare(one, f"mid{number:013}") for number, one in enumerate(candidates))
    )
    async with asyncio.timeout(10):
        while bench.relay.sealed < ENGINES:
            await asyncio.sleep(0.002)
    bench.relay.gate.set()
    await preparing
    assert bench.relay.most_at_once == ENGINES


async def test_an_accepted_text_is_kept_and_sealed_later(bench: Bench) -> None:
    row = await bench.preparing.accept(
        from_uri=OWN, to_uri=PHONE, content=text_content("hi"), origin=Origin.SIP
    )
    assert await bench.kept(row.mid) == row
    assert (row.state, row.due, row.sealed) == (RowState.QUEUED, bench.clock.utc(), None)
    sealed = await bench.preparing.seal(row)
    found = await bench.kept(row.mid)
    assert found == sealed
    assert found is not None
    assert opened(found.envelope, b"".join(bench.preparing.pieces(found))).strip() == "hi"


async def test_an_accepted_text_that_cannot_be_kept_is_refused(bench: Bench) -> None:
    content = text_content()
    large = TextContent(content.date, Held(SECRET.encode() * (MAX_ACCEPTED // 9 + 1)))
    with pytest.raises(ContentRefusedError) as caught:
        await bench.preparing.accept(from_uri=OWN, to_uri=PHONE, content=large, origin=Origin.SIP)
    assert SECRET not in str(caught.value)
    await bench.store.close()
    with pytest.raises(StorageError):
        await bench.preparing.accept(from_uri=OWN, to_uri=PHONE, content=content, origin=Origin.SIP)
    await bench.store.open()


async def test_a_queued_text_stays_queued_where_it_cannot_be_sealed(bench: Bench) -> None:
    row = await bench.preparing.accept(
        from_uri=OWN, to_uri=PHONE, content=text_content(), origin=Origin.SIP
    )
    bench.relay.fault = NoKeysForPeerError("none")
    with pytest.raises(CigError):
        await bench.preparing.seal(row)
    assert await bench.kept(row.mid) == row
