# SPDX-License-Identifier: GPL-3.0-or-later
"""Room: on the disks, for open files, for locked memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from cig_cli.check.processes import RELAY, limit, processes
from cig_cli.check.row import AS_ROOT, Row, fail, ok, skip, warn

LEAST_DISK = 100 * 1024**2
GOOD_DISK = 1024**3
SOCKETS_OF_A_CALL = 4
OTHER_FILES = 256
LOCKED = 512 * 1024**2
"""Octets that a crypto engine may have to lock, with room."""


def disk(name: str, path: Path) -> Row:
    """Look at the room on the disk of a path, or of what is above it where it is not there."""
    try:
        place = _nearest_folder(path)
        found = os.statvfs(place)
    except OSError as error:
        return skip(name, f"{path}: {error.strerror}", AS_ROOT)
    # Some file systems have no fixed number of files, and say 0.
    no_more_files = found.f_files > 0 and found.f_favail == 0
    free = found.f_bavail * found.f_frsize
    return judge_disk(name, place, free, no_more_files=no_more_files)


def _nearest_folder(path: Path) -> Path:
    """Give the path if it is a folder, or the nearest above it. Raises OSError."""
    # Path.is_dir raises where one may not look, and this does not.
    return next(one for one in (path, *path.absolute().parents) if os.path.isdir(one))  # noqa: PTH112


def judge_disk(name: str, place: Path, free: int, *, no_more_files: bool) -> Row:
    """Judge the free octets of a disk, and whether it takes more files."""
    text = f"{free / 1024**3:.1f} GiB free on the disk of {place}"
    if no_more_files:
        return fail(name, f"{text}, but it takes no more files (inodes)", "remove files there")
    advice = "make room, or move it to a bigger disk"
    if free < LEAST_DISK:
        return fail(name, text, advice)
    if free < GOOD_DISK:
        return warn(name, text, advice)
    return ok(name, text)


def limit_rows(root: Path, max_calls: int) -> Iterator[Row]:
    """Yield the rows about limits: of the running cig-relay or, without one, of the caller."""
    try:
        pid = next((one.pid for one in processes(root) if one.name == RELAY), None)
    except OSError:
        pid = None
    whose = f"cig-relay, process {pid}" if pid is not None else "this shell"
    which: int | str = "self" if pid is None else pid
    yield open_files(limit(root, which, "Max open files"), max_calls, whose)
    yield locked_memory(limit(root, which, "Max locked memory"), whose, running=pid is not None)


def open_files(found: float | None, max_calls: int, whose: str) -> Row:
    """Judge how many files may be open, for the calls that cig.conf allows."""
    name, need = "open files", max_calls * SOCKETS_OF_A_CALL + OTHER_FILES
    if found is None:
        return skip(name, "/proc does not tell the limit", "run: ulimit -n")
    text = f"{found:g} ({whose})"
    if found < need:
        advice = f"{max_calls} calls need {need}: systemctl edit cig-relay, LimitNOFILE={need}"
        return warn(name, text, advice)
    return ok(name, text)


def locked_memory(found: float | None, whose: str, *, running: bool) -> Row:
    """Judge how much memory may be kept from the swap."""
    name = "locked memory"
    if found is None:
        return skip(name, "/proc does not tell the limit", "run: ulimit -l")
    text = f"{found / 1024**2:g} MiB ({whose})"
    if found >= LOCKED:
        return ok(name, text)
    if not running:
        return skip(name, text, "the service has a limit of its own: look again while it runs")
    advice = "keys may be swapped out: systemctl edit cig-relay, LimitMEMLOCK=infinity"
    return warn(name, text, advice)
