# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of messages, and a mailbox on disk."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_server.texts.maildir import STALE_SECONDS, Maildir, Names, storage_error
from unit.cig_server.texts.deliveries import make_box

MANY_NAMES = """
import os
from cig_server.texts.maildir import Names
names = Names(bytes)  # no randomness at all: the rest of the rule must do
os.fork()
for _ in range(50):
    os.write(1, f"{names.next(1.5)}\\n".encode())
"""


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return make_box(tmp_path / "box")


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- names --------------------------------------------------------------------------------------


@given(st.text(), st.floats(-1e3, 5e9))
def test_any_host_and_time_make_a_name(host: str, now: float) -> None:
    names = Names(os.urandom, host)
    name = names.next(now)
    assert names.is_ours(name)
    assert not {"/", ":", "\0", "\n", " "} & set(name)
    assert not name.startswith(".")
    assert len(name.encode()) < 255
    assert not Names(os.urandom, host + "x").is_ours(name) or len(host) >= 64


def test_a_name_is_what_the_rule_says() -> None:
    names = Names(lambda number: bytes(range(number)), "a/b:c")
    for number in range(2):
        expected = f"12.M340000P{os.getpid()}Q{number}R0001020304050607.a\\057b\\072c"
        assert names.next(12.34) == expected
    assert not names.is_ours("12.M340000P1Q1.a\\057b\\072c")
    assert not names.is_ours("message.eml")


def test_names_are_unique_over_forks_and_restarts() -> None:
    made: list[str] = []
    for _ in range(3):
        made += subprocess.run(
            [sys.executable, "-c", MANY_NAMES], capture_output=True, text=True, check=True
        ).stdout.split()
    assert len(made) == len(set(made)) == 300


# --- a mailbox ----------------------------------------------------------------------------------


def test_a_message_is_written_and_moved(box: Path) -> None:
    before = os.umask(0o077)
    try:
        with Maildir(f"{box}/") as opened:
            opened.write("m", lambda file: file.write(b"hello") and None)
            assert (box / "tmp" / "m").read_bytes() == b"hello"
            assert listing(box / "new") == []
            opened.sync_tmp()
            for _ in range(2):
                opened.move("m")
                opened.sync()
    finally:
        os.umask(before)
    assert (box / "new" / "m").read_bytes() == b"hello"
    assert stat.S_IMODE((box / "new" / "m").stat().st_mode) == 0o660
    assert listing(box / "tmp") == []


def test_half_a_rename_is_put_right(box: Path) -> None:
    with Maildir(str(box)) as opened:
        opened.write("m", lambda file: None)
        (box / "new" / "m").hardlink_to(box / "tmp" / "m")
        opened.move("m")
    assert (listing(box / "tmp"), listing(box / "new")) == ([], ["m"])


def test_nothing_is_left_of_what_could_not_be_written(box: Path) -> None:
    def write(file: object) -> None:
        raise ValueError("unfit")

    with Maildir(str(box)) as opened, pytest.raises(ValueError, match="unfit"):
        opened.write("m", write)
    assert listing(box / "tmp") == []


def test_a_name_that_is_there_is_not_written_over(box: Path) -> None:
    (box / "tmp" / "m").symlink_to(box / "elsewhere")
    with Maildir(str(box)) as opened, pytest.raises(FileExistsError):
        opened.write("m", lambda file: None)
    assert not (box / "elsewhere").exists()


@pytest.mark.parametrize("which", ["", "new", "tmp"])
def test_symbolic_links_are_not_followed(box: Path, which: str) -> None:
    real = box / which if which else box
    real.rename(box.parent / "moved")
    real.symlink_to(box.parent / "moved")
    number = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError) as caught:
        Maildir(str(box))
    assert len(list(Path("/proc/self/fd").iterdir())) == number
    assert "create_cig_maildir" in str(storage_error(str(box), caught.value))


def test_a_folder_swapped_meanwhile_leads_nowhere(box: Path) -> None:
    with Maildir(str(box)) as opened:
        opened.write("m", lambda file: None)
        (box / "new").rename(box / "aside")
        (box / "new").symlink_to(box.parent)
        opened.move("m")
    assert listing(box / "aside") == ["m"]
    assert listing(box.parent) == ["box"]


def test_a_try_leaves_nothing(box: Path) -> None:
    with Maildir(str(box)) as opened:
        opened.try_out("probe", 4096)
    assert listing(box / "tmp") == listing(box / "new") == []


def test_what_was_given_up_is_removed(box: Path) -> None:
    names = Names(os.urandom)
    ours, kept, foreign = names.next(1.0), names.next(1.0), "mine.eml"
    for name in (ours, kept, foreign):
        (box / "tmp" / name).write_bytes(b"x")
    (box / "tmp" / "folder").mkdir()
    now = time.time()
    with Maildir(str(box)) as opened:
        assert opened.clean([kept], now) == 0
        assert opened.clean([kept], now, names.is_ours) == 1
        assert listing(box / "tmp") == sorted([kept, foreign, "folder"])
        assert opened.clean([kept], now + STALE_SECONDS + 5) == 1
    assert listing(box / "tmp") == sorted([kept, "folder"])


def test_what_waits_is_counted(box: Path) -> None:
    with Maildir(str(box)) as opened:
        assert opened.waiting() == (0, None)
        for name, at in (("a", 100), ("b", 50)):
            (box / "new" / name).write_bytes(b"")
            os.utime(box / "new" / name, (at, at))
        assert opened.waiting() == (2, 50.0)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "mount"),
        (errno.EIO, "disk fails"),
        (errno.EACCES, "cigmail"),
        (errno.ENOENT, "create_cig_maildir"),
        (errno.EMFILE, "Too many open files"),
    ],
)
def test_faults_say_what_to_do(number: int, words: str) -> None:
    error = storage_error("/box", OSError(number, os.strerror(number)))
    assert str(error).startswith("/box: ")
    assert words in str(error)
    assert error.where == "/box"
