# SPDX-License-Identifier: GPL-3.0-or-later
"""The power fails at any moment: whatever the disk kept, a text is in its mailboxes once."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest

from unit.cig_server.texts.delivering import DIGEST, WHOLE, copy, delivering, key, mailbox, messages

Names = dict[tuple[str, str], int]


@dataclass(frozen=True)
class Left:
    """What a power failure may leave: files by folder and name, a copy of the journal."""

    files: tuple[tuple[tuple[str, str], bytes], ...]
    journal: int
    returned: bool


@dataclass(frozen=True)
class Change:
    """A change of names; on disk for good once ``folder`` is synced."""

    folder: str
    apply: Callable[[Names], object]


class Disk:
    """Records what a process does to mailboxes, and what may be left of it.

    The worst is supposed: what was written to a file is lost until the file is synced, and of the
    changes of names any may be lost and any other not, until the folder that they were made in
    is synced; a move is one change, of the folder that it goes to. What SQLite has committed is
    there.
    """

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.top = top
        self.states: set[Left] = set()
        self.returned = False
        self._lock = threading.RLock()
        self._content: list[bytes] = []
        self._live: Names = {}
        self._durable: Names = {}
        self._pending: list[Change] = []
        self._journals = 0
        self._real = {name: getattr(os, name) for name in ("open", "fsync", "rename", "unlink")}
        for name in self._real:
            monkeypatch.setattr(os, name, getattr(self, name))
        outer = self

        class Connection(sqlite3.Connection):
            def execute(self, statement: str, *more: Any) -> sqlite3.Cursor:
                cursor = super().execute(statement, *more)
                if statement == "COMMIT":
                    outer.committed()
                return cursor

        monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Connection))

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        with self._lock:
            descriptor: int = self._real["open"](path, flags, mode, dir_fd=dir_fd)
            if flags & os.O_CREAT and dir_fd is not None:
                place = (self._folder(dir_fd), path)
                self._content.append(b"")
                number = len(self._content) - 1
                self._live[place] = number
                self._pending.append(Change(place[0], lambda n: n.update({place: number})))
                self.keep()
            return descriptor

    def fsync(self, descriptor: int) -> None:
        with self._lock:
            self._real["fsync"](descriptor)
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            if path.is_dir():
                folder = self._folder(descriptor)
                for change in [change for change in self._pending if change.folder == folder]:
                    change.apply(self._durable)
                    self._pending.remove(change)
            else:
                place = (str(path.parent.relative_to(self.top)), path.name)
                self._content[self._live[place]] = path.read_bytes()
            self.keep()

    def rename(self, name: str, to: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        with self._lock:
            self._real["rename"](name, to, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            old, new = (self._folder(src_dir_fd), name), (self._folder(dst_dir_fd), to)
            number = self._live[old]

            def move(names: Names) -> None:
                names.pop(old, None)
                names[new] = number

            move(self._live)
            self._pending.append(Change(new[0], move))
            self.keep()

    def unlink(self, name: str, *, dir_fd: int) -> None:
        with self._lock:
            self._real["unlink"](name, dir_fd=dir_fd)
            place = (self._folder(dir_fd), name)
            self._live.pop(place, None)
            self._pending.append(Change(place[0], lambda n: n.pop(place, None)))
            self.keep()

    def committed(self) -> None:
        with self._lock:
            self._journals += 1
            shutil.copytree(self.top / "state", self.journal(self._journals))
            self.keep()

    def journal(self, number: int) -> Path:
        return self.top.parent / f"journal-{number}"

    def restore(self, left: Left) -> None:
        """Make the folder what a power failure left."""
        shutil.rmtree(self.top)
        for name in ("a", "b"):
            mailbox(self.top / name)
        if left.journal:
            shutil.copytree(self.journal(left.journal), self.top / "state")
        for (folder, name), content in left.files:
            path = self.top / folder / name
            path.write_bytes(content)
            path.chmod(0o660)

    def _folder(self, descriptor: int) -> str:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(self.top))

    def keep(self) -> None:
        with self._lock:
            count = range(len(self._pending) + 1)
            for kept in chain.from_iterable(combinations(self._pending, n) for n in count):
                names = dict(self._durable)
                for change in kept:
                    change.apply(names)
                files = tuple(sorted((place, self._content[n]) for place, n in names.items()))
                self.states.add(Left(files, self._journals, self.returned))


async def test_the_power_fails_at_any_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tmp_path / "disk"
    boxes = [mailbox(top / name) for name in ("a", "b")]
    with monkeypatch.context() as patched:
        disk = Disk(top, patched)
        async with delivering(top / "state", boxes) as deliverer:
            await deliverer.deliver(key(), DIGEST, [copy(box) for box in boxes])
            disk.returned = True
            disk.keep()
            await deliverer.keep_receipt(key(), "2026-11-1", b"signature")
    assert len(disk.states) > 10
    for left in disk.states:
        for again in (False, True) if left.returned else (True,):
            disk.restore(left)
            await look(top, boxes, left, again=again)


async def look(top: Path, boxes: list[str], left: Left, *, again: bool) -> None:
    async with delivering(top / "state", boxes) as deliverer:
        if again:
            await deliverer.deliver(key(), DIGEST, [copy(box) for box in boxes])
    for box in boxes:
        assert messages(box) == [WHOLE], left
        assert messages(box, "tmp") == [], left
