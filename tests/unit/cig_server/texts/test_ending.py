# SPDX-License-Identifier: GPL-3.0-or-later
"""The ends of texts."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from cig_common.clock import ManualClock
from cig_common.errors import RelayUnavailableError
from cig_server.texts import ending as ending_module
from cig_server.texts import outbox_store, read_mailbox
from cig_server.texts.ending import Ending
from cig_server.texts.model import ContentRefusedError, Origin, StorageError
from cig_server.texts.outbox_store import Row, RowState
from cig_server.texts.read_mailbox import scan
from cig_server.texts.sealed_files import SealedFiles
from cig_server.texts.store import TextStore
from unit.cig_server.texts.sendings import OWN, PHONE, Notices, SealingRelay, receipt_of
from unit.cig_server.texts.stand_ins import make_mailbox

SEALED = b"sealed"


class Bench:
    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.state.mkdir()
        self.a, self.b = make_mailbox(folder / "a"), make_mailbox(folder / "b")
        self.clock = ManualClock()
        self.counters: Counter[str] = Counter()
        self.store = TextStore(self.state, [outbox_store.SCHEMA])
        self.files = SealedFiles(self.state)
        self.relay, self.notices = SealingRelay(), Notices()
        self.ending = Ending(
            store=self.store,
            files=self.files,
            crypto=self.relay,
            notify=self.notices,
            clock=self.clock,
            counters=self.counters,
        )

    async def row(self, number: int = 0, box: Path | None = None, **more: object) -> Row:
        """A sealed text of a message in new/."""
        box = box or self.a
        path = box / "new" / f"{number}"
        path.write_bytes(b"message")
        when = self.clock.utc() - 100
        os.utime(path, (when, when))
        [source] = [
            one
            for one in scan(str(box), now=self.clock.utc()).candidates
            if one.name == f"{number}"
        ]
        row = Row(
            *(f"mid{number:013}", RowState.SEALED, Origin.MAILBOX, OWN, PHONE),
            written=0,
            automatic=False,
            since=0,
            due=0,
            digest=hashlib.sha256(SEALED).digest(),
            sealed=SEALED,
            length=len(SEALED),
            source=source,
        )
        row = replace(row, **more)  # type: ignore[arg-type]
        await self.store.run(lambda connection: outbox_store.insert(connection, row))
        return row

    async def find(self, row: Row) -> Row | None:
        return await self.store.run(lambda connection: outbox_store.find(connection, row.mid))

    def names(self, folder: str) -> list[str]:
        return sorted(path.name for path in (self.a.parent / folder).iterdir())


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    await bench.store.open()
    bench.files.prepare([])
    yield bench
    await bench.ending.stop()
    await bench.store.close()


async def test_many_that_are_stored_share_the_syncs(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = []
    real = os.fsync
    monkeypatch.setattr(read_mailbox.os, "fsync", lambda fd: (syncs.append(fd), real(fd)))
    rows = [await bench.row(number) for number in range(40)]
    await asyncio.gather(*(bench.ending.stored(row) for row in rows))
    assert bench.names("a/new") == []
    assert bench.counters["sent"] == 40
    assert 1 <= len(syncs) < 5


async def test_the_message_goes_before_its_row_says_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await bench.row()
    order: list[str] = []
    remove, finish = ending_module.remove, outbox_store.finish
    monkeypatch.setattr(
        ending_module, "remove", lambda rows: (remove(rows), order.append("removed"))
    )
    monkeypatch.setattr(
        outbox_store, "finish", lambda *more: (order.append("said"), finish(*more))[1]
    )
    await bench.ending.stored(row)
    assert order == ["removed", "said"]
    await bench.ending.stored(row)  # nothing is counted twice
    assert bench.counters["sent"] == 1


async def test_a_mailbox_that_is_gone_hinders_no_other(bench: Bench) -> None:
    lost, good = await bench.row(1), await bench.row(2, bench.b)
    (bench.a / "new").rename(bench.a / "old")
    told = await asyncio.gather(
        bench.ending.stored(lost), bench.ending.stored(good), return_exceptions=True
    )
    assert isinstance(told[0], StorageError)
    assert told[1] is None
    found = await bench.find(lost)
    assert found is not None
    assert found.state is RowState.SEALED
    (bench.a / "old").rename(bench.a / "new")
    await bench.ending.stored(lost)
    assert bench.names("a/new") == []


async def test_who_stops_waiting_for_it_hinders_no_other(bench: Bench) -> None:
    first, second = await bench.row(1), await bench.row(2)
    waiting = asyncio.create_task(bench.ending.stored(first))
    other = asyncio.create_task(bench.ending.stored(second))
    await asyncio.sleep(0)
    waiting.cancel()
    await other
    assert bench.names("a/new") == []


async def test_a_long_content_is_dropped_with_it(bench: Bench) -> None:
    row = await bench.row(sealed=None)
    bench.files.keep(row.mid, BytesIO(SEALED))
    await bench.ending.stored(row)
    assert bench.names("state/out") == []


async def test_giving_up_is_gone_on_with_where_it_was_broken_off(bench: Bench) -> None:
    row = await bench.row()
    bench.notices.fault = StorageError("/write", "full")
    with pytest.raises(StorageError):
        await bench.ending.given_up(row, "why")
    found = await bench.find(row)
    assert found is not None
    assert (found.state, found.error) == (RowState.FAILED, "why")
    assert bench.names("a/failed") == ["0", "0.reason"]
    bench.notices.fault = None
    await bench.ending.given_up(found, "why")
    assert bench.names("a/failed") == ["0", "0.reason"]
    assert await bench.find(row) is None
    assert bench.counters == {"failed": 1, "notices": 1}


async def test_a_notice_that_can_never_be_delivered_holds_nothing_up(bench: Bench) -> None:
    bench.notices.fault = ContentRefusedError("too-large", "no")
    row = await bench.row()
    await bench.ending.given_up(row, "why")
    assert await bench.find(row) is None
    assert bench.counters["notices"] == 0


async def test_a_machine_is_told_nothing(bench: Bench) -> None:
    row = await bench.row(automatic=True)
    await bench.ending.receipted(row, receipt_of(SEALED, row.mid, "refused", "no-mailbox"))
    assert bench.notices.told == {}
    assert bench.counters["receipts-refused"] == 1
    await bench.ending.given_up(await bench.row(1, automatic=True), "why")
    assert bench.notices.told == {}


async def test_a_receipt_counts_when_its_recipient_signed_it(bench: Bench) -> None:
    row = await bench.row()
    assert await bench.ending.receipt(receipt_of(SEALED, row.mid)) == row
    assert await bench.ending.receipt(receipt_of(b"other", row.mid)) is None
    assert await bench.ending.receipt(receipt_of(SEALED, "mid9999999999999")) is None
    assert bench.counters == {"receipts-forged": 1, "receipts-unknown": 1}
    bench.relay.fault = RelayUnavailableError("away")
    with pytest.raises(RelayUnavailableError):
        await bench.ending.receipt(receipt_of(SEALED, row.mid))


async def test_a_text_that_was_never_sealed_has_no_receipt(bench: Bench) -> None:
    row = await bench.row(state=RowState.QUEUED)
    assert await bench.ending.receipt(receipt_of(SEALED, row.mid)) is None
    assert bench.counters["receipts-unknown"] == 1
