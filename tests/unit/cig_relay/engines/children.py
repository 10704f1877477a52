# SPDX-License-Identifier: GPL-3.0-or-later
"""Child processes for the tests of what an engine tells the kernel."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from pathlib import Path

import cig_relay

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(cig_relay.__file__).parents[1])}
_PR_CAPBSET_DROP, _CAP_IPC_LOCK = 24, 14


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def run_python_with_memlock(code: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` where 64 KiB may be locked, half of it at first, even as root."""

    def limit() -> None:
        # Whoever lacks the right to do this has no CAP_IPC_LOCK either.
        ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_IPC_LOCK, 0, 0, 0)
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (32768, 65536))

    return subprocess.run(
        [sys.executable, "-c", code],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=limit,
    )
