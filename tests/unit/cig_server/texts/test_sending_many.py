# SPDX-License-Identifier: GPL-3.0-or-later
"""Many messages: they go in order, and a long queue costs no more memory than a short one."""

from __future__ import annotations

import os
import sqlite3
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cig_server.texts import outbox_store, watch
from cig_server.texts.model import Origin
from cig_server.texts.outbox_store import Row, RowState
from cig_server.texts.read_mailbox import scan
from cig_server.texts.sending import WINDOW
from unit.cig_server.texts.sendings import OWN, PHONE, Bench, message

ALLOWANCE = 512 << 10
"""Octets that two runs of the same may differ by."""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    bench.crs.connected = False
    await bench.start()
    yield bench
    await bench.stop()


def fill(bench: Bench, number: int) -> None:
    """Put messages into new/, by links to few files: those of one file have one time."""
    sources = []
    for source in range(20):
        path = bench.a / "tmp" / f"source{source}"
        path.write_bytes(message(f"{source}"))
        when = bench.clock.utc() - 1000 + source
        os.utime(path, (when, when))
        sources.append(path)
    for place in range(number):
        os.link(sources[place * 20 // number], bench.a / "new" / f"{place:06}.usual.host-name")


async def test_hundreds_of_messages_go_oldest_first(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So small that many scans follow each other.
    monkeypatch.setattr(watch, "scan", lambda path, **more: scan(path, **more, most=20))
    for number in range(300):
        bench.put(message(f"{number}"), f"{(number * 97) % 300}")
    bench.crs.connect()
    await bench.counted("sent", 300)
    order = [int(text) for text in bench.phone()]
    assert sorted(order) == list(range(300))
    assert all(abs(place - number) < WINDOW for place, number in enumerate(order))
    assert set(bench.crs.attempts.values()) == {1}


async def sent_of(bench: Bench, number: int) -> int:
    """Send the first 60 of the messages in new/; gives the memory's peak in octets."""
    fill(bench, number)
    tracemalloc.start()
    bench.sending.look()
    bench.crs.connect()
    await bench.until(lambda: bench.sending.counters["sent"] >= 60)
    bench.crs.disconnect()
    await bench.idle()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


async def test_ten_thousand_messages_cost_as_much_as_a_scan_keeps(tmp_path: Path) -> None:
    peaks = {}
    for number in (1200, 10_000):
        folder = tmp_path / str(number)
        folder.mkdir()
        bench = Bench(folder)
        bench.crs.connected = False
        await bench.start()
        began = time.monotonic()
        peaks[number] = await sent_of(bench, number)
        assert time.monotonic() - began < 10
        assert {int(text) for text in bench.phone()} <= {0, 1}
        await bench.stop()
    assert peaks[10_000] < peaks[1200] + ALLOWANCE
    assert peaks[10_000] < 6 << 20


def row(number: int, due: float) -> Row:
    """A text that rests: a few were sealed, the others never."""
    return Row(
        *(f"mid{number:013}", RowState.SEALED if number % 3 else RowState.QUEUED),
        *(Origin.SIP, OWN, PHONE),
        written=due,
        automatic=False,
        since=due,
        due=due,
        content=bytes(1000),
        mikey=bytes(300),
        digest=bytes(32),
        sealed=bytes(1000),
        length=1000,
    )


async def peak_with(bench: Bench, rows: int) -> int:
    """Have a worker look at an outbox of so many rows that rest; gives the memory's peak."""
    later = bench.clock.utc() + 700  # after all that is waited for here, and no longer than a rest

    def insert(connection: sqlite3.Connection) -> None:
        for number in range(rows):
            outbox_store.insert(connection, row(number, later + number / 100))

    await bench.store.run(insert)
    await bench.stop()
    tracemalloc.start()
    await bench.start()
    bench.crs.connected = True
    bench.put(message("new"))
    bench.sending.connected()
    await bench.counted("sent")
    bench.crs.disconnect()
    bench.clock.advance(601)  # so that it looks for what is too old, too
    bench.sending.look()
    [facts, *_] = await bench.sending.facts()
    assert facts.waiting == rows
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


async def test_a_queue_of_thousands_costs_no_more_than_one_of_ten(tmp_path: Path) -> None:
    peaks = []
    for number in (10, 14_000):
        folder = tmp_path / str(number)
        folder.mkdir()
        bench = Bench(folder)
        bench.crs.connected = False
        await bench.start()
        peaks.append(await peak_with(bench, number))
        await bench.stop()
    assert peaks[1] < peaks[0] + ALLOWANCE
