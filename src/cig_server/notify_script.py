# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs notify.sh, the operator's own script for events (docs/notify.md).

The rules:

1. No shell is in between, and the script gets a clean environment: what this service was started
   with is not its business, and would harm a program of the host's.
2. One at a time. What comes while one runs waits; of more than 8 that wait the oldest is left out.
3. A script that takes more than 30 s is killed, with all that it started. What it left running
   when it ended goes on. One that fails, hangs, or cannot be run harms nothing: that is told in
   the log, no more.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger("Notify")

DEFAULT_SCRIPT = Path("/opt/cig/scripts/notify.sh")
LIMIT_SECONDS = 30.0
MAX_WAITING = 8
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHOWN = 200
_MAX_OUTPUT = 65536

_Call = tuple[str, str, dict[str, str]]


class NotifyScript:
    """The script at ``path``; belongs to one event loop."""

    def __init__(self, path: Path, *, limit: float = LIMIT_SECONDS) -> None:
        self._path = path
        self._limit = limit
        self._waiting: deque[_Call] = deque(maxlen=MAX_WAITING)
        self._task: asyncio.Task[None] | None = None
        self._missing_told = False
        self.counters: Counter[str] = Counter()

    def call(self, event: str, text: str, details: Mapping[str, str]) -> None:
        """Have the script run as ``PATH EVENT TEXT``; ``details`` are environment variables."""
        environment = {
            "PATH": _PATH,
            "LANG": "C.UTF-8",
            "CIG_EVENT": event,
            "CIG_TEXT": text,
            **details,
        }
        if len(self._waiting) == MAX_WAITING:
            logger.warning("%s is slow: its oldest call is left out", self._path)
            self.counters["notify_left_out"] += 1
        self._waiting.append((event, text, environment))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run_all())

    async def idle(self) -> None:
        """Wait until nothing runs or waits."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def stop(self) -> None:
        """Kill the one that runs and drop those that wait."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run_all(self) -> None:
        while self._waiting:
            event, text, environment = self._waiting.popleft()
            try:
                await self._run(event, text, environment)
            except Exception:
                logger.exception("%s could not be run, in a way not foreseen", self._path)

    async def _run(self, event: str, text: str, environment: Mapping[str, str]) -> None:
        output = _Output()
        try:
            process = await asyncio.create_subprocess_exec(
                self._path,
                event,
                text,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output.writing_end,
                stderr=output.writing_end,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
            output.begin()
            await self._see_it_end(process, output, event)
        except FileNotFoundError:
            if not self._missing_told:
                logger.info("there is no %s: nobody is notified of %s", self._path, event)
                self._missing_told = True
        except OSError as error:
            self._failed(event, f"it cannot be run ({error.strerror}): is it executable?")
        finally:
            output.close()

    async def _see_it_end(
        self, process: asyncio.subprocess.Process, output: _Output, event: str
    ) -> None:
        try:
            async with asyncio.timeout(self._limit):
                code = await process.wait()
        except TimeoutError:
            self._failed(event, f"it took more than {self._limit:g} s and was killed")
            return
        finally:
            if process.returncode is None:
                _kill_all(process)
                await process.wait()
        if code:
            self._failed(event, f"it ended with {code}: {output.last_line()}")
        else:
            self.counters["notified"] += 1

    def _failed(self, event: str, why: str) -> None:
        self.counters["notify_failed"] += 1
        logger.warning("%s for %s: %s", self._path, event, why)


class _Output:
    """What a script prints, of which the end is kept.

    A pipe of our own: asyncio's would keep `Process.wait` from ending while something that the
    script left running still has it open.
    """

    def __init__(self) -> None:
        self._reading_end, self.writing_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(self.writing_end, True)
        self._kept = b""

    def begin(self) -> None:
        """Read from now on; the script has its own writing end by now."""
        os.close(self.writing_end)
        self.writing_end = -1
        asyncio.get_running_loop().add_reader(self._reading_end, self._read)

    def _read(self) -> bool:
        try:
            octets = os.read(self._reading_end, _MAX_OUTPUT)
        except BlockingIOError:
            return False
        self._kept = (self._kept + octets)[-_MAX_OUTPUT:]
        if not octets:
            asyncio.get_running_loop().remove_reader(self._reading_end)
        return bool(octets)

    def last_line(self) -> str:
        """Give the last line that is not blank."""
        # What it left running may print for ever: what is in the pipe now is enough.
        for _ in range(2):
            self._read()
        lines = self._kept.decode("utf-8", "replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "it printed nothing")
        return "".join(c if c.isprintable() else "?" for c in last)[:_SHOWN]

    def close(self) -> None:
        """Close both ends."""
        asyncio.get_running_loop().remove_reader(self._reading_end)
        os.close(self._reading_end)
        if self.writing_end >= 0:
            os.close(self.writing_end)


def _kill_all(process: asyncio.subprocess.Process) -> None:
    # It leads a process group of its own.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
