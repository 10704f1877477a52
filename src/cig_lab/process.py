# SPDX-License-Identifier: GPL-3.0-or-later
"""Real programs as children: started, awaited until ready, stopped by their process id.

A child says that it is ready by the protocol of sd_notify: READY=1 in a datagram to the socket
that NOTIFY_SOCKET names. Nothing waits for a fixed time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

READY_SECONDS = 30.0
STOP_SECONDS = 7.0
"""The daemons promise to stop within 5 s."""
_TAIL_LINES = 15
_TOLD = 100
_TOLD_OCTETS = 4096


class LabError(Exception):
    """Something in the lab did not come about; the text is for whoever started it."""


def program(name: str) -> Path:
    """Give the path of one of our programs: it lies beside the Python that runs us."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise LabError(f"{path} does not exist: install the project into this environment first")
    return path


class Child:
    """One running program."""

    def __init__(
        self,
        name: str,
        process: asyncio.subprocess.Process,
        log: Path,
        notifications: socket.socket,
    ) -> None:
        self.name = name
        self.log = log
        self._process = process
        self._notifications = notifications
        self.told: deque[str] = deque(maxlen=_TOLD)
        """What it has told its service manager, us, since it was ready; the last few of it."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.returncode

    @staticmethod
    async def start(
        name: str,
        arguments: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> Child:
        """Start a program and wait until it is ready; raises LabError with the end of its log.

        ``environment`` is added to ours.

        It gets a session of its own, so that Ctrl-C reaches us alone, and we stop all in order.
        """
        log = folder / f"{name}.out"
        notify = folder / f"{name}.notify"
        notifications = _notify_socket(notify)
        try:
            with log.open("wb") as output:
                process = await asyncio.create_subprocess_exec(
                    program(name),
                    *arguments,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env={**os.environ, **(environment or {}), "NOTIFY_SOCKET": str(notify)},
                    start_new_session=True,
                )
        except BaseException:
            notifications.close()
            raise
        child = Child(name, process, log, notifications)
        try:
            await asyncio.wait_for(child._ready(), READY_SECONDS)
            asyncio.get_running_loop().add_reader(notifications, child._hear)
        except (TimeoutError, LabError):
            await child.stop()
            raise LabError(f"{name} did not get ready\n{child.tail()}") from None
        except BaseException:
            await child.stop()
            raise
        return child

    async def _ready(self) -> None:
        loop = asyncio.get_running_loop()
        ended = asyncio.ensure_future(self._process.wait())
        try:
            while True:
                told = asyncio.ensure_future(loop.sock_recv(self._notifications, 4096))
                await asyncio.wait((told, ended), return_when=asyncio.FIRST_COMPLETED)
                if not told.done():
                    told.cancel()
                    raise LabError(f"{self.name} ended with {self.returncode}")
                if b"READY=1" in told.result().split(b"\n"):
                    return
        finally:
            ended.cancel()

    def _hear(self) -> None:
        # What nobody reads fills the socket, and then the program cannot tell any more.
        with contextlib.suppress(BlockingIOError):
            self.told.append(self._notifications.recv(_TOLD_OCTETS).decode(errors="replace"))

    async def wait(self) -> int:
        """Wait until it ends; gives the exit code."""
        return await self._process.wait()

    def tail(self) -> str:
        """Give the last lines that it wrote to its output and its log."""
        parts = []
        for path in (self.log, self.log.with_suffix(".log")):
            with contextlib.suppress(OSError):
                lines = path.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
                parts += [f"{path.name}: {line}" for line in lines]
        return "\n".join(parts) or f"{self.name} wrote nothing"

    async def stop(self) -> int:
        """End it by SIGTERM, by SIGKILL where that does not help; gives the exit code."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
        code = await self._process.wait()
        if self._notifications.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._notifications)
        self._notifications.close()
        return code


def _notify_socket(path: Path) -> socket.socket:
    notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notifications.setblocking(False)
    path.unlink(missing_ok=True)  # left by a run before
    notifications.bind(str(path))
    return notifications


async def run(name: str, *arguments: str, seconds: float = 20.0) -> tuple[int, str]:
    """Run one of our programs to its end; gives its exit code and all that it printed."""
    process = await asyncio.create_subprocess_exec(
        program(name),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise LabError(f"{name} {' '.join(arguments)} took more than {seconds:.0f} s") from None
    return process.returncode or 0, output.decode(errors="replace")
