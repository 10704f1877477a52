# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages whose names, times or numbers are unusual, and faults that meet at an unlucky moment."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from cig_common.texts.content import TextContent
from cig_common.texts.encode import entity_chunks
from cig_server.texts import outbox_store, read_mailbox
from cig_server.texts.outbox_store import IN_ROW
from umsg.errors import ErrorCode
from umsg.messages import Receipt, ReceiptStatus
from unit.cig_server.texts.sendings import PHONE, Bench, message, receipt_of

OTHER = "tel:+46709999999"
NAMES = ["caf\udce9", "\udcff\udcfe", "a b\nc", "é" * 100, "'; DROP TABLE outbox; --"]
FAR = 9_500_000_000
"""Seconds of a time in the year 2271: more nanoseconds than 63 bits hold."""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    await bench.start()
    yield bench
    await bench.stop()


@pytest.mark.parametrize("name", NAMES, ids=ascii)
async def test_a_name_of_any_octets_is_sent(bench: Bench, name: str) -> None:
    bench.put(message("text"), name)
    await bench.counted("sent")
    assert bench.phone() == ["text"]
    assert bench.new() == []


@pytest.mark.parametrize("name", NAMES, ids=ascii)
async def test_a_name_of_any_octets_is_put_aside(
    bench: Bench, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    bench.crs.refuse[OTHER] = ErrorCode.NOT_FOUND
    bench.put(message(to="46709999999@secure"), name)
    bench.put(b"poison", f"{name}2")
    await bench.until(lambda: len(bench.failed()) == 2)
    await bench.idle()
    assert sorted(bench.failed()) == sorted([name, f"{name}2"])
    assert not bench.sending.trouble
    for record in caplog.records:  # nobody writes a line of the log by a file's name
        assert record.getMessage().isprintable()


@pytest.mark.parametrize("name", NAMES, ids=ascii)
async def test_a_name_of_any_octets_is_known_after_a_restart(bench: Bench, name: str) -> None:
    bench.crs.silent = True
    bench.put(message("text"), name)
    await bench.until(lambda: bench.crs.attempts)
    await bench.restart()
    bench.crs.silent = False
    bench.sending.look()
    await bench.counted("sent")
    assert len(bench.crs.attempts) == 1
    assert bench.new() == []


@pytest.mark.parametrize("when", [FAR, -1, 0])
async def test_a_message_of_any_time_is_sent(bench: Bench, when: int) -> None:
    path = bench.put(message("text"), "one")
    os.utime(path, (when, when))
    bench.sending.reconfigured()
    await bench.counted("sent")
    assert bench.phone() == ["text"]
    assert bench.new() == []


async def test_a_message_of_the_future_is_given_up_in_time(bench: Bench) -> None:
    bench.crs.refuse[PHONE] = ErrorCode.INTERNAL
    path = bench.put(message("text"), "one")
    os.utime(path, (FAR, FAR))
    bench.sending.reconfigured()
    await bench.counted("retries")
    await bench.idle()
    bench.pass_time(73 * 3600)
    await bench.until(lambda: bench.failed())


async def test_a_high_inode_number_is_a_number_as_any(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # File systems in user space and over networks use all 64 bits.
    real = read_mailbox.identity_of

    def high(status: os.stat_result) -> tuple[int, int, int]:
        values = list(status)
        values[1] = status.st_ino | 1 << 63
        return real(os.stat_result(values, {"st_mtime_ns": status.st_mtime_ns}))

    monkeypatch.setattr(read_mailbox, "identity_of", high)
    bench.crs.silent = True
    bench.put(message("text"), "one")
    await bench.until(lambda: bench.crs.attempts)
    await bench.restart()
    bench.crs.silent = False
    bench.sending.look()
    await bench.counted("sent")
    assert len(bench.crs.attempts) == 1
    assert bench.new() == []


async def test_a_row_that_cannot_be_written_leaves_no_sealed_file(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(connection: sqlite3.Connection, row: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(outbox_store, "insert", full)
        bench.put(message("x" * 2 * IN_ROW), "large")
        await bench.until(lambda: "full" in bench.sending.trouble)
        await bench.idle()
        assert list((bench.state / "out").iterdir()) == []
    bench.pass_time(6)
    await bench.counted("sent")
    await bench.idle()
    assert list((bench.state / "out").iterdir()) == []


async def test_a_row_that_may_be_written_all_the_same_keeps_its_sealed_file(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def doubtful(connection: sqlite3.Connection, row: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise error

    monkeypatch.setattr(outbox_store, "insert", doubtful)
    bench.put(message("x" * 2 * IN_ROW), "large")
    await bench.until(lambda: "I/O" in bench.sending.trouble)
    await bench.idle()
    assert len(list((bench.state / "out").iterdir())) == 1
    monkeypatch.undo()
    await bench.restart()
    await bench.counted("sent")
    await bench.idle()
    assert list((bench.state / "out").iterdir()) == []


@pytest.mark.parametrize("length", [10, 4 * IN_ROW])
async def test_a_long_text_is_looked_through_in_a_thread(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """So that calls do not wait for it."""
    threads = []
    real = entity_chunks

    def chunks(content: TextContent, random_bytes: Callable[[int], bytes]) -> Iterator[bytes]:
        threads.append(threading.current_thread())
        yield from real(content, random_bytes)

    monkeypatch.setattr("cig_server.texts.preparing.entity_chunks", chunks)
    bench.put(message("x\n" * (length // 2)))
    await bench.counted("sent")
    assert (threading.main_thread() in threads) == (length < IN_ROW)
    assert len(threads) == 1


async def test_what_was_given_up_but_is_receipted_is_removed_and_not_sent_once_more(
    bench: Bench,
) -> None:
    (bench.a / "failed").rmdir()
    (bench.a / "failed").write_bytes(b"")  # so that nothing can be put aside
    bench.crs.silent = True
    bench.put(message("text"), "one")
    await bench.until(lambda: bench.crs.attempts)
    (mid,) = bench.crs.attempts
    bench.sending.error(mid, ErrorCode.NOT_FOUND, "no")
    await bench.counted("failed")
    await bench.idle()
    assert bench.new() == ["one"]
    bench.crs.silent = False
    row = await bench.store.run(lambda connection: outbox_store.find(connection, mid))
    assert row is not None
    assert row.sealed is not None
    bench.sending.receipt(receipt_of(row.sealed, mid))
    await bench.counted("receipts-delivered")
    bench.sending.reconfigured()
    await bench.idle()
    assert bench.new() == []
    assert bench.crs.attempts == {mid: 1}


@pytest.fixture
async def stuck(bench: Bench) -> str:
    """The mid of a text that the CRS has; its message cannot be removed, for new/ is elsewhere."""
    bench.crs.silent = True
    bench.put(message("text"), "one")
    await bench.until(lambda: bench.crs.attempts)
    (bench.a / "new").rename(bench.a / "away")
    (mid,) = bench.crs.attempts
    bench.sending.stored(mid)
    await bench.until(lambda: bench.sending.trouble)
    await bench.idle()
    bench.crs.silent = False
    return str(mid)


async def test_a_text_whose_message_cannot_be_removed_is_not_sent_again(
    bench: Bench, stuck: str
) -> None:
    for _ in range(3):
        bench.pass_time(900)
        await bench.idle()
    await bench.restart()
    bench.pass_time(900)
    await bench.until(lambda: bench.sending.trouble)
    (bench.a / "away").rename(bench.a / "new")
    bench.sending.reconfigured()
    await bench.idle()
    assert bench.new() == ["one"]
    bench.pass_time(900)
    await bench.counted("sent")
    assert bench.new() == []
    assert bench.crs.attempts == {stuck: 1}
    await bench.until(lambda: not bench.sending.trouble)


async def test_another_mailbox_goes_on_meanwhile(bench: Bench, stuck: str) -> None:
    bench.put(message("other"), "two", bench.b)
    await bench.counted("sent")
    assert bench.phone() == ["other"]


async def test_its_receipt_is_taken_once_and_its_row_kept(
    bench: Bench, stuck: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []
    real = bench.relay.check_receipt

    async def check(*arguments: object, **more: object) -> None:
        checked.append(arguments)
        await real(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.relay, "check_receipt", check)
    row = await bench.store.run(lambda connection: outbox_store.find(connection, stuck))
    assert row is not None
    bench.sending.receipt(
        Receipt(
            mid=stuck,
            status=ReceiptStatus.REFUSED,
            period="2026-11-1",
            sig=row.digest + bytes(97),
        )
    )
    await bench.counted("notices")
    await bench.idle()
    assert len(checked) == 1
    (bench.a / "away").rename(bench.a / "new")
    bench.pass_time(900)
    await bench.counted("sent")
    assert bench.new() == []
    assert bench.crs.attempts == {stuck: 1}
    assert len(bench.notices.told) == 1


async def test_stored_that_comes_late_and_cannot_be_followed_holds_up_no_other(
    bench: Bench,
) -> None:
    bench.crs.refuse[PHONE] = ErrorCode.INTERNAL
    bench.put(message("text"), "one")
    await bench.counted("retries")
    await bench.idle()
    bench.crs.refuse.clear()
    (bench.a / "new").rename(bench.a / "away")
    (mid,) = bench.crs.attempts
    bench.sending.stored(mid)
    await bench.until(lambda: str(bench.a) in bench.sending.trouble)
    bench.put(message("other"), "two", bench.b)
    await bench.counted("sent")
    assert bench.phone() == ["other"]
