# SPDX-License-Identifier: GPL-3.0-or-later
"""The keystore file: whole round trip, and every way in which it must be refused."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cig_material import document
from cig_relay.keys import sealing
from cig_relay.keys.errors import (
    KeystoreAccessError,
    KeystoreError,
    KeystoreFormatError,
    KeystoreKeyError,
    KeystoreUnreadableError,
    KeystoreVersionError,
    KeystoreWrappingError,
)
from cig_relay.keys.keystore import Keystore
from cig_relay.keys.wrapping import USERDATA_WORDS, WrappingSources
from unit.cig_relay.keys.lab import GATEWAY, material, period_keys

NAME = ".ks.tel:+8888"
HEADER = 44
KEY_ID = range(8, 16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def store(folder: Path) -> Keystore:
    return Keystore(folder, environment={})


def periods(store: Keystore) -> tuple[str, ...]:
    loaded = store.read()
    assert loaded is not None
    return loaded.identity.periods


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _write(folder: Path, octets: bytes, name: str = NAME) -> Path:
    path = folder / name
    path.write_bytes(octets)
    path.chmod(0o600)
    return path


def _seal(folder: Path, clear: bytes, name: str = NAME) -> Path:
    """A file sealed with the folder's key that holds what we want."""
    key = WrappingSources(folder, {}).first()
    assert key is not None
    return _write(folder, sealing.seal(folder / name, clear, key, os.urandom), name)


def test_no_keystore_is_no_error(store: Keystore) -> None:
    assert store.wrapping == "not read yet"
    assert store.load() is None
    assert store.find() is None
    assert store.wrapping == "no keystore yet"
    assert names(store.directory) == []


def test_saves_and_loads(folder: Path, store: Keystore) -> None:
    saved = material("2026-12-1", "2026-11-2")
    path = store.save(saved)
    assert path == folder / NAME == store.find()
    assert store.wrapping == USERDATA_WORDS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    fresh = Keystore(folder, environment={})
    loaded = fresh.load()
    assert loaded == saved
    assert loaded is not None
    assert loaded.identity.periods == ("2026-11-2", "2026-12-1")
    assert fresh.wrapping == USERDATA_WORDS
    assert names(folder) == [".ks.key", NAME]


def test_the_file_shows_nothing_of_the_keys_and_no_two_are_alike(
    folder: Path, store: Keystore
) -> None:
    saved = material()
    first = store.save(saved).read_bytes()
    second = store.save(saved).read_bytes()
    for octets in (first, second):
        for part in (saved.periods[0].ssk.reveal(), saved.periods[0].pvt, b"LAB", b"127.0.0.1"):
            assert part not in octets
    assert first[:16] == second[:16]
    assert first[16:32] != second[16:32]
    assert first[32:44] != second[32:44]
    assert first[44:60] != second[44:60]


def test_random_octets_are_those_given(folder: Path) -> None:
    store = Keystore(folder, environment={}, random_bytes=lambda octets: bytes(range(octets)))
    octets = store.save(material()).read_bytes()
    assert (folder / ".ks.key").read_text() == bytes(range(32)).hex() + "\n"
    assert octets[16:44] == bytes([*range(16), *range(12)])


def test_the_mode_does_not_depend_on_the_umask(folder: Path, store: Keystore) -> None:
    old = os.umask(0)
    try:
        store.save(material())
        store.save(material())
    finally:
        os.umask(old)
    assert names(folder) == [".ks-previous.tel:+8888", ".ks.key", NAME]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_save_removes_what_a_crash_left(folder: Path, store: Keystore) -> None:
    store.save(material("2026-10-1"))
    left = [".ks.tel:+8888", ".ks.tel:+7777", ".ks.key", ".ks-previous.tel:+8888"]
    for name in left:
        _write(folder, b"half a file", f".new.{name}.0011223344556677")
    _write(folder, b"", ".new..replay.journal.0011223344556677")
    assert periods(store) == ("2026-10-1",)
    store.save(material("2026-11-1"))
    assert periods(store) == ("2026-11-1",)
    assert [n for n in names(folder) if n.startswith(".new.")] == [
        ".new..replay.journal.0011223344556677"
    ]


def test_a_save_that_fails_leaves_the_old_file(
    folder: Path, store: Keystore, monkeypatch: pytest.MonkeyPatch
) -> None:
    octets = store.save(material("2026-10-1")).read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.save(material("2026-11-1"))
    monkeypatch.undo()
    assert (folder / NAME).read_bytes() == octets
    assert names(folder) == [".ks.key", NAME]


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


# --- owner, mode, kind of file ------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o777, 0o610])
def test_a_file_that_others_may_open_is_refused(store: Keystore, mode: int) -> None:
    store.save(material()).chmod(mode)
    with pytest.raises(KeystoreAccessError, match=f"mode is {mode:04o}.*chmod it to 0600"):
        store.read()
    assert store.wrapping == "cannot be told, since the keystore cannot be read"


def test_a_folder_that_others_may_write_is_refused(folder: Path, store: Keystore) -> None:
    store.save(material())
    folder.chmod(0o770)
    with pytest.raises(KeystoreAccessError, match="others can replace"):
        store.read()
    with pytest.raises(KeystoreAccessError, match="others can replace"):
        store.save(material(), replace_unreadable=True)
    assert names(folder) == [".ks.key", NAME]


def test_a_file_of_another_user_is_refused(
    store: Keystore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(material())
    uid = os.getuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.raises(KeystoreAccessError, match=r"belongs to uid"):
        store.read()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_file_that_was_given_away_is_refused(store: Keystore) -> None:
    os.chown(store.save(material()), 4711, -1)
    with pytest.raises(KeystoreAccessError, match=r"it belongs to uid 4711, .* runs as uid 0"):
        store.read()


def test_a_symbolic_link_is_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    path = Keystore(elsewhere, environment={}).save(material())
    (folder / path.name).symlink_to(path)
    with pytest.raises(KeystoreAccessError, match="cannot be opened"):
        Keystore(folder, environment={}).read()


@pytest.mark.parametrize("make", [lambda p: p.mkdir(), lambda p: os.mkfifo(p, 0o600)])
def test_what_is_no_file_is_refused(
    folder: Path, store: Keystore, make: Callable[[Path], None]
) -> None:
    make(folder / NAME)
    with pytest.raises(KeystoreAccessError):
        store.read()
    with pytest.raises(KeystoreUnreadableError):
        store.save(material())


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    store = Keystore(tmp_path / "userdata", environment={})
    with pytest.raises(KeystoreAccessError, match=r"cannot be read.*create it"):
        store.load()
    with pytest.raises(KeystoreAccessError, match=r"cannot be read.*create it"):
        store.save(material())


def test_two_keystores_are_refused(folder: Path, store: Keystore) -> None:
    store.save(material())
    _write(folder, b"", ".ks.tel:+7777")
    for use in (store.find, store.load, lambda: store.save(material(), replace_unreadable=True)):
        with pytest.raises(
            KeystoreFormatError,
            match=r"more than one keystore \(\.ks\.tel:\+7777, \.ks\.tel:\+8888\); move away",
        ):
            use()
    assert names(folder) == [".ks.key", ".ks.tel:+7777", NAME]


# --- format -------------------------------------------------------------------------------------


def test_a_newer_format_is_refused(folder: Path, store: Keystore) -> None:
    octets = bytearray(store.save(material()).read_bytes())
    octets[7] = 3
    path = _write(folder, bytes(octets))
    with pytest.raises(KeystoreVersionError, match=r"version 3.*knows version 2; install the vers"):
        store.read()
    with pytest.raises(KeystoreUnreadableError, match=r"version 3.* not replaced; .*--replace$"):
        store.save(material())
    assert path.read_bytes() == octets


def test_a_newer_document_is_refused(folder: Path, store: Keystore) -> None:
    store.save(material())
    clear = document.encode(material())
    path = _seal(folder, clear.replace(b"\x61v\x01", b"\x61v\x07"))
    octets = path.read_bytes()
    with pytest.raises(KeystoreVersionError, match=r"material in it has format version 7"):
        store.read()
    with pytest.raises(KeystoreUnreadableError, match="version 7"):
        store.save(material())
    assert path.read_bytes() == octets


def test_the_unsealed_format_is_refused_and_kept_nowhere(folder: Path, store: Keystore) -> None:
    head = b"CIGKEYS\x01" + document.encode(material())
    octets = head + hashlib.sha256(head).digest()
    path = _write(folder, octets)
    with pytest.raises(
        KeystoreFormatError, match=r"version 1, which was never released and is not sealed; have"
    ):
        store.read()
    with pytest.raises(KeystoreUnreadableError, match="not sealed, so the keystore there is not"):
        store.save(material())
    assert path.read_bytes() == octets
    assert names(folder) == [NAME]
    store.save(material(), replace_unreadable=True)
    assert periods(store) == ("2026-11-1",)
    assert names(folder) == [".ks.key", NAME]


@pytest.mark.parametrize(
    "octets",
    [b"", b"CIGKEY", b"CIGKEYS", b"CIGKEYS\x00", b"CIGKEYS\x02" + bytes(51), b"\0" * 4096],
)
def test_what_is_no_keystore_is_refused(folder: Path, store: Keystore, octets: bytes) -> None:
    _write(folder, octets)
    with pytest.raises(KeystoreFormatError):
        store.read()


def test_a_huge_file_is_refused_unread(folder: Path, store: Keystore) -> None:
    path = _write(folder, b"CIGKEYS\x02")
    os.truncate(path, 1 << 40)
    with pytest.raises(KeystoreFormatError, match="no keystore"):
        store.read()


@settings(max_examples=300)
@given(position=st.integers(0, 1200), bit=st.integers(0, 7), cut=st.booleans())
def test_any_damage_is_refused_and_nothing_overwritten(
    damaged: Path, position: int, bit: int, cut: bool
) -> None:
    octets = bytearray((damaged / "whole").read_bytes())
    position %= len(octets)
    if cut:
        del octets[position:]
    else:
        octets[position] ^= 1 << bit
    path = _write(damaged, bytes(octets))
    store = Keystore(damaged, environment={})
    of_key = not cut and position in KEY_ID
    with pytest.raises(KeystoreWrappingError if of_key else KeystoreFormatError):
        store.read()
    with pytest.raises(KeystoreUnreadableError):
        store.save(material())
    assert path.read_bytes() == octets
    assert names(damaged) == [".ks.key", NAME, "whole"]


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with its key, and a whole keystore beside."""
    folder = tmp_path_factory.mktemp("userdata")
    Keystore(folder, environment={}).save(material()).rename(folder / "whole")
    return folder


@settings(max_examples=200)
@given(octets=st.binary(max_size=200), magic=st.sampled_from([b"", b"CIGKEYS", b"CIGKEYS\x02"]))
def test_any_octets_are_refused(damaged: Path, octets: bytes, magic: bytes) -> None:
    _write(damaged, magic + octets)
    with pytest.raises((KeystoreFormatError, KeystoreWrappingError)):
        Keystore(damaged, environment={}).read()


def test_another_name_does_not_open(folder: Path, store: Keystore) -> None:
    store.save(material()).rename(folder / ".ks.tel:+7777")
    with pytest.raises(KeystoreFormatError, match="damaged or was renamed"):
        store.read()


def test_the_name_must_be_that_of_the_keys(folder: Path, store: Keystore) -> None:
    store.save(material()).unlink()
    _seal(folder, document.encode(material()), ".ks.tel:+7777")
    with pytest.raises(KeystoreKeyError, match=r"keys in it are those of tel:\+8888"):
        store.read()


@pytest.mark.parametrize("clear", [b"", b"no map", b"\xa0"])
def test_a_sealed_file_without_keys_is_refused(folder: Path, store: Keystore, clear: bytes) -> None:
    store.save(material())
    _seal(folder, clear)
    with pytest.raises(KeystoreKeyError, match="key material"):
        store.read()


@pytest.mark.parametrize("field", ["ssk", "pvt", "rsk"])
def test_a_key_of_another_user_is_refused_by_its_equation(store: Keystore, field: str) -> None:
    other = material(uri="tel:+7777")
    wrong = replace(period_keys("2026-11-1"), **{field: getattr(period_keys("2026-12-1"), field)})
    store.save(replace(other, uri=GATEWAY, periods=(wrong,)))
    assert store.read() is not None
    with pytest.raises(KeystoreKeyError, match="keys of period 2026-11-1 are wrong") as caught:
        store.load()
    assert wrong.ssk.reveal().hex() not in str(caught.value)


def test_all_errors_say_what_to_do() -> None:
    error = KeystoreError(Path("/userdata/.ks.tel:+8888"), "it is damaged", "restore it")
    assert str(error) == "/userdata/.ks.tel:+8888: it is damaged; restore it"
    assert (error.problem, error.remedy) == ("it is damaged", "restore it")
