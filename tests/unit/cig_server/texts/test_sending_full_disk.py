# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that is really full: no message is lost or sent in half, and it goes on by itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from unit.cig_server.texts.test_delivery_full_disk import MOUNT, PROJECT, UNSHARE, can_mount

FILL = """
import asyncio, sys
from pathlib import Path
from cig_server.texts import sending
from cig_server.texts.model import Origin, StorageError
from umsg.errors import ErrorCode
from unit.cig_server.texts.sendings import OWN, PHONE, Bench, message, text_content

LARGE = "large\\n" * 20_000
UNKNOWN = "tel:+46709999999"

def fill(disk):
    with (disk / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(bytes(4096)):
                pass
        except OSError:
            pass

async def full_state(disk, other):
    bench = Bench(other)
    bench.state.rmdir()
    bench.state = disk
    await bench.start()
    bench.put(message("first"))
    await bench.counted("sent")
    fill(disk)
    for number in range(3):
        bench.put(message(LARGE), f"large{number}")
    await bench.until(lambda: bench.sending.trouble)
    assert str(disk) in bench.sending.trouble, bench.sending.trouble
    told = 0
    for _ in range(200):  # until the log of SQLite has to grow
        try:
            await bench.sending.accept(
                from_uri=OWN, to_uri=PHONE, content=text_content("x" * 900), origin=Origin.SIP
            )
        except StorageError:
            told += 1
    accepted = bench.sending.counters["accepted"]
    assert told and accepted + told == 200, (told, accepted)
    assert bench.new() == ["large0", "large1", "large2"] and not bench.failed()
    (disk / "filler").unlink()
    async with asyncio.timeout(20):
        while bench.sending.counters["sent"] < accepted + 4:
            bench.pass_time(sending.PAUSE_SECONDS)
            await asyncio.sleep(0.02)
    assert bench.sending.trouble == "", bench.sending.trouble
    assert sorted(bench.phone()) == sorted(
        ["first", *[LARGE.strip()] * 3, *["x" * 900] * accepted]
    )
    assert set(bench.crs.attempts.values()) == {1}
    assert bench.new() == []
    await bench.stop()

async def full_mailbox(disk, other):
    (other / "a").symlink_to(disk / "a")
    for name in ("new", "cur", "tmp"):
        (disk / "a" / name).mkdir(parents=True)
    bench = Bench(other)
    bench.crs.refuse[UNKNOWN] = ErrorCode.NOT_FOUND
    bench.put(b"poison", "poison")
    bench.put(message(to="46709999999@secure"), "nobody")
    for number in range(20):
        bench.put(message(f"{number}"), box=bench.b)
    fill(disk)
    await bench.start()
    await bench.counted("sent", 20)
    await bench.until(lambda: bench.sending.trouble)
    await bench.idle()
    assert bench.new() == ["nobody", "poison"] and not bench.failed()
    (disk / "filler").unlink()
    bench.pass_time(61)
    await bench.until(lambda: len(bench.failed()) == 2)
    await bench.counted("notices")
    assert bench.new() == []
    await bench.stop()

disk, other = Path(sys.argv[1]), Path(sys.argv[2])
asyncio.run({"state": full_state, "mailbox": full_mailbox}[sys.argv[3]](disk, other))
"""


@pytest.mark.parametrize("which", ["state", "mailbox"])
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
