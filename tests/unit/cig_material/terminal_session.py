# SPDX-License-Identifier: GPL-3.0-or-later
"""A program whose controlling terminal is a pseudo terminal, whatever its three streams are."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

from cig_common import child

PATIENCE = 60.0
CTRL_C, CTRL_D = "\x03", "\x04"

# Takes the terminal as its own and becomes the program.
LAUNCH = """
import fcntl, os, sys, termios
terminal = int(sys.argv[1])
fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
os.close(terminal)
os.execv(sys.executable, [sys.executable, "-m", *sys.argv[2:]])
"""


class Session:
    """One run of ``-m module arguments``; ``seen`` is all that the terminal has shown so far."""

    def __init__(self, output: Path, *command: str) -> None:
        self._master, self._slave = os.openpty()
        self.seen = ""
        with output.open("wb") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-c", LAUNCH, str(self._slave), *command],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.PIPE,
                pass_fds=[self._slave],
                start_new_session=True,
                env=child.environment(),
            )

    def answer(self, question: str, typed: str) -> None:
        """Wait until the terminal shows ``question``, then type."""
        end = time.monotonic() + PATIENCE
        shown = ""
        while question not in shown:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._master], [], [], left)[0]:
                raise AssertionError(f"no {question!r} in {shown!r}")
            shown += os.read(self._master, 4096).decode()
        self.seen += shown
        os.write(self._master, typed.encode())

    def end(self) -> tuple[int, str]:
        """Wait for the end; give exit code and standard error."""
        _, errors = self._process.communicate(timeout=PATIENCE)
        while select.select([self._master], [], [], 0)[0]:
            self.seen += os.read(self._master, 4096).decode()
        return self._process.returncode, errors.decode()

    @property
    def echoes(self) -> bool:
        """Whether the terminal shows what is typed."""
        return bool(termios.tcgetattr(self._slave)[3] & termios.ECHO)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
        os.close(self._master)
        os.close(self._slave)
