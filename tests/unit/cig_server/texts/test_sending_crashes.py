# SPDX-License-Identifier: GPL-3.0-or-later
"""Whenever the sending of texts is killed, each text reaches the phone once in the end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from unit.cig_server.texts import sending_crashes

HERE = Path(sending_crashes.__file__)
PROJECT = HERE.parents[4]


@pytest.mark.parametrize(("mode", "least"), [("every", 40), ("again", 10)])
def test_killed_at_any_step(tmp_path: Path, mode: str, least: int) -> None:
    done = subprocess.run(
        [sys.executable, HERE, tmp_path, mode],
        env={**os.environ, "PYTHONPATH": f"{PROJECT / 'src'}:{PROJECT / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > least
