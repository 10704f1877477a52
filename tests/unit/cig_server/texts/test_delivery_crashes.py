# SPDX-License-Identifier: GPL-3.0-or-later
"""Whenever a delivery is killed, each text is in each mailbox once in the end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from unit.cig_server.texts import deliveries

HERE = Path(deliveries.__file__)
PROJECT = HERE.parents[4]


def run(*arguments: str | Path, program: tuple[str, ...] = (sys.executable,)) -> str:
    done = subprocess.run(
        [*program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": f"{PROJECT / 'src'}:{PROJECT / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("mode", ["every", "reader"])
def test_killed_at_any_step(tmp_path: Path, mode: str) -> None:
    assert int(run(HERE, tmp_path, mode)) > 60


def test_killed_again_and_again(tmp_path: Path) -> None:
    assert int(run(HERE, tmp_path, "again")) > 12
