# SPDX-License-Identifier: GPL-3.0-or-later
import os
import socket
from pathlib import Path

import pytest

from cig_cli import keys_client
from cig_cli.keys_client import KeysClient, NoRelayError, RefusedError, UnknownOutcomeError
from cig_common.control.keys import InspectKeysRequest, InstallKeysRequest
from cig_common.control.messages import ErrorCode, ErrorReply
from unit.cig_cli.setkey.keys_socket import DONE, PREVIEW, agreeing, listening


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.sock"


def test_inspect_and_install(path: Path) -> None:
    with listening(path) as asked, KeysClient(path) as client:
        assert client.inspect(b"sealed", b"phrase") == PREVIEW
        assert client.install(b"token", replace=True) == DONE
    assert asked == [InspectKeysRequest(b"sealed", b"phrase"), InstallKeysRequest(b"token", True)]


def test_a_refusal_keeps_the_relays_words(path: Path) -> None:
    refusal = ErrorReply(ErrorCode.MATERIAL, "passphrase", "the passphrase is wrong")
    with listening(path, lambda _: refusal), KeysClient(path) as client:
        with pytest.raises(RefusedError, match="the passphrase is wrong") as caught:
            client.inspect(b"sealed", b"phrase")
        assert caught.value.detail == "passphrase"


def test_what_is_too_long_for_a_frame_is_not_sent(path: Path) -> None:
    with listening(path) as asked, KeysClient(path) as client:
        with pytest.raises(RefusedError, match="too long to be key material"):
            client.inspect(bytes(70_000), b"phrase")
        assert asked == []


def test_no_socket(path: Path) -> None:
    with pytest.raises(NoRelayError, match="is cig-relay running") as caught:
        KeysClient(path)
    assert "--keys-socket" in str(caught.value)
    with pytest.raises(NoRelayError, match="AF_UNIX path too long"):
        KeysClient(path / ("x" * 200))


def test_nobody_listens(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    with pytest.raises(NoRelayError, match="nobody listens on the keys socket"):
        KeysClient(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become somebody else")
def test_who_may_not_is_told_as_whom_to_come(path: Path) -> None:
    with listening(path):
        path.chmod(0o600)
        os.seteuid(54321)
        try:
            with pytest.raises(NoRelayError, match="sudo -u ciguser cig-cli set-key"):
                KeysClient(path)
        finally:
            os.seteuid(0)


def test_a_listener_of_another_user_is_sent_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_client, "trusted_users", lambda: {54321})
    with listening(path) as asked:
        with pytest.raises(NoRelayError, match="nothing was sent"):
            KeysClient(path)
        assert asked == []


def test_a_relay_that_hangs_up(path: Path) -> None:
    with (
        listening(path, lambda _: None),
        KeysClient(path) as client,
        pytest.raises(NoRelayError, match="closed the connection without an answer"),
    ):
        client.inspect(b"sealed", b"phrase")


@pytest.mark.parametrize("octets", [b"220 mail ready\r\n", b"\0\0\0\1\0", b"\xff" * 8])
def test_a_stranger(path: Path, octets: bytes) -> None:
    with (
        listening(path, lambda _: octets),
        KeysClient(path) as client,
        pytest.raises(NoRelayError, match="does not speak as this cig-cli does"),
    ):
        client.inspect(b"sealed", b"phrase")


def test_an_answer_of_the_wrong_kind(path: Path) -> None:
    with (
        listening(path, lambda _: DONE),
        KeysClient(path) as client,
        pytest.raises(NoRelayError, match="does not speak as this cig-cli does"),
    ):
        client.inspect(b"sealed", b"phrase")


def test_a_relay_that_does_not_answer(path: Path) -> None:
    with (
        listening(path, lambda _: b""),
        KeysClient(path, timeout=0.05) as client,
        pytest.raises(NoRelayError, match=r"has not answered in 0\.05 s"),
    ):
        client.inspect(b"sealed", b"phrase")


def test_nobody_knows_how_an_installation_ended_that_was_cut_off(path: Path) -> None:
    with (
        listening(path, lambda m: agreeing(m) if isinstance(m, InspectKeysRequest) else None),
        KeysClient(path) as client,
    ):
        token = client.inspect(b"sealed", b"phrase").token
        with pytest.raises(UnknownOutcomeError, match="is not known: `cig-cli show keys` tells"):
            client.install(token, replace=False)


def test_a_relay_that_has_ended_meanwhile(path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    with KeysClient(path) as client:
        listener.close()
        with pytest.raises(NoRelayError, match="Begin again") as caught:
            client.install(b"token", replace=False)
        assert not isinstance(caught.value, UnknownOutcomeError)


def test_whom_the_keys_may_go_to() -> None:
    assert {0, os.geteuid()} <= keys_client.trusted_users()
