# SPDX-License-Identifier: GPL-3.0-or-later
"""The keystore file: whole round trip, and every way in which it must be refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cig_relay.keys import keystore
from cig_relay.keys.errors import (
    KeystoreAccessError,
    KeystoreError,
    KeystoreFormatError,
    KeystoreKeyError,
)
from unit.cig_relay.keys.lab import GATEWAY, material, period_keys


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def _write(folder: Path, octets: bytes, name: str = ".ks.tel:+8888") -> Path:
    path = folder / name
    path.write_bytes(octets)
    path.chmod(0o600)
    return path


def test_no_keystore_is_no_error(folder: Path) -> None:
    assert keystore.load(folder) is None


def test_saves_and_loads(folder: Path) -> None:
    saved = material("2026-12-1", "2026-11-2")
    path = keystore.save(folder, saved)
    assert path == folder / ".ks.tel:+8888"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    loaded = keystore.load(folder)
    assert loaded == saved
    assert loaded is not None
    assert loaded.identity.periods == ("2026-11-2", "2026-12-1")
    assert [p.name for p in folder.iterdir()] == [path.name]


def test_the_mode_does_not_depend_on_the_umask(folder: Path) -> None:
    old = os.umask(0)
    try:
        path = keystore.save(folder, material())
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_save_replaces_the_old_file_and_what_a_crash_left(folder: Path) -> None:
    keystore.save(folder, material("2026-10-1"))
    stale = folder / ".new..ks.tel:+8888.0011223344556677"
    stale.write_bytes(b"half a keystore")
    keystore.save(folder, material("2026-11-1"))
    loaded = keystore.read(folder)
    assert loaded is not None
    assert loaded.identity.periods == ("2026-11-1",)
    assert not stale.exists()


def test_a_save_that_fails_leaves_the_old_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keystore.save(folder, material("2026-10-1"))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        keystore.save(folder, material("2026-11-1"))
    monkeypatch.undo()
    loaded = keystore.read(folder)
    assert loaded is not None
    assert loaded.identity.periods == ("2026-10-1",)
    assert len(list(folder.iterdir())) == 1


def test_nothing_shows_a_secret(folder: Path) -> None:
    loaded = material()
    secrets = [octets for k in loaded.periods for octets in (k.ssk.reveal(), k.rsk.reveal())]
    shown = f"{loaded!r} {loaded} {loaded.periods[0]!r} {loaded.identity!r}"
    for secret in secrets:
        assert secret.hex() not in shown
        assert repr(secret) not in shown


def test_wiping() -> None:
    held = material()
    held.wipe()
    assert not any(held.periods[0].ssk._octets)
    assert not any(held.periods[0].rsk._octets)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o777, 0o610])
def test_a_file_that_others_may_open_is_refused(folder: Path, mode: int) -> None:
    keystore.save(folder, material()).chmod(mode)
    with pytest.raises(KeystoreAccessError, match=f"mode is {mode:04o}.*chmod it to 0600"):
        keystore.read(folder)


def test_a_folder_that_others_may_write_is_refused(folder: Path) -> None:
    keystore.save(folder, material())
    folder.chmod(0o770)
    with pytest.raises(KeystoreAccessError, match="others can replace"):
        keystore.read(folder)


def test_a_file_of_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keystore.save(folder, material())
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(KeystoreAccessError, match=r"it belongs to uid .* runs as uid"):
        keystore.read(folder)


def test_a_symbolic_link_is_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    path = keystore.save(elsewhere, material())
    (folder / path.name).symlink_to(path)
    with pytest.raises(KeystoreAccessError, match="cannot be opened"):
        keystore.read(folder)


@pytest.mark.parametrize("make", [lambda p: p.mkdir(), lambda p: os.mkfifo(p, 0o600)])
def test_what_is_no_file_is_refused(folder: Path, make: Callable[[Path], None]) -> None:
    make(folder / ".ks.tel:+8888")
    with pytest.raises(KeystoreAccessError):
        keystore.read(folder)


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeystoreAccessError, match=r"cannot be read.*create it"):
        keystore.load(tmp_path / "userdata")


def test_two_keystores_are_refused(folder: Path) -> None:
    keystore.save(folder, material())
    keystore.save(folder, material(uri="tel:+7777"))
    with pytest.raises(KeystoreFormatError, match="more than one keystore"):
        keystore.load(folder)


def test_a_newer_format_is_refused(folder: Path) -> None:
    path = keystore.save(folder, material())
    octets = bytearray(path.read_bytes())
    octets[7] = 2
    _write(folder, bytes(octets))
    with pytest.raises(KeystoreFormatError, match=r"version 2.*knows version 1"):
        keystore.read(folder)


@pytest.mark.parametrize("octets", [b"", b"CIGKEY", b"CIGKEYS", b"CIGKEYS\x01", b"\0" * 4096])
def test_what_is_no_keystore_is_refused(folder: Path, octets: bytes) -> None:
    _write(folder, octets)
    with pytest.raises(KeystoreFormatError):
        keystore.read(folder)


def test_a_huge_file_is_refused_unread(folder: Path) -> None:
    path = _write(folder, b"CIGKEYS\x01")
    os.truncate(path, 1 << 40)
    with pytest.raises(KeystoreFormatError, match="no keystore"):
        keystore.read(folder)


@settings(max_examples=60)
@given(position=st.integers(0, 1200), bit=st.integers(0, 7), cut=st.booleans())
def test_any_damage_is_refused(
    tmp_path_factory: pytest.TempPathFactory, position: int, bit: int, cut: bool
) -> None:
    folder = tmp_path_factory.mktemp("userdata")
    octets = bytearray(keystore.save(folder, material()).read_bytes())
    position %= len(octets)
    if cut:
        del octets[position:]
    else:
        octets[position] ^= 1 << bit
    _write(folder, bytes(octets))
    with pytest.raises(KeystoreFormatError):
        keystore.read(folder)


def test_the_name_must_be_that_of_the_keys(folder: Path) -> None:
    path = keystore.save(folder, material())
    path.rename(folder / ".ks.tel:+7777")
    with pytest.raises(KeystoreKeyError, match=r"keys in it are those of tel:\+8888"):
        keystore.read(folder)


@pytest.mark.parametrize("field", ["ssk", "pvt", "rsk"])
def test_a_key_of_another_user_is_refused_by_its_equation(folder: Path, field: str) -> None:
    other = material(uri="tel:+7777")
    wrong = replace(period_keys("2026-11-1"), **{field: getattr(period_keys("2026-12-1"), field)})
    keystore.save(folder, replace(other, uri=GATEWAY, periods=(wrong,)))
    assert keystore.read(folder) is not None
    with pytest.raises(KeystoreKeyError, match="keys of period 2026-11-1 are wrong") as caught:
        keystore.load(folder)
    assert wrong.ssk.reveal().hex() not in str(caught.value)


def test_all_errors_say_what_to_do() -> None:
    error = KeystoreError(Path("/userdata/.ks.tel:+8888"), "it is damaged", "restore it")
    assert str(error) == "/userdata/.ks.tel:+8888: it is damaged; restore it"
