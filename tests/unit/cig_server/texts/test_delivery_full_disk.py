# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that is really full: nothing is taken or left, and it goes on when there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[4]

FILL = """
import asyncio, sys
from pathlib import Path
from cig_server.texts.model import StorageError
from unit.cig_server.texts.delivering import DIGEST, copy, delivering, key, mailbox, messages

async def refused(wanted):
    try:
        await wanted
    except StorageError as error:
        return str(error)
    raise SystemExit("it was delivered")

def fill(disk):
    with (disk / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(bytes(4096)):
                pass
        except OSError:
            pass

async def full_mailbox(disk, other):
    boxes = [mailbox(disk / "a"), mailbox(other / "b")]
    big = [bytes(100_000)] * 5
    async with delivering(other / "state", boxes) as deliverer:
        await deliverer.deliver(key(1), DIGEST, [copy(box) for box in boxes])
        fill(disk)
        with (disk / "filler").open("r+b") as filler:
            filler.truncate((disk / "filler").stat().st_size - 200_000)  # too little for the text
        copies = [copy(box, content=big) for box in boxes]
        told = await refused(deliverer.deliver(key(2), DIGEST, copies))
        assert boxes[0] in told and "make room" in told, told
        assert deliverer.trouble == told
        assert await deliverer.probe() == told
        await deliverer.deliver(key(3), DIGEST, [copy(boxes[1])])
        for box in boxes:
            assert messages(box, "tmp") == [], box
        (disk / "filler").unlink()
        assert await deliverer.probe() == "" == deliverer.trouble
        await deliverer.deliver(key(2), DIGEST, copies)
        assert [len(messages(box)) for box in boxes] == [2, 3]

async def full_journal(disk, other):
    box = mailbox(other / "c")
    async with delivering(disk / "state", [box]) as deliverer:
        await deliverer.deliver(key(1), DIGEST, [copy(box)])
        fill(disk)
        number = 1
        told = ""
        while not told and number < 300:  # until the log of SQLite has to grow
            number += 1
            try:
                await deliverer.deliver(key(number), DIGEST, [copy(box)])
            except StorageError as error:
                told = str(error)
        assert "texts.db" in told, told
        for more in range(1000, 1010):
            await refused(deliverer.deliver(key(more), DIGEST, [copy(box)]))
        assert len(messages(box, "tmp")) <= 1
        assert await deliverer.known(key(number)) is None
        assert "texts.db" in await deliverer.probe()
        (disk / "filler").unlink()
        assert await deliverer.probe() == ""
        assert messages(box, "tmp") == []
        for again in (*range(1, number + 1), *range(1000, 1010)):
            await deliverer.deliver(key(again), DIGEST, [copy(box)])
        assert len(messages(box)) == number + 10

disk, other = Path(sys.argv[1]), Path(sys.argv[2])
asyncio.run({"mailbox": full_mailbox, "journal": full_journal}[sys.argv[3]](disk, other))
"""
MOUNT = 'mount -t tmpfs -o size=1m,mode=700 none "$1" && exec "$4" -c "$5" "$1" "$2" "$3"'
UNSHARE = ("unshare", "--mount", "--map-root-user")


def can_mount(folder: Path) -> bool:
    """Whether a process of ours may mount a small disk that nobody else sees."""
    if shutil.which(UNSHARE[0]) is None:
        return False
    command = [*UNSHARE, "mount", "-t", "tmpfs", "none", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("which", ["mailbox", "journal"])
def test_a_full_disk(tmp_path: Path, which: str) -> None:
    disk, other = tmp_path / "disk", tmp_path / "other"
    disk.mkdir()
    other.mkdir()
    if not can_mount(disk):
        pytest.skip("no disk can be mounted here")
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", MOUNT, "sh", disk, other, which, sys.executable, FILL],
        env={**os.environ, "PYTHONPATH": f"{PROJECT / 'src'}:{PROJECT / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
