# SPDX-License-Identifier: GPL-3.0-or-later
"""The service manager is told, and one that is gone stops nothing."""

import socket
import time
from pathlib import Path

import pytest

from cig_common.notify import notify, reloading


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    name = f"{tmp_path}/notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind("\0" + name if abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name if abstract else name)
        notify("READY=1")
        assert told.recv(100) == b"READY=1"


def test_a_manager_that_does_not_read_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as busy:
        busy.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        while "could not be told" not in caplog.text:
            notify("READY=1")


def test_a_reload_is_told_with_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        reloading()
        state, _, stamp = told.recv(100).decode().partition("\nMONOTONIC_USEC=")
        assert state == "RELOADING=1"
        assert 0 <= time.monotonic() - int(stamp) / 1e6 < 10


@pytest.mark.parametrize("value", ["", "relative", "/no/such/socket"])
def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", value)
    notify("READY=1")


def test_a_manager_that_is_gone_is_told_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    notify("STOPPING=1")
    assert "STOPPING=1" in caplog.text
