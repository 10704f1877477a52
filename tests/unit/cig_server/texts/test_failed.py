# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting messages aside."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from cig_server.texts import failed
from cig_server.texts.failed import put_aside
from cig_server.texts.read_mailbox import scan
from unit.cig_server.texts.stand_ins import make_mailbox

NOW = 1_795_000_000.0


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return make_mailbox(tmp_path / "box")


def new(box: Path, name: str, octets: bytes = b"x") -> None:
    (box / "new" / name).write_bytes(octets)


def in_failed(box: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (box / "failed").iterdir()}


def test_a_message_is_moved_and_the_reason_stands_beside_it(box: Path) -> None:
    new(box, "one", b"message")
    assert put_aside(str(box), "one", "it has no To header", NOW) == "one"
    assert not list((box / "new").iterdir())
    assert in_failed(box) == {
        "one": b"message",
        "one.reason": b"2026-11-18T11:06:40.000Z it has no To header\n",
    }
    assert stat.S_IMODE((box / "failed/one.reason").stat().st_mode) == 0o660
    assert failed.count(str(box)) == 1


def test_a_name_that_is_taken_gets_a_number(box: Path) -> None:
    names = []
    for octets in (b"1", b"2", b"3"):
        new(box, "one", octets)
        names.append(put_aside(str(box), "one", "why", NOW))
    assert names == ["one", "one.1", "one.2"]
    assert [in_failed(box)[name] for name in names] == [b"1", b"2", b"3"]
    assert failed.count(str(box)) == 3


@pytest.mark.parametrize("order", [("a.reason", "a"), ("a", "a.reason")])
def test_a_message_named_like_a_reason_loses_nothing(box: Path, order: tuple[str, str]) -> None:
    for name in order:
        new(box, name, name.encode())
        assert put_aside(str(box), name, f"why {name}", NOW)
    found = in_failed(box)
    assert sorted(found.values())[-2:] == [b"a", b"a.reason"]
    assert found["a"] == b"a"
    assert found["a.reason.1"] == b"a.reason"
    assert found["a.reason"].endswith(b"why a\n")
    assert found["a.reason.1.reason"].endswith(b"why a.reason\n")
    assert failed.count(str(box)) == 2


def test_a_reason_left_by_a_crash_is_written_anew(box: Path) -> None:
    (box / "failed/one.reason").write_bytes(b"half a lin")
    new(box, "one")
    assert put_aside(str(box), "one", "why", NOW) == "one"
    assert in_failed(box)["one.reason"].endswith(b"Z why\n")


def test_a_reason_is_one_line_of_printable_characters(box: Path) -> None:
    new(box, "one")
    put_aside(str(box), "one", "a\nb\x1b[31m" + "x" * 5000, NOW)
    reason = in_failed(box)["one.reason"]
    assert reason.count(b"\n") == 1
    assert b"\x1b" not in reason
    assert len(reason) < 1100


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, os.fsdecode(b"\xff\xfe" * 127)])
def test_the_longest_names_have_a_place(box: Path, name: str) -> None:
    for octets in (b"1", b"2"):
        new(box, name, octets)
        assert put_aside(str(box), name, "why", NOW)
    assert failed.count(str(box)) == 2
    assert len(in_failed(box)) == 4


def test_another_message_under_the_same_name_is_left(box: Path) -> None:
    new(box, "one", b"old")
    [candidate] = scan(str(box), now=NOW, moved={"one"}).candidates
    new(box, "other", b"newer")
    (box / "new/other").rename(box / "new/one")
    assert put_aside(str(box), "one", "why", NOW, candidate) == ""
    assert (box / "new/one").read_bytes() == b"newer"
    assert in_failed(box) == {}


def test_what_is_gone_is_no_failure(box: Path) -> None:
    assert put_aside(str(box), "gone", "why", NOW) == ""
    assert in_failed(box) == {}


def test_what_goes_at_the_last_moment_leaves_no_reason(
    box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new(box, "one")
    real = os.rename

    def late(*arguments: Any, **more: Any) -> None:
        (box / "new/one").unlink()
        real(*arguments, **more)

    monkeypatch.setattr(os, "rename", late)
    assert put_aside(str(box), "one", "why", NOW) == ""
    assert in_failed(box) == {}


def test_a_link_is_moved_and_not_followed(box: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (box / "new/one").symlink_to(secret)
    put_aside(str(box), "one", "it is no file", NOW)
    assert (box / "failed/one").readlink() == secret
    assert secret.read_bytes() == b"secret"


def test_the_folder_is_made_where_it_is_missing(
    box: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (box / "failed").rmdir()
    box.chmod(0o2770)
    mask = os.umask(0o027)
    try:
        for name in ("one", "two"):
            new(box, name)
            with caplog.at_level(logging.WARNING):
                put_aside(str(box), name, "why", NOW)
    finally:
        os.umask(mask)
    mode = stat.S_IMODE((box / "failed").stat().st_mode)
    assert mode & 0o2757 == 0o2750
    assert caplog.text.count("chmod 2770") == 1
    assert failed.count(str(box)) == 2


def test_nothing_is_told_of_a_folder_with_the_right_mode(
    box: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (box / "failed").rmdir()
    mask = os.umask(0o007)
    try:
        new(box, "one")
        put_aside(str(box), "one", "why", NOW)
    finally:
        os.umask(mask)
    assert not caplog.records


def test_a_folder_failed_that_is_a_link_leads_nowhere(box: Path, tmp_path: Path) -> None:
    (box / "failed").rmdir()
    (box / "failed").symlink_to(tmp_path)
    new(box, "one")
    with pytest.raises(OSError):
        put_aside(str(box), "one", "why", NOW)
    assert (box / "new/one").exists()


def test_a_mailbox_that_has_no_failed_has_none_in_it(tmp_path: Path) -> None:
    assert failed.count(str(tmp_path)) == 0


def test_one_that_is_taken_away_meanwhile_leaves_no_reason(
    box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new(box, "one")
    rename = os.rename

    def taken_away(*names: str, **folders: int) -> None:
        (box / "new/one").unlink()
        rename(*names, **folders)

    monkeypatch.setattr(failed.os, "rename", taken_away)
    assert put_aside(str(box), "one", "why", NOW) == ""
    assert in_failed(box) == {}


def test_a_mailbox_may_be_a_link(box: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(box)
    (box / "failed").rmdir()
    new(box, "one")
    assert put_aside(str(link), "one", "why", NOW) == "one"
    assert sorted(in_failed(box)) == ["one", "one.reason"]
