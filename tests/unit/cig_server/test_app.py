# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the program cig-server that need no running gateway."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cig_server import app


def test_a_service_manager_that_is_gone_is_no_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        app._notify("READY=1")
        assert manager.recv(100) == b"READY=1"
    app._notify("STOPPING=1")
    assert "STOPPING=1" in caplog.text
