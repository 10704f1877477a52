# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the wrapping key comes from, and every source that must not be used."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cig_relay.keys.errors import KeystoreAccessError, KeystoreError, KeystoreWrappingError
from cig_relay.keys.wrapping import USERDATA_WORDS, WrappingKey, WrappingSources
from mikey_sakke.secret import Secret

ONE, TWO, THREE = (bytes(range(first, first + 32)) for first in (1, 2, 3))
STORE = Path("/userdata/.ks.tel:+8888")


class Host:
    """A host with places for all three sources; what was not written is not there."""

    def __init__(self, folder: Path) -> None:
        self.userdata = folder / "userdata"
        self.credentials = folder / "credentials"
        self.etc = folder / "etc"
        for made in (self.userdata, self.credentials, self.etc):
            made.mkdir(mode=0o700)
        self.environment: dict[str, str] = {}

    def of_systemd(self, octets: bytes, mode: int = 0o400) -> Path:
        self.environment["CREDENTIALS_DIRECTORY"] = str(self.credentials)
        return written(self.credentials / "cig-keystore-key", octets, mode)

    def named(self, octets: bytes, mode: int = 0o600) -> Path:
        path = self.etc / "keystore.key"
        self.environment["CIG_KEYSTORE_KEY_FILE"] = str(path)
        return written(path, octets, mode)

    def of_userdata(self, octets: bytes, mode: int = 0o600) -> Path:
        return written(self.userdata / ".ks.key", octets, mode)

    @property
    def sources(self) -> WrappingSources:
        return WrappingSources(self.userdata, self.environment)


def written(path: Path, octets: bytes, mode: int) -> Path:
    path.write_bytes(octets)
    path.chmod(mode)
    return path


def key_id(octets: bytes) -> bytes:
    return WrappingKey(Secret(octets), "").key_id


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_no_source_is_no_error(host: Host) -> None:
    assert host.sources.first() is None
    host.environment["CREDENTIALS_DIRECTORY"] = str(host.credentials)  # of other credentials
    host.environment["CIG_KEYSTORE_KEY_FILE"] = ""
    assert host.sources.first() is None


def test_the_first_source_seals(host: Host) -> None:
    host.of_userdata(THREE)
    key = host.sources.first()
    assert key is not None
    assert (key.key, key.words) == (Secret(THREE), USERDATA_WORDS)
    path = host.named(TWO)
    key = host.sources.first()
    assert key is not None
    assert (key.key, key.words) == (Secret(TWO), f"key file {path}")
    host.of_systemd(ONE)
    key = host.sources.first()
    assert key is not None
    assert (key.key, key.words) == (Secret(ONE), "systemd credential cig-keystore-key")


@pytest.mark.parametrize(
    "octets",
    [
        ONE,
        ONE.hex().encode(),
        ONE.hex().upper().encode() + b"\n",
        b"\n" * 31 + b"x",
        b"0123456789abcdef" * 2,
    ],
)
def test_a_file_is_raw_or_hexadecimal(host: Host, octets: bytes) -> None:
    host.of_userdata(octets)
    key = host.sources.first()
    assert key is not None
    expected = bytes.fromhex(octets.decode()) if len(octets) > 32 else octets
    assert key.key == Secret(expected)


@settings(max_examples=80)
@given(octets=st.binary(max_size=80).filter(lambda o: len(o) != 32))
def test_what_is_no_key_is_refused(tmp_path_factory: pytest.TempPathFactory, octets: bytes) -> None:
    host = Host(tmp_path_factory.mktemp("host"))
    host.of_userdata(octets)
    with pytest.raises(KeystoreWrappingError, match="neither 32 random octets nor 64 hexa"):
        host.sources.first()


@pytest.mark.parametrize(
    "octets",
    [b"", ONE[:31], ONE + b"\n", b"\0" * 32, b"0" * 64, b"g" * 64, ONE.hex().encode() + b"\n\n"],
)
def test_these_are_no_keys_either(host: Host, octets: bytes) -> None:
    path = host.named(octets)
    host.of_userdata(ONE)
    with pytest.raises(KeystoreWrappingError, match="no wrapping key") as caught:
        host.sources.first()
    assert caught.value.path == path
    assert ONE.hex() not in str(caught.value)


def test_a_named_file_that_is_missing_is_told_and_not_passed_over(host: Host) -> None:
    host.of_userdata(ONE)
    host.named(TWO).unlink()
    with pytest.raises(
        KeystoreWrappingError, match=r"keystore\.key: .*CIG_KEYSTORE_KEY_FILE names, is missing"
    ):
        host.sources.first()


def test_a_named_file_needs_its_whole_path(host: Host) -> None:
    host.environment["CIG_KEYSTORE_KEY_FILE"] = "keystore.key"
    with pytest.raises(KeystoreWrappingError, match="write the whole path"):
        host.sources.first()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_key_file_that_others_may_open_is_refused(host: Host, mode: int) -> None:
    host.of_userdata(ONE)
    makers = (lambda: host.named(TWO, mode), lambda: host.of_systemd(ONE, mode & ~0o040 | 0o004))
    for make in makers:
        path = make()
        with pytest.raises(KeystoreAccessError, match="others may have read the keys") as caught:
            host.sources.first()
        assert caught.value.path == path


def test_a_key_file_in_a_folder_that_others_may_write_is_refused(host: Host) -> None:
    host.named(TWO)
    host.etc.chmod(0o777)
    with pytest.raises(KeystoreAccessError, match="others can replace what is in it"):
        host.sources.first()


@pytest.mark.parametrize(
    "make", [lambda p: p.mkdir(), lambda p: os.mkfifo(p, 0o600), lambda p: p.symlink_to("key")]
)
def test_what_is_no_file_is_refused(host: Host, make: Callable[[Path], None]) -> None:
    written(host.userdata / "key", ONE, 0o600)
    make(host.sources.userdata_key)
    with pytest.raises(KeystoreAccessError, match=r"\.ks\.key: it (is no plain|cannot be opened)"):
        host.sources.first()


def test_a_key_file_of_another_user_is_refused(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.named(ONE)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(KeystoreAccessError, match=r"it belongs to uid .* runs as uid"):
        host.sources.first()


@pytest.mark.parametrize("mode", [0o400, 0o440])
@pytest.mark.skipif(os.getuid() != 0, reason="only root's files can be root's")
def test_a_credential_may_be_roots(host: Host, mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # systemd leaves it root's and lets the service read it by an access control list, whose mask
    # is what the mode shows as the group's right.
    host.of_systemd(ONE, mode)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    key = host.sources.first()
    assert key is not None
    assert key.key == Secret(ONE)


def test_the_key_is_found_by_its_id_wherever_it_is(host: Host) -> None:
    host.of_systemd(ONE)
    host.named(TWO)
    host.of_userdata(THREE)
    for wanted in (ONE, TWO, THREE):
        key, first = host.sources.find(STORE, key_id(wanted))
        assert (key.key, first.key) == (Secret(wanted), Secret(ONE))
        assert (key is first) == (wanted == ONE)


def test_a_later_source_that_is_broken_is_passed_over_only_to_open(host: Host) -> None:
    host.of_systemd(ONE)
    host.named(TWO, 0o644)
    host.of_userdata(THREE)
    key, first = host.sources.find(STORE, key_id(THREE))
    assert (key.key, first.key) == (Secret(THREE), Secret(ONE))
    host.environment.pop("CREDENTIALS_DIRECTORY")
    with pytest.raises(KeystoreAccessError, match="0644"):
        host.sources.find(STORE, key_id(THREE))


def test_a_key_that_is_nowhere_is_told_with_all_sources(host: Host) -> None:
    with pytest.raises(KeystoreWrappingError) as caught:
        host.sources.find(STORE, key_id(b"x" * 31 + b"y"))
    assert str(caught.value) == (
        "/userdata/.ks.tel:+8888: it is sealed with a wrapping key that is not here, or its header "
        "is damaged (looked at systemd credential cig-keystore-key: none; CIG_KEYSTORE_KEY_FILE: "
        f"not set; {host.userdata}/.ks.key: none); restore {host.userdata}/.ks.key or the "
        "credential or key file that it was sealed with, or have new key material issued"
    )
    host.of_systemd(ONE)
    named = host.named(TWO, 0o644)
    host.of_userdata(THREE)
    with pytest.raises(KeystoreWrappingError) as caught:
        host.sources.find(STORE, key_id(b"x" * 31 + b"y"))
    assert (
        "(looked at systemd credential cig-keystore-key: another key; "
        f"CIG_KEYSTORE_KEY_FILE {named}: its mode is 0644, so others may have read the keys; "
        f"{host.userdata}/.ks.key: another key)"
    ) in str(caught.value)


def test_the_key_that_is_made_is_random_durable_and_ours_alone(host: Host) -> None:
    made = host.sources.make(lambda octets: ONE[:octets])
    path = host.userdata / ".ks.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() == ONE.hex().encode() + b"\n"
    found = host.sources.first()
    assert found is not None
    assert found.key == made.key == Secret(ONE)
    assert found.words == made.words == USERDATA_WORDS


def test_nothing_shows_a_key(host: Host) -> None:
    host.of_userdata(ONE)
    key = host.sources.first()
    shown = f"{key!r} {key}"
    assert USERDATA_WORDS in shown
    assert ONE.hex() not in shown
    assert repr(ONE) not in shown
    assert key is not None
    assert key.key_id not in ONE
    assert len(key.key_id) == 8


def test_all_these_are_errors_of_the_keystore() -> None:
    assert issubclass(KeystoreWrappingError, KeystoreError)
