# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual's back-up and restore, done by tar, from one host's root folder to another's."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from cig_relay.keys.errors import KeystoreWrappingError
from cig_relay.keys.keystore import Keystore
from unit.cig_relay.keys.lab import material


class Host:
    """A host whose root folder is ``root``, with cig.conf and userdata."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cig = root / "opt" / "cig"
        self.cig.mkdir(parents=True)
        (self.cig / "cig.conf").write_text("interfaces { }\n")
        self.userdata = self.cig / "userdata"
        self.userdata.mkdir(mode=0o700)

    def back_up(self, archive: Path) -> None:
        """``tar cfv cig-backup-<cig instance>-<date>.tar /opt/cig/cig.conf /opt/cig/userdata``."""
        run("tar", "cfv", archive, self.cig / "cig.conf", self.userdata)


def run(*command: str | Path) -> None:
    subprocess.run(command, capture_output=True, timeout=60, check=True)


def restore(archive: Path, host: Host, root: Path) -> Path:
    """Restore the host's files under another root, as the manual has it; gives userdata there."""
    root.mkdir()
    run("tar", "xfv", archive, "-C", root)
    cig = root / host.cig.relative_to("/")
    run("chown", "-R", f"{os.getuid()}:{os.getgid()}", cig)
    assert (cig / "cig.conf").read_text() == "interfaces { }\n"
    return cig / "userdata"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "old")


def test_a_back_up_restores_the_keys_and_the_generation_before(host: Host, tmp_path: Path) -> None:
    store = Keystore(host.userdata, environment={})
    store.save(material("2026-10-1"))
    store.save(material("2026-11-1"))
    host.back_up(tmp_path / "cig-backup.tar")
    userdata = restore(tmp_path / "cig-backup.tar", host, tmp_path / "new")
    assert stat.S_IMODE(userdata.stat().st_mode) == 0o700
    restored = Keystore(userdata, environment={})
    assert restored.load() == material("2026-11-1")
    (userdata / ".ks-previous.tel:+8888").rename(userdata / ".ks.tel:+8888")
    assert restored.load() == material("2026-10-1")
    restored.save(material("2026-12-1"))
    assert restored.load() == material("2026-12-1")


def test_a_back_up_made_while_the_identity_changes_can_be_restored(
    host: Host, tmp_path: Path
) -> None:
    store = Keystore(host.userdata, environment={})
    store.save(material("2026-10-1"))
    store.save(material("2026-11-1", uri="tel:+7777"))
    os.link(host.userdata / ".ks-previous.tel:+8888", host.userdata / ".ks.tel:+8888")
    host.back_up(tmp_path / "cig-backup.tar")
    userdata = restore(tmp_path / "cig-backup.tar", host, tmp_path / "new")
    assert Keystore(userdata, environment={}).read() == material("2026-11-1", uri="tel:+7777")


def test_with_a_credential_the_back_up_needs_the_copy_of_its_key(
    host: Host, tmp_path: Path
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir(mode=0o700)
    (credentials / "cig-keystore-key").write_text(os.urandom(32).hex() + "\n")
    (credentials / "cig-keystore-key").chmod(0o400)
    environment = {"CREDENTIALS_DIRECTORY": str(credentials)}
    Keystore(host.userdata, environment=environment).save(material())
    host.back_up(tmp_path / "cig-backup.tar")
    userdata = restore(tmp_path / "cig-backup.tar", host, tmp_path / "new")
    restored = Keystore(userdata, environment={})
    with pytest.raises(KeystoreWrappingError, match=r"restore .*/userdata/\.ks\.key or the cred"):
        restored.load()
    run(
        *("install", "-m", "0600"),
        *(credentials / "cig-keystore-key", userdata / ".ks.key"),
    )
    assert restored.load() == material()
