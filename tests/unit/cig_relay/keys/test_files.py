# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are replaced whole, and the second name of one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cig_relay.keys.files import keep_durably, prepared, replace_durably


def test_a_replaced_file_can_keep_its_age(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_durably(path, b"old", modified=1_700_000_000_000_000_123)
    assert path.stat().st_mtime_ns == 1_700_000_000_000_000_123
    replace_durably(path, b"new")
    assert path.stat().st_mtime_ns > 1_700_000_000_000_000_123
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() == b"new"


def test_what_is_prepared_and_not_used_is_removed(tmp_path: Path) -> None:
    with prepared(tmp_path / "file", b"octets") as temporary:
        assert temporary.read_bytes() == b"octets"
    assert list(tmp_path.iterdir()) == []


def test_a_second_name(tmp_path: Path) -> None:
    path, copy = tmp_path / "file", tmp_path / "copy"
    copy.write_bytes(b"older")
    path.write_bytes(b"old")
    for _ in range(2):  # the second time both are the same file already
        keep_durably(path, copy)
        assert path.samefile(copy)
        assert sorted(tmp_path.iterdir()) == [copy, path]
    replace_durably(path, b"new")
    assert copy.read_bytes() == b"old"


def test_where_there_are_no_second_names_it_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*names: object, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path, copy = tmp_path / "file", tmp_path / "copy"
    path.write_bytes(b"old")
    keep_durably(path, copy)
    assert copy.read_bytes() == b"old"
    assert not path.samefile(copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(tmp_path.iterdir()) == [copy, path]
