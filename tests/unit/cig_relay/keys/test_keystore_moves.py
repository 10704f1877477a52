# SPDX-License-Identifier: GPL-3.0-or-later
"""The back-up generation, the change of the wrapping key, the change of the identity."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import pytest

from cig_relay.keys.errors import (
    KeystoreAccessError,
    KeystoreFormatError,
    KeystoreUnreadableError,
    KeystoreWrappingError,
)
from cig_relay.keys.keystore import Keystore
from cig_relay.keys.wrapping import USERDATA_WORDS
from unit.cig_relay.keys.lab import material

NAME = ".ks.tel:+8888"
PREVIOUS = ".ks-previous.tel:+8888"
OTHER = ".ks.tel:+7777"
OTHER_PREVIOUS = ".ks-previous.tel:+7777"
CREDENTIAL = "systemd credential cig-keystore-key"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "userdata"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def store(folder: Path) -> Keystore:
    return Keystore(folder, environment={})


@pytest.fixture
def credential(tmp_path: Path) -> dict[str, str]:
    """The environment of a service that has the credential."""
    made = tmp_path / "credentials"
    made.mkdir(mode=0o500)
    (made / "cig-keystore-key").write_bytes(os.urandom(32))
    (made / "cig-keystore-key").chmod(0o400)
    return {"CREDENTIALS_DIRECTORY": str(made)}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def periods(store: Keystore) -> tuple[str, ...]:
    loaded = store.read()
    assert loaded is not None
    return loaded.identity.periods


def put_back(folder: Path) -> None:
    (folder / PREVIOUS).rename(folder / NAME)


# --- the back-up generation ---------------------------------------------------------------------


def test_exactly_one_generation_is_kept_and_can_be_put_back(folder: Path, store: Keystore) -> None:
    for month in ("2026-09-1", "2026-10-1", "2026-11-1"):
        store.save(material(month))
    assert names(folder) == [PREVIOUS, ".ks.key", NAME]
    assert periods(store) == ("2026-11-1",)
    put_back(folder)
    assert periods(store) == ("2026-10-1",)


def test_a_back_up_alone_is_no_keystore(folder: Path, store: Keystore) -> None:
    store.save(material())
    store.save(material()).unlink()
    assert names(folder) == [PREVIOUS, ".ks.key"]
    assert store.find() is None
    assert store.read() is None


def test_a_file_system_without_second_names_keeps_one_too(
    folder: Path, store: Keystore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*names: object, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    store.save(material("2026-10-1"))
    store.save(material("2026-11-1"))
    assert periods(store) == ("2026-11-1",)
    store.save(material("2026-11-1", uri="tel:+7777"))
    assert names(folder) == [PREVIOUS, ".ks.key", OTHER]
    (folder / OTHER).unlink()
    put_back(folder)
    assert periods(store) == ("2026-11-1",)


# --- another identity ---------------------------------------------------------------------------


def test_another_identity_takes_the_place(folder: Path, store: Keystore) -> None:
    store.save(material("2026-09-1"))
    store.save(material("2026-10-1"))
    path = store.save(material("2026-11-1", uri="tel:+7777"))
    assert path == folder / OTHER == store.find()
    assert names(folder) == [PREVIOUS, ".ks.key", OTHER]
    store.save(material("2026-12-1", uri="tel:+7777"))
    assert names(folder) == [OTHER_PREVIOUS, ".ks.key", OTHER]
    store.save(material("2026-12-2"))
    assert names(folder) == [OTHER_PREVIOUS, ".ks.key", NAME]


def test_a_copy_of_the_back_up_beside_another_keystore_is_told(
    folder: Path, store: Keystore
) -> None:
    store.save(material("2026-10-1"))
    store.save(material("2026-11-1", uri="tel:+7777"))
    shutil.copy2(folder / PREVIOUS, folder / NAME)
    with pytest.raises(KeystoreFormatError, match="more than one keystore"):
        store.read()
    assert names(folder) == [PREVIOUS, ".ks.key", OTHER, NAME]


def test_what_a_crash_left_of_the_old_identity_is_passed_over_and_removed(
    folder: Path, store: Keystore
) -> None:
    store.save(material("2026-10-1"))
    store.save(material("2026-11-1", uri="tel:+7777"))
    for use in (store.read, lambda: store.save(material("2026-12-1", uri="tel:+7777"))):
        os.link(folder / PREVIOUS, folder / NAME)  # as between the last two steps
        assert store.find() == folder / OTHER
        use()
        assert not (folder / NAME).exists()
    assert periods(store) == ("2026-12-1",)


# --- what cannot be read ------------------------------------------------------------------------


def test_a_lost_wrapping_key_is_told_and_nothing_overwritten(folder: Path, store: Keystore) -> None:
    path = store.save(material("2026-10-1"))
    octets = path.read_bytes()
    kept = (folder / ".ks.key").rename(folder.parent / "kept")
    with pytest.raises(KeystoreWrappingError, match="is sealed with a wrapping key that is not he"):
        store.read()
    with pytest.raises(KeystoreUnreadableError) as caught:
        store.save(material("2026-11-1"))
    text = str(caught.value)
    assert text.startswith(f"{path}: it is sealed with a wrapping key that is not here")
    assert "so the keystore there is not replaced; restore" in text
    assert text.endswith("; to give up what is there, install the keys with --replace")
    assert names(folder) == [NAME]
    assert path.read_bytes() == octets

    store.save(material("2026-11-1"), replace_unreadable=True)
    assert periods(store) == ("2026-11-1",)
    assert names(folder) == [PREVIOUS, ".ks.key", NAME]
    put_back(folder)
    kept.rename(folder / ".ks.key")  # found again
    assert periods(store) == ("2026-10-1",)


def test_a_wrong_wrapping_key_is_told(folder: Path, store: Keystore) -> None:
    octets = store.save(material()).read_bytes()
    (folder / ".ks.key").write_bytes(os.urandom(32))
    with pytest.raises(KeystoreWrappingError, match=r"\.ks\.key: another key"):
        store.read()
    with pytest.raises(KeystoreUnreadableError):
        store.save(material())
    assert (folder / NAME).read_bytes() == octets


@pytest.mark.parametrize("replace_unreadable", [False, True])
def test_a_broken_wrapping_key_stops_every_save(
    folder: Path, store: Keystore, replace_unreadable: bool
) -> None:
    octets = store.save(material()).read_bytes()
    (folder / ".ks.key").write_bytes(b"0123")
    with pytest.raises(KeystoreWrappingError, match="no wrapping key"):
        store.read()
    with pytest.raises(KeystoreWrappingError, match="no wrapping key"):
        store.save(material(), replace_unreadable=replace_unreadable)
    assert (folder / NAME).read_bytes() == octets
    assert (folder / ".ks.key").read_bytes() == b"0123"


def test_a_damaged_keystore_does_not_take_the_place_of_a_whole_back_up(
    folder: Path, store: Keystore
) -> None:
    store.save(material("2026-09-1"))
    store.save(material("2026-10-1")).write_bytes(b"CIGKEYS\x02 damaged")
    store.save(material("2026-11-1", uri="tel:+7777"), replace_unreadable=True)
    assert names(folder) == [PREVIOUS, ".ks.key", OTHER]
    assert periods(store) == ("2026-11-1",)
    (folder / OTHER).unlink()
    put_back(folder)
    assert periods(store) == ("2026-09-1",)


def test_a_keystore_of_a_newer_version_is_kept_as_the_back_up(
    folder: Path, store: Keystore
) -> None:
    store.save(material()).write_bytes(b"CIGKEYS\x03 what we do not know")
    store.save(material(), replace_unreadable=True)
    assert (folder / PREVIOUS).read_bytes() == b"CIGKEYS\x03 what we do not know"


def test_a_keystore_that_others_could_read_is_replaced_only_when_asked(
    folder: Path, store: Keystore
) -> None:
    store.save(material("2026-10-1")).chmod(0o644)
    with pytest.raises(KeystoreUnreadableError, match="its mode is 0644"):
        store.save(material("2026-11-1"))
    store.save(material("2026-11-1"), replace_unreadable=True)
    assert periods(store) == ("2026-11-1",)
    assert names(folder) == [".ks.key", NAME]


# --- another wrapping key -----------------------------------------------------------------------


def test_with_a_credential_no_key_file_is_made(folder: Path, credential: dict[str, str]) -> None:
    store = Keystore(folder, environment=credential)
    store.save(material())
    assert store.wrapping == CREDENTIAL
    assert names(folder) == [NAME]
    assert periods(store) == ("2026-11-1",)
    with pytest.raises(KeystoreWrappingError, match="credential cig-keystore-key: none"):
        Keystore(folder, environment={}).read()


def test_a_named_file_seals(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("0123456789abcdef" * 4 + "\n")
    path.chmod(0o600)
    store = Keystore(folder, environment={"CIG_KEYSTORE_KEY_FILE": str(path)})
    store.save(material())
    assert store.wrapping == f"key file {path}"
    assert names(folder) == [NAME]
    octets = (folder / NAME).read_bytes()
    path.unlink()
    with pytest.raises(KeystoreWrappingError, match="CIG_KEYSTORE_KEY_FILE names, is missing"):
        store.read()
    with pytest.raises(KeystoreWrappingError, match="CIG_KEYSTORE_KEY_FILE names, is missing"):
        store.save(material(), replace_unreadable=True)
    assert names(folder) == [NAME]
    assert (folder / NAME).read_bytes() == octets


def test_the_move_to_a_credential(
    folder: Path, store: Keystore, credential: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    store.save(material("2026-10-1"))
    path = store.save(material("2026-11-1"))
    os.utime(path, (1_000_000_000, 1_000_000_000))
    previous = (folder / PREVIOUS).read_bytes()
    moved = Keystore(folder, environment=credential)
    with caplog.at_level(logging.WARNING, "Keystore"):
        assert periods(moved) == ("2026-11-1",)
    assert moved.wrapping == CREDENTIAL
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: it was sealed by the {USERDATA_WORDS} and is now sealed by the {CREDENTIAL}",
        f"{folder}/.ks.key: it is not needed any more, since the keystore is sealed by the "
        f"{CREDENTIAL}: delete it, and with it .ks-previous.* and old back-ups, which it opens",
    ]
    # It is as old as it was: its age tells whether a missing replay journal is a loss.
    assert path.stat().st_mtime == 1_000_000_000
    assert (folder / PREVIOUS).read_bytes() == previous
    assert names(folder) == [PREVIOUS, ".ks.key", NAME]
    caplog.clear()
    (folder / ".ks.key").unlink()
    assert periods(moved) == ("2026-11-1",)
    assert not caplog.records


def test_the_way_back_is_to_write_the_key_into_userdata(
    folder: Path, store: Keystore, credential: dict[str, str]
) -> None:
    Keystore(folder, environment=credential).save(material())
    key = (Path(credential["CREDENTIALS_DIRECTORY"]) / "cig-keystore-key").read_bytes()
    (folder / ".ks.key").write_text(key.hex() + "\n")
    (folder / ".ks.key").chmod(0o600)
    assert periods(store) == ("2026-11-1",)
    assert store.wrapping == USERDATA_WORDS


def test_a_save_during_the_move_seals_with_the_credential(
    folder: Path, store: Keystore, credential: dict[str, str]
) -> None:
    store.save(material("2026-10-1"))
    moved = Keystore(folder, environment=credential)
    moved.save(material("2026-11-1"))
    (folder / ".ks.key").unlink()
    assert periods(moved) == ("2026-11-1",)


def test_a_move_that_fails_leaves_the_keys_in_use(
    folder: Path,
    store: Keystore,
    credential: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    octets = store.save(material()).read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    moved = Keystore(folder, environment=credential)
    assert periods(moved) == ("2026-11-1",)
    assert moved.wrapping == USERDATA_WORDS
    assert "is still sealed by the key file in userdata" in caplog.text
    assert "failed (No space left on device)" in caplog.text
    assert "not needed any more" not in caplog.text
    assert (folder / NAME).read_bytes() == octets
    monkeypatch.undo()
    assert periods(moved) == ("2026-11-1",)
    assert moved.wrapping == CREDENTIAL


def test_a_credential_that_cannot_be_used_is_not_passed_over(
    folder: Path, store: Keystore, credential: dict[str, str]
) -> None:
    octets = store.save(material()).read_bytes()
    path = Path(credential["CREDENTIALS_DIRECTORY"]) / "cig-keystore-key"
    path.chmod(0o600)
    path.write_bytes(b"short")
    broken = Keystore(folder, environment=credential)
    with pytest.raises(KeystoreWrappingError, match=r"cig-keystore-key: it is no wrapping key"):
        broken.read()
    path.chmod(0o604)
    with pytest.raises(KeystoreAccessError, match="0604"):
        broken.save(material(), replace_unreadable=True)
    assert (folder / NAME).read_bytes() == octets
