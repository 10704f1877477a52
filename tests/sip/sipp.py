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
HOST6 = "::1"
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
    "bad_media": "m=audio 6200 RTP/AVP 18\na=rtpmap:18 G729/8000",
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


def family(host: str) -> socket.AddressFamily:
    """Give the address family of an IP address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def in_uri(host: str) -> str:
    """Give an IP address as a URI has it."""
    return f"[{host}]" if ":" in host else host


def has_ipv6() -> bool:
    """Tell whether this host has the loopback address ``::1``."""
    return _is_free(HOST6, 0, socket.SOCK_DGRAM)


def free_port(*hosts: str) -> int:
    """Give a port on ``hosts`` (default: `HOST`) that is free for UDP and TCP at the moment."""
    hosts = hosts or (HOST,)
    while True:
        with socket.socket(family(hosts[0]), socket.SOCK_DGRAM) as udp:
            udp.bind((hosts[0], 0))
            port = int(udp.getsockname()[1])
        kinds = (socket.SOCK_DGRAM, socket.SOCK_STREAM)
        if all(_is_free(host, port, kind) for host in hosts for kind in kinds):
            return port


def _is_free(host: str, port: int, kind: socket.SocketKind) -> bool:
    try:
        with socket.socket(family(host), kind) as probe:
            probe.bind((host, port))
    except OSError:
        return False
    return True


def _is_ready(host: str, port: int, transport: str) -> bool:
    """Tell whether the kernel lists a UDP socket, or a listening TCP socket, on a port."""
    table, state = ("tcp", "0A") if transport.startswith("t") else ("udp", "07")
    table += "6" if ":" in host else ""
    for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
        _, local, _, current = line.split()[:4]
        if local.endswith(f":{port:04X}") and current == state:
            return True
    return False


class Sipp:
    """One run of SIPp on ``host`` and ``port``; make it with `caller` or `callee`."""

    def __init__(
        self, host: str, port: int, folder: Path, process: asyncio.subprocess.Process
    ) -> None:
        self.host = host
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
        host: str = HOST,
        transport: str = "u1",
        calls: int = 1,
        rate: int = 10,
        seconds: int = 20,
        echo: bool = False,
        **values: object,
    ) -> Sipp:
        """Call ``user`` at port ``target`` of ``host``, from another port of the same host.

        ``transport`` is ``u1`` (UDP) or ``t1`` (TCP), over IPv6 too.
        With ``echo`` SIPp itself sends back all RTP that comes to its ``media_port``.
        """
        options = ["-s", user, "-r", str(rate), f"{in_uri(host)}:{target}"]
        options += _echoing(host, echo, values)
        local = (host, free_port(host))
        return await cls._run(folder, scenario, local, transport, calls, seconds, values, options)

    @classmethod
    async def callee(
        cls,
        folder: Path,
        scenario: str,
        *,
        host: str = HOST,
        transport: str = "u1",
        calls: int = 1,
        seconds: int = 20,
        port: int = 0,
        echo: bool = False,
        **values: object,
    ) -> Sipp:
        """Take ``calls`` calls on ``port`` (0: any); ready to do so when this returns."""
        options = _echoing(host, echo, values)
        local = (host, port or free_port(host))
        sipp = await cls._run(folder, scenario, local, transport, calls, seconds, values, options)
        while not _is_ready(host, sipp.port, transport) and sipp._process.returncode is None:
            await asyncio.sleep(0.01)
        return sipp

    @classmethod
    async def _run(
        cls,
        folder: Path,
        scenario: str,
        local: tuple[str, int],
        transport: str,
        calls: int,
        seconds: int,
        values: dict[str, object],
        options: list[str],
    ) -> Sipp:
        assert AVAILABLE, "sipp is missing: install the Debian package sip-tester"
        host, port = local
        folder = Path(tempfile.mkdtemp(prefix=f"{scenario}-{port}-", dir=folder))
        file = folder / "scenario.xml"
        file.write_text(filled(scenario, {"addr": host, **values}))
        command = ["sipp", "-sf", str(file), "-i", host, "-p", str(port), "-t", transport]
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
        return cls(host, port, folder, process)

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


def _echoing(host: str, echo: bool, values: dict[str, object]) -> list[str]:
    """Give SIPp's options for an echo; it takes four ports in a row, from an even one on."""
    if not echo:
        return []
    port = 1
    while port % 2 or not all(_is_free(host, port + more, socket.SOCK_DGRAM) for more in range(4)):
        port = free_port(host)
    values["media_port"] = port
    return ["-rtp_echo", "-mp", str(port)]


def filled(scenario: str, values: dict[str, object]) -> str:
    """Give a scenario's text with every ``@name@`` replaced; KeyError for a name without value."""
    known = {**DEFAULTS, **{name: str(value) for name, value in values.items()}}
    known.setdefault("net", "IP6" if ":" in known["addr"] else "IP4")
    for name in known.keys() & {"check", "check_too"}:
        known[name] = escape(known[name], {'"': "&quot;"})
    text = (SCENARIOS / f"{scenario}.xml").read_text()
    return re.sub(r"@([a-z_]+)@", lambda match: known[match[1]], text)
