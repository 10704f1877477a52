# SPDX-License-Identifier: GPL-3.0-or-later
"""create_cig_maildir: what it makes, and all that it refuses."""

from __future__ import annotations

import grp
import os
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cig_cli import maildir
from cig_cli.maildir import FOLDERS, RefusedError, create, main

PROJECT = Path(__file__).resolve().parents[3]
GROUP = grp.getgrgid(1).gr_name
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes mailboxes")


def refused(path: Path | str, group: str = GROUP) -> str:
    with pytest.raises(RefusedError) as caught:
        create(str(path), group)
    return str(caught.value)


def is_mailbox(path: Path) -> bool:
    names = sorted(each.name for each in path.iterdir())
    folders = [path, *(path / name for name in FOLDERS)]
    found = [each.lstat() for each in folders]
    return names == sorted(FOLDERS) and all(
        stat.S_ISDIR(each.st_mode) and stat.S_IMODE(each.st_mode) == 0o2770 and each.st_gid == 1
        for each in found
    )


@needs_root
@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_it_makes_a_mailbox(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        made = create(f"{tmp_path}//./box/", GROUP)
    finally:
        os.umask(before)
    assert made.path == str(tmp_path / "box")
    assert is_mailbox(tmp_path / "box")
    (tmp_path / "box" / "new" / "text").touch()
    assert (tmp_path / "box" / "new" / "text").stat().st_gid == 1


@needs_root
def test_an_empty_folder_is_used_and_a_group_may_be_a_number(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir(0o755)
    create(str(tmp_path / "box"), "1")
    assert is_mailbox(tmp_path / "box")


@needs_root
def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "file").touch()
    assert "is not empty" in refused(tmp_path / "box")
    assert "is no folder" in refused(tmp_path / "box" / "file")
    assert "is no folder" in refused(tmp_path / "box" / "file" / "box")
    assert [path.name for path in (tmp_path / "box").iterdir()] == ["file"]


@needs_root
def test_the_folder_above_must_exist(tmp_path: Path) -> None:
    told = refused(tmp_path / "some" / "deep" / "box")
    assert told.startswith(f"{tmp_path / 'some'} does not exist")
    assert not list(tmp_path.iterdir())


@needs_root
@pytest.mark.parametrize("link", ["a", "a/b", "a/b/box"])
def test_no_symbolic_link_is_followed(tmp_path: Path, link: str) -> None:
    target = tmp_path / "target"
    (target / "b").mkdir(parents=True)
    at = tmp_path / link
    at.parent.mkdir(parents=True, exist_ok=True)
    at.symlink_to(target)
    assert refused(tmp_path / "a/b/box").startswith(f"{at} is a symbolic link")
    assert [path.name for path in target.iterdir()] == ["b"]
    assert not list((target / "b").iterdir())


@pytest.mark.parametrize("path", ["box", "./box", "", "/", "/..", "/tmp/../box", "/tmp/a\0b"])
def test_a_path_that_is_none(path: str) -> None:
    assert refused(path)


def test_a_group_that_is_missing() -> None:
    for group in ("nosuchgroup", "4000000000", "99999999999999999999"):
        assert f"addgroup --system {group}" in refused("/tmp/box", group)


@needs_root
@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("call", ["mkdir", "fchown", "fchmod", "open", "fsync"])
def test_a_failure_midway_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, is_there: bool
) -> None:
    box = tmp_path / "box"
    if is_there:
        box.mkdir(0o751)
    for number in range(1, 30):
        with monkeypatch.context() as patched:
            calls = failing(patched, call, number)
            try:
                create(str(box), GROUP)
            except RefusedError:
                pass
            else:
                break
            assert calls[0] >= number
        if not is_there:
            assert not list(tmp_path.iterdir())
        else:
            assert not list(box.iterdir())
            found = box.stat()
            assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o751, os.getegid())
    assert is_mailbox(box)


def failing(monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> list[int]:
    """Have one call of os fail, the one of that number."""
    real, calls = getattr(os, call), [0]

    def fail(*arguments: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] == number:
            raise OSError(28, "No space left on device")
        return real(*arguments, **more)

    monkeypatch.setattr(maildir.os, call, fail)
    return calls


def test_only_root_may(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(maildir.os, "geteuid", lambda: 1000)
    assert "only root" in refused(tmp_path / "box")


@needs_root
def test_the_program_says_what_is_left_to_do(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(0o700)
    answer = CliRunner().invoke(main, ["--group", GROUP, str(tmp_path / "shut" / "box")])
    assert answer.exit_code == 0
    assert f"adduser cigserver {GROUP}" in answer.output
    assert f"chmod o+x {tmp_path / 'shut'}" in answer.output
    assert "cig-cli reload" in answer.output
    again = CliRunner().invoke(main, ["--group", GROUP, str(tmp_path / "shut" / "box")])
    assert again.exit_code == 1
    assert "is not empty" in again.stderr


def test_the_module_is_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cig_cli.maildir", "--help"],
        env={**os.environ, "PYTHONPATH": str(PROJECT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "create_cig_maildir [OPTIONS] PATH" in done.stdout
    scripts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts["create_cig_maildir"] == "cig_cli.maildir:main"
