# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel is told about a process that holds keys; done in real child processes."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import cig_relay

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(cig_relay.__file__).parents[1])}


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


def test_no_core_dump_and_not_dumpable() -> None:
    code = (
        "import ctypes, resource\n"
        "from cig_relay.engines.hardening import protect_memory\n"
        "protect_memory()\n"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))\n"
    )
    assert _python(code).stdout.strip() == "0 (0, 0)"


def test_a_child_dies_with_its_parent() -> None:
    child = (
        "import os, sys, time\n"
        "from cig_relay.engines.hardening import die_with_parent\n"
        "die_with_parent(int(sys.argv[1]))\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = (
        "import os, signal, subprocess, sys\n"
        f"p = subprocess.Popen([sys.executable, '-c', {child!r}, str(os.getpid())],"
        " stdout=subprocess.PIPE)\n"
        "print(p.stdout.readline().decode(), end='', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # The pipe is the child's as well: run() returns only when the child has ended too.
    process = subprocess.Popen(
        [sys.executable, "-c", parent], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    out, _ = process.communicate(timeout=30)
    assert process.returncode == -9
    pid = int(out)
    descriptor = _pidfd(pid)
    if descriptor is not None:
        assert select.select([descriptor], [], [], 10)[0]
        os.close(descriptor)


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def test_a_child_whose_parent_is_gone_already_ends() -> None:
    code = "from cig_relay.engines.hardening import die_with_parent\ndie_with_parent(1 << 22)\n"
    assert _python(code).returncode == 1
