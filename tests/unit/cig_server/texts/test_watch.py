# SPDX-License-Identifier: GPL-3.0-or-later
"""Watching read mailboxes, with the kernel's own inotify."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from cig_common.clock import ManualClock
from cig_common.config import Mailbox, loads
from cig_server.texts import watch
from cig_server.texts.read_mailbox import Identity
from cig_server.texts.watch import SCAN_SECONDS, ReadMailboxes
from unit.cig_server.texts.sendings import CONFIG
from unit.cig_server.texts.stand_ins import make_mailbox


async def nothing(mailbox: str) -> set[Identity]:
    return set()


class Bench:
    """Mailboxes a and b, watched; the time of files is the clock's."""

    def __init__(self, folder: Path) -> None:
        self.a, self.b = folder / "a", folder / "b"
        self.clock = ManualClock()
        self.awake = asyncio.Event()
        self.boxes = ReadMailboxes(self.awake.set, self.clock)

    @property
    def mailboxes(self) -> tuple[Mailbox, ...]:
        return loads(CONFIG.format(a=self.a, b=self.b)).mailboxes

    def stamp(self, path: Path, age: float = 0) -> None:
        when = self.clock.utc() - age
        os.utime(path, (when, when))

    def move_in(self, name: str, box: Path | None = None, age: float = 0) -> None:
        box = box or self.a
        (box / "tmp" / name).write_bytes(b"x")
        self.stamp(box / "tmp" / name, age)
        (box / "tmp" / name).rename(box / "new" / name)

    async def next(self) -> str:
        found = await self.boxes.next(nothing)
        return "" if found is None else found.candidate.name if found.candidate else found.odd

    async def drained(self) -> list[str]:
        """All that is found, until nothing is."""
        names = []
        while name := await self.next():
            names.append(name)
            self.forget(name)
        return names

    def forget(self, name: str) -> None:
        for box in (self.a, self.b):
            (box / "new" / name).unlink(missing_ok=True)

    async def woken(self) -> None:
        async with asyncio.timeout(10):
            await self.awake.wait()
        self.awake.clear()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.002)

    async def settle(self) -> None:
        """Let the watchers begin, and the events so far be read."""
        for _ in range(5):
            await asyncio.sleep(0.005)
        self.awake.clear()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    for box in (bench.a, bench.b):
        make_mailbox(box)
    bench.boxes.configure(bench.mailboxes)
    await bench.settle()
    assert await bench.drained() == []
    yield bench
    await bench.boxes.stop()


async def test_what_is_moved_in_is_found_at_once(bench: Bench) -> None:
    bench.move_in("one")
    await bench.woken()
    assert await bench.drained() == ["one"]


async def test_nothing_is_scanned_without_cause(bench: Bench) -> None:
    before = bench.boxes.scans
    for _ in range(5):
        assert await bench.next() == ""
    assert bench.boxes.scans == before
    assert 0 < bench.boxes.next_scan() <= SCAN_SECONDS
    bench.clock.advance(SCAN_SECONDS)
    assert bench.boxes.next_scan() == 0
    await bench.next()
    assert bench.boxes.scans == before + 2


async def test_a_file_written_in_two_goes_is_not_taken_in_between(bench: Bench) -> None:
    path = bench.a / "new/slow"
    with path.open("wb") as file:
        for octets in (b"one", b"two"):
            bench.stamp(path, 100)
            bench.clock.advance(SCAN_SECONDS)
            await bench.settle()
            assert await bench.drained() == []
            file.write(octets)
            file.flush()
            await bench.settle()
        bench.stamp(path, 100)
        bench.clock.advance(SCAN_SECONDS)
        assert await bench.drained() == []
    await bench.woken()
    bench.stamp(path, 100)
    assert await bench.drained() == ["slow"]


async def test_a_file_that_is_linked_in_is_taken_when_quiet(bench: Bench) -> None:
    (bench.a / "tmp/one").write_bytes(b"x")
    bench.stamp(bench.a / "tmp/one", 100)
    os.link(bench.a / "tmp/one", bench.a / "new/one")
    (bench.a / "tmp/one").unlink()
    await bench.woken()
    assert await bench.drained() == ["one"]


async def test_one_that_was_just_written_is_looked_at_again_soon(bench: Bench) -> None:
    (bench.a / "new/one").write_bytes(b"x")
    bench.stamp(bench.a / "new/one")
    await bench.settle()
    assert await bench.drained() == []
    assert bench.boxes.next_scan() <= 2
    bench.clock.advance(2)
    assert await bench.drained() == ["one"]


async def test_a_writer_that_never_closes_is_not_waited_for_for_ever(bench: Bench) -> None:
    path = bench.a / "new/slow"
    with path.open("wb") as file:
        file.write(b"x")
        file.flush()
        await bench.settle()
        bench.stamp(path, 100)
        bench.clock.advance(601)
        assert await bench.drained() == ["slow"]


async def test_the_mailboxes_take_turns(bench: Bench) -> None:
    for number in range(3):
        bench.move_in(f"a{number}", age=10 - number)
        bench.move_in(f"b{number}", bench.b, age=10 - number)
    await bench.settle()
    names = await bench.drained()
    assert sorted(names[:2]) == ["a0", "b0"]
    assert sorted(names[2:4]) == ["a1", "b1"]


async def test_what_is_put_back_comes_first(bench: Bench) -> None:
    for number in range(3):
        bench.move_in(f"{number}", age=10 - number)
    await bench.settle()
    found = await bench.boxes.next(nothing)
    assert found is not None
    bench.boxes.put_back(found)
    assert await bench.drained() == ["0", "1", "2"]


async def test_more_than_a_scan_holds_comes_by_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "scan", lambda path, **more: _scan(path, **more, most=4))
    for number in range(10):
        bench.move_in(f"{number}", age=100 - number)
    await bench.settle()
    assert await bench.drained() == [f"{number}" for number in range(10)]


_scan = watch.scan


async def test_a_folder_is_told_of_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    (bench.a / "new/folder").mkdir()
    for _ in range(3):
        bench.boxes.look_again()
        assert await bench.drained() == []
    assert caplog.text.count("'folder'") == 1


async def test_a_mailbox_that_is_missing_is_found_when_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path)
    make_mailbox(bench.b)
    bench.boxes.configure(bench.mailboxes)
    for _ in range(2):
        bench.boxes.look_again()
        assert await bench.next() == ""
    assert str(bench.a) in bench.boxes.trouble
    assert caplog.text.count("create_cig_maildir") == 1
    make_mailbox(bench.a)
    bench.move_in("one", age=5)
    bench.clock.advance(SCAN_SECONDS)
    assert await bench.drained() == ["one"]
    assert bench.boxes.trouble == ""
    await bench.boxes.stop()


async def test_a_folder_that_is_removed_and_made_anew_is_watched_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SCAN_SECONDS", 0.02)
    (bench.a / "new").rmdir()
    (bench.a / "new").mkdir()
    await asyncio.sleep(0.1)
    await bench.settle()
    bench.move_in("one")
    await bench.woken()
    assert await bench.drained() == ["one"]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOSPC])
async def test_without_inotify_scans_do(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
) -> None:
    def refuse() -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(watch, "Inotify", refuse)
    bench = Bench(tmp_path)
    for box in (bench.a, bench.b):
        make_mailbox(box)
    bench.boxes.configure(bench.mailboxes)
    await bench.settle()
    assert await bench.drained() == []
    bench.move_in("one", age=5)
    assert await bench.drained() == []
    bench.clock.advance(SCAN_SECONDS)
    assert await bench.drained() == ["one"]
    assert caplog.text.count("fs.inotify.max_user") == 1
    await bench.boxes.stop()


async def test_another_configuration_counts_at_once(bench: Bench) -> None:
    for box in (bench.a, bench.b):
        bench.move_in(box.name, box)
    await bench.settle()
    bench.boxes.configure([box for box in bench.mailboxes if box.path == str(bench.b)])
    assert await bench.drained() == ["b"]
    bench.move_in("c")
    bench.boxes.configure(bench.mailboxes)
    await bench.settle()
    bench.clock.advance(2)
    assert sorted(await bench.drained()) == ["a", "c"]
