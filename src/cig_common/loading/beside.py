# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiles a cig.conf without holding up the event loop that waits for it.

A small file compiles in a thread. Threads share one interpreter, so for a big one that would slow
down every packet and every message for seconds: it compiles in a process of its own, which sends
back what is wanted of it.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from cig_common import child
from cig_common.config import ConfigError, Configuration
from cig_common.errors import LocalError
from cig_common.loading.loaded import Loaded, load_part

Part = TypeVar("Part")

THREAD_OCTETS = 128 * 1024
"""A file up to this size compiles in a thread: that takes less time than to start a process."""

LOAD_SECONDS = 300.0
"""How long a process may compile; a million entries take a tenth of it."""

_CHILD = "cig_common.loading.child"
_PIPE_OCTETS = 1 << 16


class LoadFailedError(LocalError):
    """The process that compiled a file gave no result: nothing can be said about the file."""

    log_code = "load-failed"


async def load_beside(
    path: Path, take: Callable[[Configuration], Part], *, ask_host: bool = True
) -> Loaded[Part]:
    """Compile ``path`` and give what ``take``, a function at the top of a module, makes of it.

    ``ask_host`` is as for `load_part`.

    Raises ConfigError for a file that does not load, LoadFailedError where the compiler itself
    failed. Whoever is cancelled meanwhile leaves no process behind.
    """
    try:
        octets = path.stat().st_size
    except (OSError, ValueError):
        octets = 0
    if octets <= THREAD_OCTETS:
        return await asyncio.to_thread(load_part, path, take, ask_host=ask_host)
    return await _in_process(path, take, ask_host)


async def _in_process(
    path: Path, take: Callable[[Configuration], Part], ask_host: bool
) -> Loaded[Part]:
    ours, theirs = os.pipe()
    try:
        process = await _start(path, take, ask_host, theirs)
    except BaseException as error:
        os.close(ours)
        if isinstance(error, OSError):
            raise LoadFailedError(f"cannot start the compiler: {error.strerror}") from None
        raise
    finally:
        os.close(theirs)
    try:
        async with asyncio.timeout(LOAD_SECONDS):
            answer = await asyncio.to_thread(_answer, ours)
            await process.wait()
    except TimeoutError:
        raise LoadFailedError(f"{path} did not compile within {LOAD_SECONDS:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()  # its end of the pipe closes with it, so the reading thread ends too
            await process.wait()
    if isinstance(answer, Loaded):
        return answer
    if isinstance(answer, ConfigError):
        raise answer
    raise LoadFailedError(f"{path} could not be compiled: {answer or _death(process.returncode)}")


async def _start(
    path: Path, take: Callable[[Configuration], Part], ask_host: bool, answer: int
) -> asyncio.subprocess.Process:
    name = f"{take.__module__}:{take.__qualname__}"
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", _CHILD, os.fspath(path), name, "host" if ask_host else "alone"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=answer,
        env=child.environment(),
        start_new_session=True,  # a Ctrl-C or SIGHUP of a terminal is not for it
    )


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        return f"the compiling process was ended by signal {-code}; is the memory used up?"
    return f"the compiling process ended with {code} and said nothing"


def _answer(descriptor: int) -> Any:
    """Read the child's pickle to its end; None where it broke off."""
    with os.fdopen(descriptor, "rb", buffering=_PIPE_OCTETS) as file:
        try:
            return pickle.load(_Yielding(file))
        except (EOFError, OSError, pickle.UnpicklingError):
            return None


class _Yielding:
    """A file for ``pickle.load`` that lets the event loop run between any two frames.

    Unpickling is C code that keeps the interpreter to itself; it asks for 64 KB at a time through
    these methods, and gives up its turn here.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, octets: int = -1) -> bytes:
        time.sleep(0)
        return self._file.read(octets)

    def readinto(self, buffer: Any) -> int:
        time.sleep(0)
        return self._file.readinto(buffer)  # type: ignore[attr-defined, no-any-return]

    def readline(self) -> bytes:
        return self._file.readline()
