# SPDX-License-Identifier: GPL-3.0-or-later
"""cig.raw: imported, wiped and removed, or set aside with the reason told."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cig_common.clock import ManualClock
from cig_material import raw
from cig_relay.engines.pool import EnginePool
from cig_relay.keys.holder import KeyHolder
from cig_relay.keys.intake import KeyIntake
from cig_relay.keys.keystore import Keystore
from cig_relay.keys.raw_file import RawFile, RawFileError, set_aside
from cig_relay.keys.raw_import import RawImport
from mikey_sakke.secret import Secret
from unit.cig_relay.keys.lab import NOW, material, period_keys

NOBODY = 65534


@dataclass
class Rig:
    userdata: Path
    keystore: Keystore
    holder: KeyHolder
    intake: KeyIntake
    importer: RawImport

    @property
    def raw(self) -> Path:
        return self.userdata / "cig.raw"

    @property
    def bad(self) -> Path:
        return self.userdata / "cig.raw.bad"

    def put(self, octets: bytes, mode: int = 0o600) -> None:
        self.raw.write_bytes(octets)
        self.raw.chmod(mode)

    def held(self) -> tuple[str, ...]:
        found = self.keystore.read()
        return () if found is None else found.identity.periods

    def names(self) -> set[str]:
        return {path.name for path in self.userdata.glob("cig.raw*")}


@pytest_asyncio.fixture
async def rig(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Rig]:
    caplog.set_level(logging.DEBUG)
    userdata = tmp_path / "userdata"
    userdata.mkdir(mode=0o700)
    clock = ManualClock(NOW)
    pool = EnginePool(1)
    await pool.start()
    keystore = Keystore(userdata)
    holder = KeyHolder(keystore, pool, clock)
    intake = KeyIntake(holder, pool, clock)
    made = Rig(userdata, keystore, holder, intake, RawImport(userdata, intake))
    yield made
    await made.importer.close()
    await pool.close()


async def test_it_is_imported_wiped_and_removed(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.put(raw.encode(material("2026-11-1", "2026-12-1")))
    with rig.raw.open("rb") as still_open:
        await rig.importer.look()
        assert not any(still_open.read())
    assert rig.names() == set()
    assert rig.held() == ("2026-11-1", "2026-12-1")
    assert rig.holder.require().periods == rig.held()
    assert rig.intake.problem == ""
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    for keys in material("2026-11-1").periods:
        assert keys.ssk.reveal().hex() not in caplog.text


async def test_without_one_nothing_happens(rig: Rig) -> None:
    await rig.importer.look()
    assert rig.held() == ()
    assert rig.names() == set()


async def test_it_adds_to_what_is_held_and_again_is_no_failure(rig: Rig) -> None:
    rig.keystore.save(material("2026-11-1"))
    for _ in range(2):
        rig.put(raw.encode(material("2026-12-1")))
        await rig.importer.look()
        assert rig.names() == set()
        assert rig.held() == ("2026-11-1", "2026-12-1")
        assert rig.intake.problem == ""


def _bad_keys() -> bytes:
    good, other = period_keys("2026-12-1"), period_keys("2026-01-1")
    return raw.encode(material(periods=(replace(good, rsk=Secret(other.rsk.reveal())),)))


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "it is empty"),
        (b"%PDF-1.7 and so on", "holds no key material"),
        (raw.encode(material("2026-12-1"))[:-1], "damaged or cut short"),
        (b"CIGRAW\2 of the year 2040", "has format version 2"),
        (bytes(6) + b"x" * raw.MAX_OCTETS, "longer than"),
        (_bad_keys(), "the keys of period 2026-12-1 are wrong"),
        (raw.encode(material("2026-11-1")), "ask the CMS for the material that it issued last"),
        (raw.encode(material("2026-09-1")), "are over"),
        (raw.encode(material("2026-12-1", domain="OTHER")), "cig-cli set-key --replace"),
    ],
)
async def test_what_does_not_import_is_set_aside(
    rig: Rig, caplog: pytest.LogCaptureFixture, octets: bytes, reason: str
) -> None:
    rig.keystore.save(material("2026-11-2"))
    await rig.holder.reload()
    rig.put(octets, 0o640)
    await rig.importer.look()
    assert rig.names() == {"cig.raw.bad"}
    assert rig.bad.read_bytes() == octets
    assert rig.bad.stat().st_mode & 0o777 == 0o600
    assert reason in caplog.text
    assert reason in rig.intake.problem
    assert rig.held() == ("2026-11-2",)
    assert rig.holder.require().periods == ("2026-11-2",)
    # The next start finds nothing to do, and says nothing anew.
    caplog.clear()
    await rig.importer.look()
    assert caplog.text == ""
    assert reason in rig.intake.problem
    # A good one later settles it.
    rig.put(raw.encode(material("2026-12-1")))
    await rig.importer.look()
    assert rig.intake.problem == ""
    assert rig.held() == ("2026-11-2", "2026-12-1")


async def test_the_problem_is_settled_by_removing_the_file_too(rig: Rig) -> None:
    rig.put(b"nothing")
    await rig.importer.look()
    assert rig.intake.problem
    rig.bad.unlink()
    await rig.importer.look()
    assert rig.intake.problem == ""


async def test_a_keystore_that_is_damaged_is_not_given_up(rig: Rig) -> None:
    path = rig.keystore.save(material("2026-11-1"))
    path.write_bytes(path.read_bytes()[:-3])
    before = path.read_bytes()
    rig.put(raw.encode(material("2026-12-1")))
    await rig.importer.look()
    assert rig.names() == {"cig.raw.bad"}
    assert path.read_bytes() == before
    assert str(path) in rig.intake.problem


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606])
async def test_one_that_others_could_read_is_imported_with_a_warning(
    rig: Rig, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    rig.put(raw.encode(material("2026-11-1")), mode)
    await rig.importer.look()
    assert rig.held() == ("2026-11-1",)
    assert rig.names() == set()
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert f"its mode is {mode:04o}" in warnings[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_one_of_somebody_else_is_imported_with_a_warning(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.put(raw.encode(material("2026-11-1")))
    os.chown(rig.raw, NOBODY, NOBODY)
    await rig.importer.look()
    assert rig.held() == ("2026-11-1",)
    assert f"it belongs to uid {NOBODY}" in caplog.text


async def test_a_link_is_not_followed(rig: Rig, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_bytes(raw.encode(material("2026-11-1")))
    before, mode = target.read_bytes(), target.stat().st_mode
    rig.raw.symlink_to(target)
    await rig.importer.look()
    assert rig.held() == ()
    assert rig.names() == {"cig.raw.bad"}
    assert rig.bad.is_symlink()
    # A second one is set aside too, and the first one's target is no older file to be wiped.
    rig.raw.symlink_to(target)
    await rig.importer.look()
    assert (target.read_bytes(), target.stat().st_mode) == (before, mode)


async def test_a_pipe_or_folder_does_not_hold_it_up(rig: Rig) -> None:
    os.mkfifo(rig.raw)
    await rig.importer.look()
    assert "it is no plain file" in rig.intake.problem
    rig.bad.unlink()
    rig.raw.mkdir()
    await rig.importer.look()
    assert rig.names() == {"cig.raw.bad"}


async def test_an_older_one_that_was_bad_is_overwritten_and_replaced(rig: Rig) -> None:
    rig.bad.write_bytes(b"CIGRAW\1 keys of yore")
    with rig.bad.open("rb") as still_open:
        rig.put(b"CIGRAW\1 torn")
        await rig.importer.look()
        assert not any(still_open.read())
    assert rig.bad.read_bytes() == b"CIGRAW\1 torn"


async def test_one_that_cannot_be_moved_is_told_once(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.bad.mkdir()
    (rig.bad / "full").touch()
    rig.put(b"nothing")
    for _ in range(3):
        await rig.importer.look()
    assert caplog.text.count("could not be moved") == 1
    rig.put(raw.encode(material("2026-11-1")))
    await rig.importer.look()
    assert rig.held() == ("2026-11-1",)
    assert rig.names() == {"cig.raw.bad"}


async def test_one_that_cannot_be_removed_is_told_once(
    rig: Rig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path == rig.raw:
            raise OSError(1, os.strerror(1))
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    rig.put(raw.encode(material("2026-11-1")))
    for _ in range(3):
        await rig.importer.look()
    assert caplog.text.count("could not be removed") == 1
    assert rig.held() == ("2026-11-1",)
    monkeypatch.undo()
    # At the next start of the relay nobody remembers: it is seen to be wiped, and removed.
    again = RawImport(rig.userdata, rig.intake)
    await again.look()
    assert rig.names() == set()
    assert "its removal is finished now" in caplog.text


@pytest.mark.parametrize("zeros", [raw.HEAD_OCTETS, 500])
async def test_a_wiping_that_was_cut_short_is_finished(rig: Rig, zeros: int) -> None:
    octets = raw.encode(material("2026-11-1"))
    rig.put(bytes(zeros) + octets[zeros:])
    with rig.raw.open("rb") as still_open:
        await rig.importer.look()
        assert not any(still_open.read())
    assert rig.names() == set()
    assert rig.intake.problem == ""


async def test_another_file_of_the_same_name_is_let_be(rig: Rig) -> None:
    rig.put(raw.encode(material("2026-11-1")))
    file = RawFile.open(rig.raw)
    assert file is not None
    rig.raw.rename(rig.userdata / "moved")
    rig.put(raw.encode(material("2026-12-1")))
    assert file.wipe_and_remove() == ""
    assert rig.raw.read_bytes() == raw.encode(material("2026-12-1"))
    assert not any((rig.userdata / "moved").read_bytes())


async def test_an_import_that_takes_long_is_told_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, late = threading.Event(), asyncio.Event()
    real = rig.keystore.save

    def save(*arguments: object, **options: object) -> Path:
        go.wait(30)
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(rig.keystore, "save", save)
    importer = RawImport(rig.userdata, rig.intake, late.set, patience=0.1)
    rig.put(raw.encode(material("2026-11-1")))
    await importer.look()
    assert rig.raw.exists()
    # A second server finds the same import running.
    await importer.look()
    go.set()
    await asyncio.wait_for(late.wait(), 30)
    assert rig.names() == set()
    assert rig.held() == ("2026-11-1",)
    await importer.close()


def test_setting_aside_what_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(RawFileError, match="could not be moved"):
        set_aside(tmp_path / "cig.raw")


@given(st.binary(max_size=300), st.integers(0, 2000), st.integers(0, 7))
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_lies_there_is_imported_or_set_aside(
    tmp_path: Path, tail: bytes, position: int, bit: int
) -> None:
    """Rubbish, and good files with one bit wrong, read through the file's own code."""
    good = raw.encode(material("2026-11-1"))
    flipped = bytearray(good)
    flipped[position % len(good)] ^= 1 << bit
    for octets in (tail, good[: len(tail)], bytes(flipped)):
        path = tmp_path / "cig.raw"
        path.write_bytes(octets)
        try:
            file = RawFile.open(path)
        except RawFileError:
            assert not octets
        else:
            assert file is not None
            assert file.octets == octets
            file.close()
        set_aside(path)
        assert (tmp_path / "cig.raw.bad").read_bytes() == octets
