# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts a second with everything on disk, in and out, against what this machine's disk can do.

Run as `PYTHONPATH=src python tests/bench/bench_texts.py` or by `make bench-texts`; `--help` has the
options. The floor is a loop that writes a file of 500 octets, fsyncs it, renames it from one folder
to another and fsyncs that folder. Each way is measured in turn with the floor, since disks have
moods, and the smallest time of the rounds counts. The exit code is 1 where a way takes more than
1.5 times the floor a text.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import uvloop

from cig_common.clock import SystemClock
from cig_server.texts import received
from cig_server.texts.delivery import Deliverer
from cig_server.texts.model import Copy, TextKey
from cig_server.texts.store import TextStore

OCTETS = 500
MOST_TIMES_FLOOR = 1.5
ROUNDS = 5
TEXTS = 1000
WINDOW = 32
"""Texts under way at once, as a CRS may send them."""

Way = Callable[[Path, int], float]
"""Passes so many texts in a new folder; returns the seconds that it took, set-up left out."""


def floor(folder: Path, texts: int) -> float:
    """Write, fsync, rename, fsync the folder: what no mailbox can do without."""
    tmp, new = folder / "tmp", folder / "new"
    tmp.mkdir()
    new.mkdir()
    content = b"x" * OCTETS
    folder_fd = os.open(new, os.O_RDONLY | os.O_DIRECTORY)
    begin = time.perf_counter()
    for number in range(texts):
        source = tmp / f"{number}"
        descriptor = os.open(source, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o660)
        os.write(descriptor, content)
        os.fsync(descriptor)
        os.close(descriptor)
        source.rename(new / source.name)
        os.fsync(folder_fd)
    seconds = time.perf_counter() - begin
    os.close(folder_fd)
    return seconds


def into_mailboxes(folder: Path, texts: int) -> float:
    """Deliver texts into a write mailbox as they come from a CRS: `WINDOW` at once."""
    return uvloop.run(_into_mailboxes(folder, texts))


async def _into_mailboxes(folder: Path, texts: int) -> float:
    box = _mailbox(folder)
    store = TextStore(folder, (received.SCHEMA,))
    await store.open()
    deliverer = Deliverer(
        store, mailboxes=lambda: (str(box),), clock=SystemClock(), random_bytes=os.urandom
    )
    await deliverer.start()
    window = asyncio.Semaphore(WINDOW)

    async def one(number: int) -> None:
        async with window:
            key = TextKey("tel:+46701234567", f"{number:016}")
            copy = Copy(str(box), lambda file: _write(file, b"x" * OCTETS))
            await deliverer.deliver(key, bytes(32), (copy,))
            await deliverer.keep_receipt(key, "2026-11-1", bytes(129))

    begin = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(texts)))
    seconds = time.perf_counter() - begin
    await deliverer.stop()
    await store.close()
    found = sum(1 for _ in (box / "new").iterdir())
    if found != texts:
        raise RuntimeError(f"{found} of {texts} texts arrived")
    return seconds


def _write(file: BinaryIO, octets: bytes) -> None:
    file.write(octets)


def _mailbox(folder: Path) -> Path:
    box = folder / "box"
    for name in ("new", "cur", "tmp", "failed"):
        (box / name).mkdir(parents=True)
    return box


WAYS: dict[str, Way] = {"in": into_mailboxes}
"""Each way that texts go through the gateway, by the name that the table shows."""


def shortest(ways: dict[str, Way], folder: Path, texts: int, rounds: int) -> dict[str, float]:
    """Run the ways in turn, round after round; return the shortest seconds a text of each."""
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory(dir=folder, prefix="bench-texts-") as own:
                seconds = way(Path(own), texts) / texts
            best[name] = min(seconds, best.get(name, seconds))
    return best


def main() -> int:
    """Measure, print a table, and tell whether the target was met."""
    parser = argparse.ArgumentParser(description="Texts a second against the disk alone.")
    parser.add_argument("--folder", type=Path, default=Path(), help="on the disk that is meant")
    parser.add_argument("--texts", type=int, default=TEXTS, help="a round")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    best = shortest({"floor": floor, **WAYS}, given.folder, given.texts, given.rounds)
    least = best["floor"]
    print(f"{'':<12}{'texts a second':>15}{'ms a text':>12}{'of the floor':>14}")
    for name, seconds in best.items():
        print(f"{name:<12}{1 / seconds:>15.0f}{seconds * 1000:>12.3f}{seconds / least:>14.2f}")
    return int(any(seconds > MOST_TIMES_FLOOR * least for seconds in best.values()))


if __name__ == "__main__":
    sys.exit(main())
