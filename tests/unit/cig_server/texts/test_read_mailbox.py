# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scan of new/ finds, and how a message is opened."""

from __future__ import annotations

import os
import socket
import tracemalloc
from pathlib import Path

import pytest

from cig_server.texts import read_mailbox
from cig_server.texts.read_mailbox import (
    MAX_OCTETS,
    MOST,
    QUIET_SECONDS,
    Candidate,
    NoMessageError,
    NotYetError,
    Scan,
    opened,
    remove,
    scan,
    unchanged,
)
from unit.cig_server.texts.stand_ins import make_mailbox

NOW = 1_795_000_000.0


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return make_mailbox(tmp_path / "box")


def new(box: Path, name: str, octets: bytes = b"x", *, age: float = 60.0) -> Path:
    path = box / "new" / name
    path.write_bytes(octets)
    os.utime(path, (NOW - age, NOW - age))
    return path


def names(found: Scan) -> list[str]:
    return [candidate.name for candidate in found.candidates]


def only(box: Path) -> Candidate:
    [candidate] = scan(str(box), now=NOW).candidates
    return candidate


def test_the_oldest_comes_first_and_a_tie_goes_by_name(box: Path) -> None:
    new(box, "c", age=10)
    new(box, "b", age=30)
    new(box, "z", age=20)
    new(box, "a", age=20)
    found = scan(str(box), now=NOW)
    assert names(found) == ["b", "a", "z", "c"]
    assert (found.total, found.more, found.later) == (4, False, False)
    assert found.oldest == NOW - 30


def test_names_with_a_dot_are_nobodys(box: Path) -> None:
    new(box, ".hidden")
    assert scan(str(box), now=NOW) == Scan()


def test_no_more_are_kept_than_asked_for(box: Path) -> None:
    for number in range(20):
        new(box, f"{number:02}", age=100 - number)
    found = scan(str(box), now=NOW, most=5)
    assert names(found) == ["00", "01", "02", "03", "04"]
    assert (found.total, found.more) == (20, True)
    taken = {candidate.identity for candidate in found.candidates}
    rest = scan(str(box), now=NOW, most=15, leave_out=taken)
    assert names(rest) == [f"{number:02}" for number in range(5, 20)]
    assert not rest.more


def test_a_scan_costs_the_same_memory_whatever_the_number(box: Path) -> None:
    peaks = []
    for number in range(6 * MOST):
        (box / "new" / f"{number:08}.a-name-of-the-usual-length.host").touch()
        if number + 1 in (2 * MOST, 6 * MOST):
            tracemalloc.start()
            found = scan(str(box), now=NOW)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert len(found.candidates) == MOST
            assert found.more
    assert peaks[1] < peaks[0] * 1.2


def test_a_file_that_was_just_written_waits(box: Path) -> None:
    new(box, "fresh", age=QUIET_SECONDS / 2)
    found = scan(str(box), now=NOW)
    assert (names(found), found.later, found.total) == ([], True, 1)
    assert names(scan(str(box), now=NOW + QUIET_SECONDS)) == ["fresh"]


def test_a_file_that_was_moved_in_does_not_wait(box: Path) -> None:
    new(box, "fresh", age=0)
    assert names(scan(str(box), now=NOW, moved={"fresh"})) == ["fresh"]


def test_a_file_that_is_being_written_waits_however_quiet(box: Path) -> None:
    new(box, "slow", age=100)
    found = scan(str(box), now=NOW, writing={"slow"})
    assert (names(found), found.later) == ([], True)


def test_a_time_in_the_future_holds_nothing_up(box: Path) -> None:
    new(box, "future", age=-100_000)
    assert names(scan(str(box), now=NOW)) == ["future"]


def test_what_is_no_file_is_told_apart(box: Path, tmp_path: Path) -> None:
    (box / "new/link").symlink_to("/etc/passwd")
    os.mkfifo(box / "new/fifo")
    (box / "new/folder").mkdir()
    where = Path.cwd()
    with socket.socket(socket.AF_UNIX) as bound:
        os.chdir(box / "new")
        try:
            bound.bind("socket")
        finally:
            os.chdir(where)
    found = scan(str(box), now=NOW)
    assert sorted(found.odd) == ["fifo", "link", "socket"]
    assert found.folders == ["folder"]
    assert found.candidates == []


def test_new_must_be_a_folder_and_no_link(box: Path, tmp_path: Path) -> None:
    (box / "new").rmdir()
    with pytest.raises(FileNotFoundError):
        scan(str(box), now=NOW)
    (box / "new").symlink_to(tmp_path)
    with pytest.raises(OSError):
        scan(str(box), now=NOW)


def test_a_message_is_opened(box: Path) -> None:
    new(box, "one", b"hello")
    candidate = only(box)
    with opened(candidate) as file:
        assert file.read() == b"hello"
        assert unchanged(candidate, file)


def test_a_message_that_grows_while_it_is_read_has_changed(box: Path) -> None:
    path = new(box, "one", b"hello")
    candidate = only(box)
    with opened(candidate) as file:
        with path.open("ab") as writer:
            writer.write(b" world")
        assert not unchanged(candidate, file)
    with pytest.raises(NotYetError), opened(candidate):
        pass


def test_what_has_become_another_file_or_none_is_not_opened(box: Path) -> None:
    path = new(box, "one", b"hello")
    candidate = only(box)
    new(box, "two", b"hello").rename(path)
    with pytest.raises(NotYetError), opened(candidate):
        pass
    path.unlink()
    with pytest.raises(NotYetError), opened(candidate):
        pass


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_what_has_become_no_file_is_not_opened_and_does_not_block(box: Path, kind: str) -> None:
    path = new(box, "one")
    candidate = only(box)
    path.unlink()
    if kind == "link":
        path.symlink_to("/etc/passwd")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises((NoMessageError, NotYetError)), opened(candidate):
        pass


def test_a_file_of_another_group_is_none(box: Path) -> None:
    path = new(box, "one")
    groups = [group for group in os.getgroups() if group != path.stat().st_gid] or [54321]
    try:
        os.chown(path, -1, groups[0])
    except PermissionError:
        pytest.skip("this user can give no file to another group")
    with pytest.raises(NoMessageError, match=f"group {groups[0]}"), opened(only(box)):
        pass


def test_a_file_that_may_not_be_read_is_none(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new(box, "one").chmod(0)
    candidate = only(box)
    if os.geteuid() == 0:
        real = os.open

        def refuse(path: str, *arguments: int, **more: int) -> int:
            if path == "one":
                raise PermissionError(13, "Permission denied")
            return real(path, *arguments, **more)

        monkeypatch.setattr(read_mailbox.os, "open", refuse)
    with pytest.raises(NoMessageError, match="may not read"), opened(candidate):
        pass


def test_a_file_that_is_too_large_is_none(box: Path) -> None:
    os.truncate(new(box, "one"), MAX_OCTETS + 1)
    os.utime(box / "new/one", (NOW - 60, NOW - 60))
    with pytest.raises(NoMessageError, match="24 MiB"), opened(only(box)):
        pass


def test_messages_that_are_done_are_removed_and_no_others(box: Path) -> None:
    done, replaced, gone = new(box, "a"), new(box, "b"), new(box, "c")
    new(box, "stays")
    candidates = scan(str(box), now=NOW).candidates[:3]
    new(box, "x", b"another").rename(replaced)
    gone.unlink()
    remove(candidates)
    assert sorted(path.name for path in (box / "new").iterdir()) == ["b", "stays"]
    assert not done.exists()
    remove([])


def test_a_candidate_tells_when_it_came(box: Path) -> None:
    new(box, "one", age=5)
    assert only(box).since == NOW - 5
