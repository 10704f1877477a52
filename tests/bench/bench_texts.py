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
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import uvloop

from cig_common.clock import SystemClock
from cig_common.config import loads
from cig_server.texts import outbox_store, received
from cig_server.texts.crypto import Sealed
from cig_server.texts.delivery import Deliverer
from cig_server.texts.model import Copy, TextKey
from cig_server.texts.sending import Sending
from cig_server.texts.store import TextStore
from umsg.messages import Receipt, Text
from umsg.texts import Envelope

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


CONFIGURATION = """
translate_map users {{ rule match "{{number}}@secure" translation "tel:+{{number}}"; }}
translate_map extensions {{ rule match "{{ext}}@pbx" translation "tel:+8888;{{ext}}"; }}
mailboxes {{ read {{ path "{box}";
    map_from translate_map extensions; map_to translate_map users; }} }}
interfaces {{ }}
"""


class _Nearest:
    """A CRS, and a relay, that cost nothing: what is measured is the gateway's own way."""

    connected = True

    def __init__(self) -> None:
        self.stored: Callable[[str], None] = lambda mid: None
        self.seen = 0

    async def send_part(self, part: Text) -> bool:
        self.seen += 1
        asyncio.get_running_loop().call_soon(self.stored, part.mid)
        return True

    async def seal(
        self, mid: str, from_uri: str, to_uri: str, content: Iterable[bytes], out: BinaryIO
    ) -> Sealed:
        whole = b"".join(content) + bytes(16)
        out.write(whole)
        digest = hashlib.sha256(whole).digest()
        return Sealed(Envelope(mid, from_uri, to_uri, b"mikey"), digest, len(whole))

    async def check_receipt(self, receipt: Receipt, *, content_digest: bytes, signer: str) -> None:
        raise AssertionError("no receipt comes")

    async def deliver_local(self, **more: object) -> bool:
        raise AssertionError("no text fails")


def out_of_mailboxes(folder: Path, texts: int) -> float:
    """Send the messages of a read mailbox, until the outbox is empty."""
    return uvloop.run(_out_of_mailboxes(folder, texts))


async def _out_of_mailboxes(folder: Path, texts: int) -> float:
    box, nearest, clock = _mailbox(folder), _Nearest(), SystemClock()
    for number in range(texts):
        path = box / "tmp" / f"{number:06}"
        head = "From: <101@pbx>\nTo: <46701234567@secure>\n\n"
        path.write_bytes(head.encode() + b"x" * OCTETS)
        path.rename(box / "new" / path.name)
        os.utime(box / "new" / path.name, (1e9 + number, 1e9 + number))
    configuration = loads(CONFIGURATION.format(box=box))
    store = TextStore(folder, (outbox_store.SCHEMA,))
    await store.open()
    sending = Sending(
        config=lambda: configuration,
        store=store,
        crypto=nearest,
        link=nearest,
        own_uri=lambda: "tel:+8888",
        notify=nearest,
        clock=clock,
        random_bytes=os.urandom,
        folder=folder,
        retry_seconds=lambda: 1e12,
    )
    nearest.stored = sending.stored
    begin = time.perf_counter()
    await sending.start()
    while sending.counters["sent"] < texts:
        await asyncio.sleep(0.001)
    seconds = time.perf_counter() - begin
    await sending.stop()
    await store.close()
    if nearest.seen != texts or any((box / "new").iterdir()):
        raise RuntimeError(f"{nearest.seen} of {texts} texts were sent")
    return seconds


def _write(file: BinaryIO, octets: bytes) -> None:
    file.write(octets)


def _mailbox(folder: Path) -> Path:
    box = folder / "box"
    for name in ("new", "cur", "tmp", "failed"):
        (box / name).mkdir(parents=True)
    return box


WAYS: dict[str, Way] = {"in": into_mailboxes, "out": out_of_mailboxes}
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
