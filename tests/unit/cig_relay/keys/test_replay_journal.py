# SPDX-License-Identifier: GPL-3.0-or-later
"""The replay journal: what survives a restart, a crash, a full disk, and a loss."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from hashlib import sha256
from pathlib import Path

import pytest

from cig_relay.keys import replay_journal
from cig_relay.keys.errors import JournalError
from cig_relay.keys.replay_journal import ReplayJournal
from mikey_sakke.errors import ReplayError
from unit.cig_relay.keys.lab import NOW

SKEW = 300.0


def _key(number: int) -> bytes:
    return sha256(number.to_bytes(4, "big")).digest()


def _open(path: Path, *, now: float = NOW, keys_since: float | None = None) -> ReplayJournal:
    def keys_before(moment: float) -> bool:
        return keys_since is not None and keys_since < moment

    return ReplayJournal(path, now=now, skew=SKEW, keys_before=keys_before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".replay.journal"


async def _filled(path: Path, count: int) -> None:
    journal = _open(path)
    await asyncio.gather(*(journal.insert(_key(n), NOW + n, NOW) for n in range(count)))
    await journal.close()


async def test_a_message_is_known_after_a_restart(path: Path) -> None:
    await _filled(path, 20)
    journal = _open(path, now=NOW + 1)
    for number in range(20):
        with pytest.raises(ReplayError):
            await journal.insert(_key(number), NOW + number, NOW)
    await journal.insert(_key(20), NOW + 20, NOW)
    assert journal.refuses_until is None
    await journal.close()


async def test_an_entry_is_on_disk_before_insert_returns(path: Path) -> None:
    journal = _open(path)
    await journal.insert(_key(1), NOW, NOW)
    assert _key(1).hex() in path.read_text()
    await journal.close()


async def test_of_two_equal_messages_at_once_one_is_used(path: Path) -> None:
    journal = _open(path)
    results = await asyncio.gather(
        *(journal.insert(_key(1), NOW, NOW) for _ in range(3)), return_exceptions=True
    )
    assert [isinstance(result, ReplayError) for result in results] == [False, True, True]
    await journal.close()


async def test_the_file_is_for_its_owner_only(path: Path) -> None:
    await _filled(path, 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_many_at_once_share_their_writes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda d: (synced.append(d), real(d)))
    await _filled(path, 100)
    assert 1 <= len(synced) < 20
    assert len(path.read_text().splitlines()) == 100


async def test_a_torn_last_line_is_dropped_and_told(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await _filled(path, 3)
    path.write_text(path.read_text() + _key(9).hex()[:30])
    journal = _open(path, keys_since=0)
    assert journal.refuses_until is None
    assert "a crash cut short" in caplog.text
    with pytest.raises(ReplayError):
        await journal.insert(_key(1), NOW + 1, NOW)
    await journal.insert(_key(9), NOW + 9, NOW)
    await journal.close()
    assert len(path.read_text().splitlines()) == 4


@pytest.mark.parametrize("damage", ["first", "last"])
async def test_damage_elsewhere_is_a_loss(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    await _filled(path, 3)
    lines = path.read_text().splitlines()
    lines[0 if damage == "first" else -1] = "#" * 70
    path.write_text("\n".join(lines) + "\n")
    journal = _open(path, keys_since=0)
    assert journal.refuses_until == NOW + 2 * SKEW
    assert "lost" in caplog.text
    with pytest.raises(ReplayError):
        await journal.insert(_key(50), NOW + SKEW, NOW)
    await journal.insert(_key(51), NOW + SKEW + 1, NOW)
    await journal.close()


async def test_a_missing_file_is_a_first_start_where_keys_are_new(path: Path) -> None:
    for since in (None, NOW - SKEW):
        path.unlink(missing_ok=True)
        journal = _open(path, keys_since=since)
        assert journal.refuses_until is None
        await journal.insert(_key(1), NOW, NOW)
        await journal.close()


async def test_a_missing_file_is_a_loss_where_keys_are_old(path: Path) -> None:
    journal = _open(path, keys_since=NOW - 2 * SKEW - 1)
    assert journal.refuses_until == NOW + 2 * SKEW
    with pytest.raises(ReplayError):
        await journal.insert(_key(1), NOW, NOW)
    await journal.close()
    # The loss is not forgotten by one more restart.
    again = _open(path, now=NOW + 1, keys_since=0)
    with pytest.raises(ReplayError):
        await again.insert(_key(1), NOW, NOW + 1)
    await again.close()


async def test_a_disk_that_takes_nothing_is_told_once_and_recovers(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal = _open(path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    for number in range(2):
        with pytest.raises(JournalError, match="make room"):
            await journal.insert(_key(number), NOW + number, NOW)
    assert journal.broken
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1
    monkeypatch.undo()
    await journal.insert(_key(5), NOW + 5, NOW)
    assert not journal.broken
    await journal.close()
    assert path.read_text().split() == [_key(5).hex(), str(int((NOW + 5) * 1e6))]


async def test_room_is_reserved_without_growing_the_file(path: Path) -> None:
    await _filled(path, 1)
    status = path.stat()
    assert status.st_size == len(path.read_bytes()) < 100
    assert status.st_blocks * 512 >= 1 << 20


async def test_the_file_is_written_anew_when_most_of_it_is_old(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_journal, "_SPARE_LINES", 10)
    journal = _open(path)
    later = NOW + 60 * 86_400
    for number in range(30):
        await journal.insert(_key(number), NOW + number, NOW)
    for number in range(30, 60):
        await journal.insert(_key(number), later + number, later)
    assert len(path.read_text().splitlines()) < 60
    await journal.close()
    again = _open(path, now=later)
    for number in range(60):
        t = NOW + number if number < 30 else later + number
        with pytest.raises(ReplayError):
            await again.insert(_key(number), t, later)
    await again.close()


def test_a_folder_that_takes_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be written"):
        _open(tmp_path / "missing" / ".replay.journal")
    (tmp_path / "folder").mkdir()
    with pytest.raises(JournalError, match="cannot be read"):
        _open(tmp_path / "folder")
