# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills a process at a chosen step: before a call of `os`, or wherever it counts a step itself."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable


class Steps:
    """Counts steps; the process is killed (-9) before its step number ``last``, 0 for never."""

    def __init__(self, last: int) -> None:
        self._last = last
        self._lock = threading.Lock()
        self.taken = 0

    def step(self) -> None:
        """Take a step."""
        with self._lock:
            self.taken += 1
            if self.taken == self._last:
                os.kill(os.getpid(), signal.SIGKILL)

    def before_calls(self, names: Iterable[str]) -> None:
        """Let each call of these functions of `os` be a step, from now on in this process."""
        for name in names:
            setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **more: object) -> object:
            self.step()
            return real(*arguments, **more)

        return call


def killed(work: Callable[[], None]) -> bool:
    """Do the work in a child process; tell whether it was killed. Raises where it failed."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise SystemExit(f"it ended with {status}")
    return status != 0
