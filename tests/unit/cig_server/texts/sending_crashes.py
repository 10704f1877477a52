# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills a process that sends texts, at each of its steps; the texts arrive once all the same.

``python sending_crashes.py WORK MODE``: MODE is ``every`` (killed before step 1, 2, 3..., then left
to finish) or ``again`` (killed many times in a row, then left to finish). Prints how many processes
were killed. The disk of the CRS, and the phone behind it, is a folder that outlives them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from cig_common.texts.content import TextContent
from cig_server.texts.store import TextStore
from killing import Steps, killed
from umsg.errors import ErrorCode
from unit.cig_server.texts.sendings import Bench, KeepingCrs, Notices, message

CALLS = ("fsync", "rename", "unlink", "mkdir")
UNKNOWN = "tel:+46709999999"
LARGE = "large\n" * 20_000
GOOD = {"small": "small", "large": LARGE, "last": "last"}


def fill(folder: Path) -> None:
    """Make mailboxes with messages that go, one with a fault, and one for nobody."""
    bench = Bench(folder)
    for name, text in GOOD.items():
        bench.put(message(text), name)
    bench.put(b"poison", "poison")
    bench.put(message("nobody", to="46709999999@secure"), "nobody")
    for box in (bench.a, bench.b):
        (box / "failed").rmdir()


class KeptNotices(Notices):
    """Keeps what is told in a folder, one file for each mid, after a step."""

    def __init__(self, folder: Path, step: Callable[[], None]) -> None:
        super().__init__()
        self.folder = folder
        self.step = step
        folder.mkdir(exist_ok=True)

    async def deliver_local(
        self, *, from_uri: str, to_uri: str, mid: str, content: TextContent
    ) -> bool:
        await super().deliver_local(from_uri=from_uri, to_uri=to_uri, mid=mid, content=content)
        self.step()
        (self.folder / mid.replace("/", "_")).touch()
        self.step()
        return True


def count_commits(step: Callable[[], None]) -> None:
    """Let the moment before and after each transaction be a step."""
    real = TextStore._transact

    def transact(store: TextStore, *arguments: object) -> None:
        step()
        real(store, *arguments)  # type: ignore[arg-type]
        step()

    TextStore._transact = transact  # type: ignore[method-assign, assignment]


def count_answers(step: Callable[[], None]) -> None:
    """Let the moment before and after the CRS has a text be a step."""
    real = KeepingCrs._whole

    def whole(crs: KeepingCrs, *arguments: object) -> None:
        step()
        real(crs, *arguments)  # type: ignore[arg-type]
        step()

    KeepingCrs._whole = whole  # type: ignore[method-assign, assignment]


async def send(folder: Path, step: Callable[[], None]) -> None:
    """Send all there is."""
    bench = Bench(folder)
    bench.notices = KeptNotices(folder / "notices", step)
    bench.crs.refuse[UNKNOWN] = ErrorCode.NOT_FOUND
    await bench.start()

    async def left() -> bool:
        rows = await bench.store.run(
            lambda connection: connection.execute(
                "SELECT 1 FROM outbox WHERE state != 'stored'"
            ).fetchall()
        )
        return bool(rows or bench.new() or bench.sending.busy)

    try:
        async with asyncio.timeout(20):
            while await left():
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise SystemExit(f"left: {bench.new()}, trouble: {bench.sending.trouble}") from None
    await bench.stop()


def run(folder: Path, last: int) -> bool:
    """Send in a process that is killed before its step ``last``; tell whether it was."""

    def work() -> None:
        steps = Steps(last)
        steps.before_calls(CALLS)
        count_commits(steps.step)
        count_answers(steps.step)
        asyncio.run(send(folder, steps.step))

    return killed(work)


def nothing_is_lost(folder: Path) -> None:
    """Each message is in its mailbox, or with the CRS; or aside, with its reason."""
    new, failed = folder / "a/new", folder / "a/failed"
    arrived = {path.read_text("utf-8").strip() for path in (folder / "crs").iterdir()}
    for name, text in GOOD.items():
        assert (new / name).exists() or text.strip() in arrived, f"{name} is lost"
    for name in ("poison", "nobody"):
        aside = (failed / name).exists() and (failed / f"{name}.reason").read_bytes().endswith(
            b"\n"
        )
        assert (new / name).exists() or aside, f"{name} is lost"


def check(folder: Path) -> None:
    """All is done, and nothing twice."""
    arrived = sorted(path.read_text("utf-8").strip() for path in (folder / "crs").iterdir())
    assert arrived == sorted(text.strip() for text in GOOD.values()), len(arrived)
    assert not list((folder / "a/new").iterdir())
    aside = sorted(path.name for path in (folder / "a/failed").iterdir())
    assert aside == ["nobody", "nobody.reason", "poison", "poison.reason"], aside
    assert len(list((folder / "notices").iterdir())) == 1
    assert not list((folder / "state/out").iterdir())


def main(work: Path, mode: str) -> None:
    """Kill; see above."""
    begun = work / "begun"
    begun.mkdir()
    fill(begun)
    config_at = work / "at"  # the same path for all, since rows name the mailboxes
    deaths, alive = 0, False
    step = 0
    while not alive:
        step += 1
        shutil.copytree(begun, config_at)
        keep_times(begun, config_at)
        alive = not run(config_at, step)
        while mode == "again" and not alive:
            deaths += 1
            nothing_is_lost(config_at)
            alive = not run(config_at, step)
            step += 3
        if not alive:
            deaths += 1
            nothing_is_lost(config_at)
            run(config_at, 0)
        check(config_at)
        shutil.rmtree(config_at)
    print(deaths)


def keep_times(source: Path, target: Path) -> None:
    """A copy's times are rounded on some file systems: make them those of the original."""
    for path in (source / "a/new").iterdir():
        status = path.stat()
        os.utime(target / "a/new" / path.name, ns=(status.st_atime_ns, status.st_mtime_ns))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
