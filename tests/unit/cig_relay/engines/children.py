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


def run_python_with_memlock(limit: int, code: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` where ``limit`` octets may be locked (or less), even as root."""

    def set_limit() -> None:
        # Whoever lacks the right to do this has no CAP_IPC_LOCK either.
        ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_IPC_LOCK, 0, 0, 0)
        _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        unlimited = os.geteuid() == 0 or hard == resource.RLIM_INFINITY
        value = limit if unlimited else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (value // 2, value))

    return subprocess.run(
        [sys.executable, "-c", code],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=set_limit,
    )
