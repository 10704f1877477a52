# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps keys in a process's memory: away from other processes of the user, core dumps and swap.

For Linux. cig-relay does this for itself and every crypto engine for itself: an execve undoes it.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4

_libc = ctypes.CDLL(None, use_errno=True)


def protect_memory() -> None:
    """Allow no core dump, no ptrace and no reading of /proc/self/mem; raises OSError."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl(_PR_SET_DUMPABLE, 0)


def lock_memory(room: int) -> bool:
    """Have this process's memory, what it gets later too, never written to swap.

    Pages are locked when they are first used, so nothing is made resident by this. Where
    RLIMIT_MEMLOCK does not allow another ``room`` octets besides what the process has, nothing is
    locked, because allocations would fail later; the answer is then False.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))
    if _libc.mlockall(ctypes.c_int(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT)) != 0:
        return False
    try:
        # Whether limits and capabilities suffice only the kernel knows: a mapping that is never
        # touched costs nothing, but counts.
        mmap.mmap(-1, room, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ).close()
    except OSError:
        _libc.munlockall()
        return False
    return True


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends.

    ``parent`` is the process id of the parent as it was told; if it is gone already, exit now.
    """
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)


def prctl(option: int, *arguments: int) -> None:
    """Call prctl(2) with up to four arguments; raises OSError."""
    values = (*arguments, 0, 0, 0, 0)[:4]
    if _libc.prctl(ctypes.c_int(option), *map(ctypes.c_ulong, values)) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl({option}): {os.strerror(error)}")
