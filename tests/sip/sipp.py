# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the real SIPp (Debian package sip-tester) as a PBX, as caller or as callee.

A scenario is a file of ``scenarios/``; ``@name@`` in it is filled in from the keyword arguments,
so that one file serves for many statuses, bodies and checks. SIPp's own keywords stay as they are.
The run is judged by SIPp's exit status: 0 means that every message came as the scenario says.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

HOST = "127.0.0.1"
SCENARIOS = Path(__file__).parent / "scenarios"
AVAILABLE = shutil.which("sipp") is not None

DEFAULTS = {
    "from": "101",
    "domain": "pbx.com",
    "addr": HOST,
    "media_port": "6000",
    "early_port": "6300",
    "formats": "8 0 101",
    "maps": "a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15",
    "talk_ms": "100",
    "hold_ms": "100",
    "check": ".",
    "check_too": ".",
    "contact_extra": "",
}


@dataclass(frozen=True)
class Result:
    """How a run ended: SIPp's exit status and what it wrote."""

    status: int
    messages: str
    errors: str

    def check(self) -> None:
        """Fail, with all messages shown, unless every step of the scenario happened."""
        assert self.status == 0, f"sipp ended with {self.status}\n{self.errors}\n{self.messages}"


def free_port() -> int:
    """Give a port on the loopback that is free for UDP and TCP at the moment."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind((HOST, 0))
            port = int(udp.getsockname()[1])
            if _is_free(port, socket.SOCK_STREAM):
                return port


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _is_ready(port: int, transport: str) -> bool:
    """Tell whether the kernel lists a UDP socket, or a listening TCP socket, on a port."""
    table, state = ("tcp", "0A") if transport.startswith("t") else ("udp", "07")
    for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
        _, local, _, current = line.split()[:4]
        if local.endswith(f":{port:04X}") and current == state:
            return True
    return False


class Sipp:
    """One run of SIPp on ``port``; make it with `caller` or `callee`."""

    def __init__(self, port: int, folder: Path, process: asyncio.subprocess.Process) -> None:
        self.port = port
        self._folder = folder
        self._process = process

    @property
    def pid(self) -> int:
        """The run's process id."""
        return self._process.pid

    @classmethod
    async def caller(
        cls,
        folder: Path,
        scenario: str,
        target: int,
        *,
        user: str = "946701234567",
        transport: str = "u1",
        calls: int = 1,
        rate: int = 10,
        seconds: int = 20,
        echo: bool = False,
        **values: object,
    ) -> Sipp:
        """Call ``user`` at port ``target``; ``transport`` is ``u1`` (UDP) or ``t1`` (TCP).

        With ``echo`` SIPp itself sends back all RTP that comes to its ``media_port``.
        """
        options = ["-s", user, "-r", str(rate), f"{HOST}:{target}", *_echoing(echo, values)]
        port = free_port()
        return await cls._run(folder, scenario, port, transport, calls, seconds, values, options)

    @classmethod
    async def callee(
        cls,
        folder: Path,
        scenario: str,
        *,
        transport: str = "u1",
        calls: int = 1,
        seconds: int = 20,
        port: int = 0,
        echo: bool = False,
        **values: object,
    ) -> Sipp:
        """Take ``calls`` calls on ``port`` (0: any); ready to do so when this returns."""
        options = _echoing(echo, values)
        port = port or free_port()
        sipp = await cls._run(folder, scenario, port, transport, calls, seconds, values, options)
        while not _is_ready(sipp.port, transport) and sipp._process.returncode is None:
            await asyncio.sleep(0.01)
        return sipp

    @classmethod
    async def _run(
        cls,
        folder: Path,
        scenario: str,
        port: int,
        transport: str,
        calls: int,
        seconds: int,
        values: dict[str, object],
        options: list[str],
    ) -> Sipp:
        assert AVAILABLE, "sipp is missing: install the Debian package sip-tester"
        folder = Path(tempfile.mkdtemp(prefix=f"{scenario}-{port}-", dir=folder))
        file = folder / "scenario.xml"
        file.write_text(filled(scenario, values))
        command = ["sipp", "-sf", str(file), "-i", HOST, "-p", str(port), "-t", transport]
        command += ["-m", str(calls), "-l", str(calls), "-nostdin"]
        command += ["-timeout", str(seconds), "-timeout_error", "-recv_timeout", "10000"]
        command += ["-trace_msg", "-message_file", str(folder / "messages")]
        command += ["-trace_err", "-error_file", str(folder / "errors"), *options]
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        return cls(port, folder, process)

    async def result(self) -> Result:
        """Wait for the run's end; SIPp bounds itself by its ``seconds``."""
        status = await self._process.wait()
        return Result(status, self._text("messages"), self._text("errors"))

    async def passed(self) -> Result:
        """Wait for the end and check it."""
        result = await self.result()
        result.check()
        return result

    async def kill(self) -> None:
        """End a run that a test does not need any more."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    def _text(self, name: str) -> str:
        file = self._folder / name
        return file.read_text(errors="replace") if file.exists() else ""


def _echoing(echo: bool, values: dict[str, object]) -> list[str]:
    """Give SIPp's options for an echo; it takes four ports in a row, from an even one on."""
    if not echo:
        return []
    port = 1
    while port % 2 or not all(_is_free(port + more, socket.SOCK_DGRAM) for more in range(4)):
        port = free_port()
    values["media_port"] = port
    return ["-rtp_echo", "-mp", str(port)]


def filled(scenario: str, values: dict[str, object]) -> str:
    """Give a scenario's text with every ``@name@`` replaced; KeyError for a name without value."""
    known = {**DEFAULTS, **{name: str(value) for name, value in values.items()}}
    for name in known.keys() & {"check", "check_too"}:
        known[name] = escape(known[name], {'"': "&quot;"})
    text = (SCENARIOS / f"{scenario}.xml").read_text()
    return re.sub(r"@([a-z_]+)@", lambda match: known[match[1]], text)
