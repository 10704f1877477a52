# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import pytest

from cig_cli.check.room import disk, judge_disk, limit_rows, locked_memory, open_files

GIB = 1024**3


def test_a_disk_is_that_of_the_nearest_folder_there_is(tmp_path: Path) -> None:
    row = disk("disk", tmp_path / "none" / "none")
    assert row.found.endswith(f"on the disk of {tmp_path}")


@pytest.mark.parametrize(
    ("free", "state"), [(2 * GIB, "ok"), (GIB // 2, "warn"), (GIB // 20, "fail"), (0, "fail")]
)
def test_disk(free: int, state: str) -> None:
    assert judge_disk("disk", Path("/"), free, no_more_files=False).state == state


def test_a_disk_that_takes_no_more_files() -> None:
    assert judge_disk("disk", Path("/"), 2 * GIB, no_more_files=True).state == "fail"


@pytest.mark.parametrize(
    ("found", "state"), [(16384, "ok"), (4256, "ok"), (4255, "warn"), (None, "skip")]
)
def test_open_files(found: float | None, state: str) -> None:
    assert open_files(found, 1000, "cig-relay").state == state


@pytest.mark.parametrize(
    ("found", "running", "state"),
    [(8 << 20, True, "warn"), (8 << 20, False, "skip"), (float("inf"), True, "ok")],
)
def test_locked_memory(found: float, running: bool, state: str) -> None:
    assert locked_memory(found, "cig-relay", running=running).state == state


def test_the_running_relay_counts(tmp_path: Path) -> None:
    for pid, count in (("self", 20000), ("42", 1024)):
        folder = tmp_path / "proc" / pid
        folder.mkdir(parents=True)
        (folder / "limits").write_text(f"Max open files            {count}      {count}   files\n")
    files, _ = limit_rows(tmp_path, 1000)
    assert (files.state, files.found) == ("ok", "20000 (this shell)")
    (tmp_path / "proc/42/cmdline").write_bytes(b"/opt/cig/bin/cig-relay\0")
    (tmp_path / "proc/42/comm").write_text("cig-relay\n")
    files, _ = limit_rows(tmp_path, 1000)
    assert (files.state, files.found) == ("warn", "1024 (cig-relay, process 42)")
