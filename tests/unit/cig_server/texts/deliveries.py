# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills real deliveries at every step, starts anew, delivers again, and looks into the mailboxes.

``python deliveries.py WORK MODE``: MODE is ``every`` (killed before step 1, 2, 3...), ``reader``
(the same, with a reader that takes what it finds before the new start) or ``again`` (many starts in
a row, each killed somewhere, with the reader). Prints how many processes were killed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from cig_common.clock import SystemClock
from cig_server.texts import received
from cig_server.texts.delivery import Deliverer
from cig_server.texts.model import Copy, TextKey
from cig_server.texts.store import TextStore
from killing import Steps, killed

CHANGING = ("open", "fchmod", "fsync", "rename", "unlink")
KEYS = [TextKey("tel:+4711", f"{number:016}") for number in range(3)]
DIGEST = hashlib.sha256(b"").digest()
BOXES = ("one", "two")


def make_box(path: Path) -> Path:
    """Make a mailbox."""
    for name in ("new", "cur", "tmp", "failed"):
        (path / name).mkdir(parents=True)
    return path


def body(key: TextKey) -> bytes:
    """What the copies of a text hold: more than a buffer."""
    return (key.mid + "\n").encode() * 6000


def copies(folder: Path, key: TextKey, step: Callable[[], None] = lambda: None) -> list[Copy]:
    """A text's copies for both mailboxes; a step in the middle of writing."""

    def write(file: BinaryIO) -> None:
        whole = body(key)
        file.write(whole[:70_000])
        step()
        file.write(whole[70_000:])

    return [Copy(str(folder / box), write) for box in BOXES]


def deliverer(store: TextStore, folder: Path) -> Deliverer:
    """A deliverer into the two mailboxes."""
    return Deliverer(
        store,
        mailboxes=lambda: [str(folder / box) for box in BOXES],
        clock=SystemClock(),
        random_bytes=os.urandom,
    )


def count_commits(step: Callable[[], None]) -> None:
    """Let there be a step before and after each commit."""
    real = TextStore._transact

    def transact(store: TextStore, *arguments: object) -> None:
        step()
        real(store, *arguments)  # type: ignore[arg-type]
        step()

    TextStore._transact = transact  # type: ignore[method-assign, assignment]


async def deliver(folder: Path, step: Callable[[], None]) -> None:
    """Start, deliver two texts at once and a third, keep receipts, and stop."""
    store = TextStore(folder / "state", [received.SCHEMA])
    await store.open()
    service = deliverer(store, folder)
    await service.start()

    async def one(key: TextKey) -> None:
        await service.deliver(key, DIGEST, copies(folder, key, step))
        step()
        with (folder / "receipted").open("a") as file:
            file.write(f"{key.mid}\n")
        await service.keep_receipt(key, "2026-11-1", b"signature")

    await asyncio.gather(*map(one, KEYS[:2]))
    await one(KEYS[2])
    step()
    await service.stop()
    await store.close()


def run(folder: Path, last: int) -> bool:
    """Deliver in a process that is killed before its step ``last``; tell whether it was."""

    def work() -> None:
        steps = Steps(last)
        steps.before_calls(CHANGING)
        count_commits(steps.step)
        asyncio.run(deliver(folder, steps.step))

    return killed(work)


def taken(folder: Path, found: Counter[tuple[str, bytes]]) -> None:
    """Be the reader: check, count and delete what is in new/."""
    for box in BOXES:
        for path in (folder / box / "new").iterdir():
            assert path.stat().st_mode & 0o7777 == 0o660, path
            found[box, path.read_bytes()] += 1
            path.unlink()


def check(folder: Path, found: Counter[tuple[str, bytes]]) -> None:
    """Each text is in each mailbox once, whole, and nothing else is anywhere."""
    taken(folder, found)
    assert found == {(box, body(key)): 1 for box in BOXES for key in KEYS}, folder
    for box in BOXES:
        assert not list((folder / box / "tmp").iterdir()), folder


def receipted_is_there(folder: Path, found: Counter[tuple[str, bytes]]) -> None:
    """What was receipted is in every mailbox already, before any new start."""
    path = folder / "receipted"
    for mid in path.read_text().split() if path.exists() else []:
        for box in BOXES:
            texts = [text.read_bytes() for text in (folder / box / "new").iterdir()]
            whole = body(TextKey("tel:+4711", mid))
            assert found[box, whole] + texts.count(whole) == 1, folder


def begun(folder: Path) -> Path:
    """A state folder and two mailboxes."""
    (folder / "state").mkdir(parents=True)
    for box in BOXES:
        make_box(folder / box)
    return folder


def main(work: Path, mode: str) -> None:
    """Do as above."""
    kills = 0
    if mode == "again":
        chance = random.Random(5)
        for number in range(12):
            folder, found = begun(work / str(number)), Counter[tuple[str, bytes]]()
            while run(folder, chance.randint(5, 75)):
                kills += 1
                receipted_is_there(folder, found)
                if chance.random() < 0.5:
                    taken(folder, found)
            check(folder, found)
    else:
        step = 1
        while True:
            folder, found = begun(work / str(step)), Counter[tuple[str, bytes]]()
            if not run(folder, step):
                break
            kills += 1
            receipted_is_there(folder, found)
            if mode == "reader":
                taken(folder, found)
            assert not run(folder, 0)
            check(folder, found)
            step += 1
    print(kills)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
