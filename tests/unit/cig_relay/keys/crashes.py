# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills real processes while they write the keystore, before each call that changes the disk.

``python crashes.py WORK ACTION...`` takes the folder WORK/start and does the actions one after
another, each in a child process that is killed before its first, second, third... call; what each
left is where the next action begins, and the last ones leave WORK/left/*.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from cig_relay.keys.keystore import Keystore
from killing import Steps, killed
from unit.cig_relay.keys.lab import material

CHANGING = ("open", "fsync", "link", "rename", "unlink", "utime")
MADE = {
    month: {uri: material(month, uri=uri) for uri in ("tel:+8888", "tel:+7777")}
    for month in ("2026-09-1", "2026-10-1", "2026-11-1", "2026-12-1")
}


def save(month: str, uri: str = "tel:+8888") -> Callable[[Path], None]:
    """An action: save the keys of a month."""
    return lambda folder: Keystore(folder, environment={}).save(MADE[month][uri]) and None


def move(folder: Path) -> None:
    """An action: read where there is a credential now, which seals anew."""
    Keystore(folder, environment=moved_environment(folder)).read()


def copy_instead(folder: Path) -> None:
    """An action: save on a file system that knows no second names."""
    os.link = refuse  # type: ignore[assignment]
    save("2026-11-1")(folder)


def refuse(*names: object, **options: object) -> None:
    """Stand in for a link that the file system does not make."""
    raise PermissionError(1, "Operation not permitted")


def moved_environment(folder: Path) -> dict[str, str]:
    """The environment of a service whose credential lies in the folder for simplicity."""
    return {"CREDENTIALS_DIRECTORY": str(folder)}


ACTIONS: dict[str, Callable[[Path], None]] = {
    "again": save("2026-11-1"),
    "other": save("2026-11-1", "tel:+7777"),
    "back": save("2026-12-1"),
    "move": move,
    "copied": copy_instead,
}


def copied(source: Path, target: Path) -> Path:
    """Copy a folder; names of one file stay names of one file."""
    target.mkdir(mode=0o700, parents=True)
    first: dict[int, Path] = {}
    for path in sorted(source.iterdir()):
        known = first.setdefault(path.stat().st_ino, target / path.name)
        if known.exists():
            os.link(known, target / path.name)
        else:
            shutil.copy2(path, known)
    return target


def crash(action: Callable[[Path], None], start: Path, left: Path) -> list[Path]:
    """Do the action again and again, killed a step later each time; give what each left."""
    results: list[Path] = []
    finished = False
    while not finished:
        folder = copied(start, left / f"{start.name}-{len(results) + 1:02}")
        results.append(folder)
        step = len(results)

        def work(folder: Path = folder, step: int = step) -> None:
            Steps(step).before_calls(CHANGING)
            action(folder)

        finished = not killed(work)
    return results


def main(work: Path, names: list[str]) -> None:
    """Do the actions; see above."""
    starts = [work / "start"]
    for number, name in enumerate(names, 1):
        left = work / ("left" if number == len(names) else f"left-{number}")
        starts = [result for start in starts for result in crash(ACTIONS[name], start, left)]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
