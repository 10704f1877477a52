# SPDX-License-Identifier: GPL-3.0-or-later
"""A program on a real (pseudo) terminal, typed to and read from."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SRC = Path(__file__).resolve().parents[4] / "src"
PATIENCE = 30.0
CTRL_C, CTRL_D = "\x03", "\x04"

# Makes the standard input the controlling terminal, which Ctrl-C and /dev/tty need.
LAUNCH = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "cig_cli.main", *sys.argv[1:]])
"""


class Session:
    """One run of cig-cli. `seen` is all that the terminal has shown so far."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self._master = master
        self._process = process
        self.seen = ""
        self._looked = 0

    def expect(self, text: str) -> str:
        """Wait until the terminal shows a text; give what it showed before and with it."""
        end = time.monotonic() + PATIENCE
        while (found := self.seen.find(text, self._looked)) < 0:
            if not self._read(end - time.monotonic()):
                raise AssertionError(f"no {text!r} in {self.seen[self._looked :]!r}")
        start, self._looked = self._looked, found + len(text)
        return self.seen[start : self._looked]

    def type(self, text: str) -> None:
        """Type or paste a text; what the terminal shows meanwhile is read."""
        left = text.encode()
        while left:
            _, room, _ = select.select([], [self._master], [], 0.1)
            if room:
                left = left[os.write(self._master, left[:512]) :]
            self._read(0.0)

    def end(self) -> int:
        """Wait for the end; give the exit code."""
        end = time.monotonic() + PATIENCE
        while self._read(end - time.monotonic()):
            pass
        return self._process.wait(PATIENCE)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], max(0.0, seconds))[0]:
            return False
        try:
            octets = os.read(self._master, 65536)
        except OSError:  # the other end is closed
            return False
        self.seen += octets.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(octets)


@contextmanager
def on_terminal(arguments: Sequence[str], **environment: str) -> Iterator[Session]:
    """Run cig-cli on a terminal of its own."""
    master, slave = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "PYTHONPATH": str(SRC), "TERM": "dumb", **environment},
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Session(master, process)
    finally:
        process.kill()
        process.wait()
        os.close(master)
