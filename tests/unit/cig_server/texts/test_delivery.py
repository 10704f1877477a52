# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts go into all their mailboxes, once, in an order that a power failure cannot undo."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from cig_server.texts import delivery, received
from cig_server.texts.delivery import Deliverer
from cig_server.texts.model import ContentRefusedError, Copy, StorageError, TextKey
from cig_server.texts.store import TextStore
from umsg.messages import ReceiptStatus
from unit.cig_server.texts import deliveries
from unit.cig_server.texts.deliveries import BOXES, DIGEST, KEYS, body, copies

KEY = KEYS[0]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TextStore]:
    deliveries.begun(tmp_path)
    opened = TextStore(tmp_path / "state", [received.SCHEMA])
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def service(store: TextStore, tmp_path: Path) -> AsyncIterator[Deliverer]:
    made = deliveries.deliverer(store, tmp_path)
    await made.start()
    yield made
    await made.stop()


def texts(folder: Path, box: str) -> list[bytes]:
    return sorted(path.read_bytes() for path in (folder / box / "new").iterdir())


def left(folder: Path) -> list[Path]:
    return [path for box in BOXES for path in (folder / box / "tmp").iterdir()]


def no_more(key: TextKey) -> list[Copy]:
    def write(file: BinaryIO) -> None:
        raise AssertionError("written again")

    return [Copy("/nowhere", write)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


# --- once ---------------------------------------------------------------------------------------


async def test_a_text_goes_into_all_mailboxes_once(
    service: Deliverer, store: TextStore, tmp_path: Path
) -> None:
    assert await service.known(KEY) is None
    await service.deliver(KEY, DIGEST, copies(tmp_path, KEY))
    for _ in range(2):
        outcome = await service.known(KEY)
        assert outcome is not None
        assert outcome.status is ReceiptStatus.DELIVERED
        await service.deliver(KEY, DIGEST, no_more(KEY))
        await service.keep_receipt(KEY, "2026-11-1", b"sig")
    assert outcome.content_digest == DIGEST
    known = await service.known(KEY)
    assert known is not None
    assert (known.period, known.sig) == ("2026-11-1", b"sig")
    assert [texts(tmp_path, box) for box in BOXES] == [[body(KEY)]] * 2
    assert await store.run(received.begun) == ()
    assert service.trouble == ""


async def test_the_same_text_twice_at_once_is_one(service: Deliverer, tmp_path: Path) -> None:
    await asyncio.gather(
        *(service.deliver(KEY, DIGEST, copies(tmp_path, KEY)) for _ in range(5)),
        service.deliver(KEYS[1], DIGEST, copies(tmp_path, KEYS[1])),
    )
    assert texts(tmp_path, "one") == sorted([body(KEY), body(KEYS[1])])


async def test_a_text_for_no_mailbox_is_journalled(service: Deliverer) -> None:
    await service.deliver(KEY, DIGEST, ())
    outcome = await service.known(KEY)
    assert outcome is not None
    assert outcome.status is ReceiptStatus.DELIVERED


async def test_a_refused_text_stays_refused(service: Deliverer, tmp_path: Path) -> None:
    await service.refuse(KEY, DIGEST, "no-mailbox")
    await service.deliver(KEY, DIGEST, no_more(KEY))
    outcome = await service.known(KEY)
    assert outcome is not None
    assert (outcome.status, outcome.reason) == (ReceiptStatus.REFUSED, "no-mailbox")


async def test_many_at_once_share_commits(
    service: Deliverer, store: TextStore, tmp_path: Path
) -> None:
    before = store.commits
    keys = [TextKey("tel:+1", str(number)) for number in range(200)]
    await asyncio.gather(*(service.deliver(key, DIGEST, copies(tmp_path, key)) for key in keys))
    assert len(texts(tmp_path, "one")) == len(texts(tmp_path, "two")) == 200
    assert store.commits - before < 20


async def test_a_reader_never_sees_half_a_file(service: Deliverer, tmp_path: Path) -> None:
    whole, wrong, ended = set(), [], threading.Event()
    keys = [TextKey("tel:+1", f"{number:016}") for number in range(200)]
    expected = {body(key) for key in keys}

    def read() -> None:
        while True:
            last = ended.is_set()
            for path in (tmp_path / "one" / "new").iterdir():
                found = path.read_bytes()
                (whole.add if found in expected else wrong.append)(found)
                path.unlink()
            if last:
                return

    reader = asyncio.create_task(asyncio.to_thread(read))
    for first in range(0, 200, 20):
        await asyncio.gather(
            *(service.deliver(k, DIGEST, copies(tmp_path, k)) for k in keys[first : first + 20])
        )
    ended.set()
    await reader
    assert not wrong
    assert whole == expected


# --- in order -----------------------------------------------------------------------------------


async def test_each_step_is_on_disk_before_the_next(
    service: Deliverer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the power leaves of unsynced things, the steps before are there."""
    events: list[tuple[str, str]] = []
    fsync, rename, settle = os.fsync, os.rename, TextStore._settle

    def place(descriptor: int) -> str:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(tmp_path))

    def told_fsync(descriptor: int) -> None:
        where = place(descriptor)
        fsync(descriptor)
        events.append(("sync", where))

    def told_rename(name: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        events.append(("rename", f"{place(src_dir_fd)}/{name}"))
        rename(name, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    def told_settle(self: TextStore, *arguments: object) -> None:
        events.append(("commit", str(self.commits)))  # it is on disk; nobody knows yet
        settle(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", told_fsync)
    monkeypatch.setattr(os, "rename", told_rename)
    monkeypatch.setattr(TextStore, "_settle", told_settle)
    await service.deliver(KEY, DIGEST, copies(tmp_path, KEY))
    events.append(("return", ""))
    names = {box: next((tmp_path / box / "new").iterdir()).name for box in BOXES}
    commit = [index for index, (what, _) in enumerate(events) if what == "commit"][-1]
    for box in BOXES:
        order = [
            events.index(("sync", f"{box}/tmp/{names[box]}")),
            events.index(("sync", f"{box}/tmp")),
            commit,
            events.index(("rename", f"{box}/tmp/{names[box]}")),
            events.index(("sync", f"{box}/new")),
            len(events) - 1 - events[::-1].index(("sync", f"{box}/tmp")),
            events.index(("return", "")),
        ]
        assert order == sorted(set(order)), events


# --- faults -------------------------------------------------------------------------------------


async def test_a_missing_mailbox_holds_up_its_own_texts_alone(
    service: Deliverer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "RETRY_SECONDS", 0.01)
    (tmp_path / "two").rename(tmp_path / "aside")
    both, first = copies(tmp_path, KEY), copies(tmp_path, KEYS[1])[:1]
    results = await asyncio.gather(
        service.deliver(KEY, DIGEST, both),
        service.deliver(KEYS[1], DIGEST, first),
        return_exceptions=True,
    )
    assert isinstance(results[0], StorageError)
    assert "create_cig_maildir" in str(results[0])
    assert results[1] is None
    assert texts(tmp_path, "one") == [body(KEYS[1])]
    assert await service.known(KEY) is None
    assert str(tmp_path / "two") in service.trouble
    assert str(tmp_path / "two") in await service.probe()
    facts = {row.name: row for row in await service.facts()}
    assert facts[str(tmp_path / "one")].waiting == 1
    assert "create_cig_maildir" in facts[str(tmp_path / "two")].error
    (tmp_path / "aside").rename(tmp_path / "two")
    await until(lambda: service.trouble == "")  # it sees by itself
    assert await service.probe() == ""
    assert not left(tmp_path)
    await service.deliver(KEY, DIGEST, both)
    assert texts(tmp_path, "two") == [body(KEY)]


async def test_what_a_copy_raises_is_its_callers(service: Deliverer, tmp_path: Path) -> None:
    def write(file: BinaryIO) -> None:
        file.write(b"half")
        raise ContentRefusedError("encoding", "unfit")

    unfit = [copies(tmp_path, KEY)[0], Copy(str(tmp_path / "two"), write)]
    results = await asyncio.gather(
        service.deliver(KEY, DIGEST, unfit),
        service.deliver(KEYS[1], DIGEST, copies(tmp_path, KEYS[1])),
        return_exceptions=True,
    )
    assert isinstance(results[0], ContentRefusedError)
    assert results[1] is None
    assert [texts(tmp_path, box) for box in BOXES] == [[body(KEYS[1])]] * 2
    assert not left(tmp_path)
    assert service.trouble == ""
    assert await service.known(KEY) is None


@pytest.mark.parametrize("call", ["rename", "fsync"])
async def test_what_was_begun_goes_on_by_itself(
    service: Deliverer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(delivery, "RETRY_SECONDS", 0.01)
    broken, real = [True], getattr(os, call)
    path = tmp_path / "two" / "new"

    def fails(first: object, *arguments: object, **more: object) -> object:
        descriptor = more.get("dst_dir_fd", first)
        if broken and Path(f"/proc/self/fd/{descriptor}").readlink() == path:
            raise OSError(5, "Input/output error")
        return real(first, *arguments, **more)

    monkeypatch.setattr(os, call, fails)
    with pytest.raises(StorageError, match="disk fails"):
        await service.deliver(KEY, DIGEST, copies(tmp_path, KEY))
    assert await service.known(KEY) is None
    with pytest.raises(StorageError, match="begun"):
        await service.refuse(KEY, DIGEST, "no-mailbox")
    with pytest.raises(StorageError, match="disk fails"):
        await service.deliver(KEY, DIGEST, no_more(KEY))
    assert texts(tmp_path, "one") == [body(KEY)]
    broken.clear()
    async with asyncio.timeout(20):
        while await service.known(KEY) is None:
            await asyncio.sleep(0.005)
    await service.deliver(KEY, DIGEST, no_more(KEY))
    assert [texts(tmp_path, box) for box in BOXES] == [[body(KEY)]] * 2
    assert not left(tmp_path)


class Failing:
    """A journal whose transactions fail as told, after their work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
        self.fails = False
        real = received.intend

        def intend(*arguments: object) -> None:
            real(*arguments)  # type: ignore[arg-type]
            if self.fails:
                error = sqlite3.OperationalError("no")
                error.sqlite_errorcode = code
                raise error

        monkeypatch.setattr(received, "intend", intend)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_FSYNC])
async def test_a_failed_commit(
    service: Deliverer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    journal = Failing(monkeypatch, code)
    journal.fails = True
    with pytest.raises(StorageError):
        await service.deliver(KEY, DIGEST, copies(tmp_path, KEY))
    # One that may be on disk all the same must find its files after a crash.
    assert len(left(tmp_path)) == (0 if code == sqlite3.SQLITE_FULL else 2)
    assert service.trouble
    journal.fails = False
    await service.deliver(KEY, DIGEST, copies(tmp_path, KEY))
    assert [texts(tmp_path, box) for box in BOXES] == [[body(KEY)]] * 2
    assert not left(tmp_path)
    assert service.trouble == ""


# --- callers that give up, and the end ----------------------------------------------------------


async def test_a_caller_that_is_cancelled_harms_nothing(service: Deliverer, tmp_path: Path) -> None:
    writing, go_on = threading.Event(), threading.Event()

    def write(file: BinaryIO) -> None:
        writing.set()
        assert go_on.wait(20)
        file.write(b"whole")

    slow = [Copy(str(tmp_path / "one"), write)]
    first = asyncio.create_task(service.deliver(KEY, DIGEST, slow))
    await asyncio.to_thread(writing.wait, 20)
    waiting = asyncio.create_task(service.deliver(KEYS[1], DIGEST, no_more(KEYS[1])))
    await asyncio.sleep(0)
    for task in (first, waiting):
        task.cancel()
    await asyncio.wait([first, waiting])
    again = asyncio.create_task(service.deliver(KEYS[1], DIGEST, copies(tmp_path, KEYS[1])))
    go_on.set()
    await again
    assert texts(tmp_path, "one") == sorted([b"whole", body(KEYS[1])])
    assert await service.known(KEY) is not None


async def test_what_waits_at_the_end_is_delivered(store: TextStore, tmp_path: Path) -> None:
    service = deliveries.deliverer(store, tmp_path)
    await service.start()
    tasks = [
        asyncio.create_task(service.deliver(key, DIGEST, copies(tmp_path, key))) for key in KEYS
    ]
    await asyncio.sleep(0)
    await service.stop()
    await asyncio.gather(*tasks)
    assert await store.run(received.begun) == ()
    with pytest.raises(StorageError, match="stop"):
        await service.deliver(TextKey("tel:+1", "1"), DIGEST, ())


async def test_two_thousand_texts_leave_no_memory(service: Deliverer, tmp_path: Path) -> None:
    async def some(first: int, number: int) -> None:
        for start in range(first, first + number, 50):
            keys = [TextKey("tel:+1", str(n)) for n in range(start, start + 50)]
            small = [Copy(str(tmp_path / "one"), lambda file: file.write(b"x") and None)]
            await asyncio.gather(*(service.deliver(key, DIGEST, small) for key in keys))

    tracemalloc.start()
    try:
        await some(0, 500)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        await some(500, 2000)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 50_000
