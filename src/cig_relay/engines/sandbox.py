# SPDX-License-Identifier: GPL-3.0-or-later
"""What a crypto engine gives up before it gets a key: all but its memory and its socket.

The rules:

1. The socket is descriptor 0 and the only one; no other can be made. No file can be written, no
   process started, no privilege gained.
2. A system call filter (seccomp) lets through what `recv`, `send`, memory, random octets and an
   orderly end need. Whatever else is tried fails with EPERM, for the interpreter may try harmless
   things (to read a source file for a traceback, say) and goes on without them.
3. What no honest engine tries ends it at once by SIGSYS, so that it is seen: network, programs,
   processes, and other processes' memory or descriptors.
4. Memory that can be written is never made executable.
5. Where the kernel or the processor's architecture does not have the filter, an engine runs
   without; the caller learns that and has to tell it.

Everything that opens a file (imports, OpenSSL's providers) must have been done before.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import sys

from cig_relay.engines.hardening import prctl

CHANNEL = 0
"""The descriptor that an engine keeps."""

_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_MOST_DESCRIPTORS = 65536

# Numbers of arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h; None
# where an architecture lacks the call.
_Numbers = tuple[int | None, int | None]
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""A column of the tables below, and the AUDIT_ARCH of include/uapi/linux/audit.h."""
_ALLOWED: dict[str, _Numbers] = {
    "recvfrom": (45, 207),
    "sendto": (44, 206),
    "read": (0, 63),
    "write": (1, 64),
    "getrandom": (318, 278),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "brk": (12, 214),
    "madvise": (28, 233),
    "futex": (202, 98),
    "sched_yield": (24, 124),
    "clock_gettime": (228, 113),
    "gettimeofday": (96, 169),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "close": (3, 57),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
_ALLOWED_BUT_EXECUTABLE: dict[str, _Numbers] = {"mmap": (9, 222), "mprotect": (10, 226)}
_DEADLY: dict[str, _Numbers] = {
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "fork": (57, None),
    "vfork": (58, None),
    "clone": (56, 220),
    "clone3": (435, 435),
    "execve": (59, 221),
    "execveat": (322, 281),
    "kill": (62, 129),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "io_uring_setup": (425, 425),
}

# Actions, and fields of struct seccomp_data (both architectures are little-endian).
KILL_PROCESS = 0x80000000
REFUSE = 0x00050000 | errno.EPERM
_ALLOW = 0x7FFF0000
_NUMBER, _ARCHITECTURE, _PROTECTION = 0, 4, 16 + 2 * 8
_PROT_EXEC = 4

_LOAD, _IF_EQUAL, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06


class _Instruction(ctypes.Structure):
    """struct sock_filter: one instruction of classic BPF."""

    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    """struct sock_fprog: a program as the kernel takes it."""

    _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.POINTER(_Instruction)))


def confine(*, machine: str | None = None, otherwise: int = REFUSE) -> bool:
    """Give up everything, for good; False where the system call filter is not to be had.

    ``machine`` is the processor's architecture if it is not this host's; ``otherwise`` what the
    filter does with calls of neither list. Raises OSError.
    """
    sys.stdin = sys.stdout = sys.stderr = None
    sys.__stdin__ = sys.__stdout__ = sys.__stderr__ = None  # type: ignore[misc]
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    last = _MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else min(soft, _MOST_DESCRIPTORS)
    os.closerange(CHANNEL + 1, last)
    resource.setrlimit(resource.RLIMIT_NOFILE, (CHANNEL + 1, CHANNEL + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    return _filter(os.uname().machine if machine is None else machine, otherwise)


def _filter(machine: str, otherwise: int) -> bool:
    if machine not in _ARCHITECTURES or sys.maxsize < 1 << 32:
        return False
    instructions = _assemble(*_ARCHITECTURES[machine], otherwise)
    array = (_Instruction * len(instructions))(*(_Instruction(*fields) for fields in instructions))
    program = _Program(len(instructions), array)
    try:
        prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program))
    except OSError:
        return False
    return True


def _assemble(column: int, architecture: int, otherwise: int) -> list[tuple[int, int, int, int]]:
    """Give the program as (code, jump if true, jump if false, operand)."""
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
    ]
    for number in _column(_ALLOWED, column):
        program += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for number in _column(_ALLOWED_BUT_EXECUTABLE, column):
        program += [
            (_IF_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, _PROTECTION),
            (_IF_ANY_BIT, 0, 1, _PROT_EXEC),
            (_RETURN, 0, 0, REFUSE),
            (_RETURN, 0, 0, _ALLOW),
        ]
    for number in _column(_DEADLY, column):
        program += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, KILL_PROCESS)]
    return [*program, (_RETURN, 0, 0, otherwise)]


def _column(table: dict[str, _Numbers], column: int) -> list[int]:
    return [number for numbers in table.values() if (number := numbers[column]) is not None]
