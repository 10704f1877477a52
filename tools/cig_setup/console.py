# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees of the set-up: named steps, a heartbeat in long ones, and the log.

All of it goes to standard error; standard output belongs to the program that is set up. What
commands print goes into the log file, whose last lines are shown when one fails.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

HEARTBEAT = 5.0
TAIL_LINES = 15
KEPT_LOGS = 10


class SetupError(Exception):
    """A step that failed. The text tells what happened and what to do about it.

    ``gist`` is the one line of it that says most, for a list of several failures.
    """

    def __init__(self, text: str, gist: str = "") -> None:
        """Take the text, and its gist where that is not the text itself."""
        super().__init__(text)
        self.gist = gist or text


class Console:
    """Reports steps and runs their commands, with one log file for the whole set-up."""

    def __init__(self, folder: Path) -> None:
        """Take the folder for log files; the file itself is made by the first command."""
        self._folder = folder
        self._log: Path | None = None

    def say(self, text: str) -> None:
        """Print one line for the person who waits."""
        print(f"set-up: {text}", file=sys.stderr, flush=True)

    def run(
        self,
        what: str,
        command: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        attempts: int = 1,
        let_finish: bool = False,
    ) -> None:
        """Run a command whose output goes to the log, and raise SetupError if it fails.

        ``what`` names the step to the person. ``env`` is added to the environment. ``attempts``
        above 1 is for steps that use the network, which may fail for a moment. ``let_finish``
        is for commands that must not be killed half-way: an interruption waits for their end.
        """
        words = [str(word) for word in command]
        self.say(what)
        for attempt in range(1, attempts + 1):
            start = self._write(f"\n$ {shlex.join(words)}\n")
            status = self._wait(what, words, cwd, env, let_finish)
            if status == 0:
                return
            if attempt < attempts:
                self.say(f"{what}: failed, trying again ({attempt + 1} of {attempts})")
                time.sleep(3 * attempt)
        raise self._failure(what, words, status, start)

    def _wait(
        self,
        what: str,
        words: list[str],
        cwd: Path | None,
        env: Mapping[str, str] | None,
        let_finish: bool,
    ) -> int:
        """Run the command in a process group of its own; return its exit status."""
        begin = time.monotonic()
        with self._open_log() as log:
            try:
                process = subprocess.Popen(
                    words,
                    cwd=cwd,
                    env={**os.environ, **(env or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError as error:
                log.write(f"{error}\n".encode())
                return 127
        try:
            while True:
                try:
                    return process.wait(HEARTBEAT)
                except subprocess.TimeoutExpired:
                    self.say(f"  ... {what} ({_clock(time.monotonic() - begin)})")
        finally:
            if process.poll() is None:
                self._end(process, what, let_finish)

    def _end(self, process: subprocess.Popen[bytes], what: str, let_finish: bool) -> None:
        """Bring a command to its end after an interruption."""
        if let_finish:
            self.say(f"interrupted; waiting for the end of: {what}")
            process.wait()
            return
        for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, None)):
            os.killpg(process.pid, number)
            try:
                process.wait(patience)
                return
            except subprocess.TimeoutExpired:
                continue

    def _open_log(self) -> BinaryIO:
        """Open the log file for appending, and make it first if this is the first command."""
        if self._log is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            for old in sorted(self._folder.glob("setup-*.log"))[: 1 - KEPT_LOGS]:
                old.unlink(missing_ok=True)
            name = time.strftime("setup-%Y%m%d-%H%M%S") + f"-{os.getpid()}.log"
            self._log = self._folder / name
        return self._log.open("ab")

    def _write(self, text: str) -> int:
        """Append to the log; return the offset after it, where the command's output begins."""
        with self._open_log() as log:
            log.write(text.encode())
            return int(log.tell())

    def _failure(self, what: str, words: list[str], status: int, start: int) -> SetupError:
        """Return the error for a command that failed, with the end of what it printed."""
        assert self._log is not None
        with self._log.open("rb") as log:
            log.seek(start)
            lines = log.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
        text = [
            f"this step failed: {what}",
            f"  command: {shlex.join(words)} (exit status {status})",
            *[f"  | {line}" for line in lines],
            f"  the whole log: {self._log}",
        ]
        return SetupError("\n".join(text), lines[-1] if lines else f"exit status {status}")


def _clock(seconds: float) -> str:
    """Return a time span as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
