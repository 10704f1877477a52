# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealed contents in files."""

from __future__ import annotations

import os
import stat
from io import BytesIO
from pathlib import Path

import pytest

from cig_server.texts import sealed_files
from cig_server.texts.model import StorageError
from cig_server.texts.sealed_files import SealedFiles
from umsg.texts import MAX_PART

MID = "ab/d+fgh1234ABCD"
WHOLE = os.urandom(2 * MAX_PART + 5)


@pytest.fixture
def files(tmp_path: Path) -> SealedFiles:
    files = SealedFiles(tmp_path)
    assert files.prepare([]) == 0
    return files


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "out").iterdir())


def test_a_content_comes_back_in_parts(files: SealedFiles, tmp_path: Path) -> None:
    source = BytesIO(WHOLE)
    source.seek(7)  # wherever it stands
    files.keep(MID, source)
    parts = list(files.parts(MID))
    assert b"".join(parts) == WHOLE
    assert [len(part) for part in parts] == [MAX_PART, MAX_PART, 5]
    assert kept(tmp_path) == ["ab_d+fgh1234ABCD"]
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


def test_what_no_row_names_goes_at_the_start(files: SealedFiles, tmp_path: Path) -> None:
    for mid in (MID, "other"):
        files.keep(mid, BytesIO(WHOLE))
    assert SealedFiles(tmp_path).prepare({MID, "gone"}) == 1
    assert b"".join(files.parts(MID)) == WHOLE


def test_what_is_gone_has_no_parts(files: SealedFiles, tmp_path: Path) -> None:
    files.keep(MID, BytesIO(WHOLE))
    files.drop([MID, "gone"])
    assert list(files.parts(MID)) == []
    assert kept(tmp_path) == []


def test_it_is_synced_with_its_folder(
    files: SealedFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr(sealed_files.os, "fsync", lambda fd: synced.append(os.fstat(fd).st_ino))
    files.keep(MID, BytesIO(WHOLE))
    [path] = (tmp_path / "out").iterdir()
    assert synced == [path.stat().st_ino, (tmp_path / "out").stat().st_ino]


def test_a_fault_of_the_disk_leaves_nothing(
    files: SealedFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sealed_files.os, "fsync", full)
    with pytest.raises(StorageError, match="No space left") as caught:
        files.keep(MID, BytesIO(WHOLE))
    assert caught.value.where == str(tmp_path / "out")
    assert kept(tmp_path) == []


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        SealedFiles(tmp_path).keep(MID, BytesIO(WHOLE))
    with pytest.raises(OSError):
        SealedFiles(tmp_path / "missing").prepare([])


def test_a_file_that_cannot_be_read_is_told(files: SealedFiles, tmp_path: Path) -> None:
    (tmp_path / "out" / "dir").mkdir()
    with pytest.raises(StorageError):
        list(files.parts("dir"))
    files.drop(["dir"])  # what cannot be removed is left
    assert kept(tmp_path) == ["dir"]
