# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel is told about a process that holds keys; done in real child processes."""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys

import pytest

from unit.cig_relay.engines.children import (
    ENVIRONMENT,
    run_python,
    run_python_with_memlock,
)

LOCK = """
import resource
from cig_relay.engines.hardening import lock_memory

def told(name):
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith(name)).split()[1])

print(lock_memory(1 << 28))
print(told("VmLck") > told("VmRSS") / 2)
more = bytearray(64 << 20)
print(len(more) >> 20, len(set(resource.getrlimit(resource.RLIMIT_MEMLOCK))))
"""


def test_no_core_dump_and_not_dumpable() -> None:
    code = (
        "import ctypes, resource\n"
        "from cig_relay.engines.hardening import protect_memory\n"
        "protect_memory()\n"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))\n"
    )
    assert run_python(code).stdout.strip() == "0 (0, 0)"


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
    assert process.returncode == -signal.SIGKILL
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
    assert run_python(code).returncode == 1


def _require_lockable_memory() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if os.geteuid() != 0 and hard != resource.RLIM_INFINITY:
        pytest.skip("this user may not lock much memory")


def test_memory_is_locked_where_that_is_allowed() -> None:
    _require_lockable_memory()
    assert run_python(LOCK).stdout.split() == ["True", "True", "64", "1"]


def test_memory_that_cannot_be_locked_can_be_had_all_the_same() -> None:
    process = run_python_with_memlock(LOCK)
    assert process.stdout.split() == ["False", "False", "64", "1"], process.stderr


def test_memory_is_left_unlocked_where_there_is_no_room_for_more() -> None:
    # All that there is can be locked, but what will be asked for later cannot be had.
    _require_lockable_memory()
    limit = "resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28))\n"
    code = LOCK.replace("print(lock_memory", f"{limit}print(lock_memory")
    assert run_python(code).stdout.split() == ["False", "False", "64", "1"]
