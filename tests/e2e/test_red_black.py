# SPDX-License-Identifier: GPL-3.0-or-later
"""What crosses the wires during a call, seen by tshark on loopback.

Needs the right to capture (root, or a member of the group that may use dumpcap).
"""

import asyncio
import contextlib
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cig_lab import ports, signals
from cig_lab.environment import HOST, Environment, Plan

WINDOW = 16
"""Octets of clear speech in a row (2 ms) that are enough to count as heard."""


@dataclass(frozen=True)
class Datagram:
    source: int
    target: int
    payload: bytes

    @property
    def is_rtp(self) -> bool:
        # RFC 7983: 128 to 191 in the first octet is RTP or RTCP.
        return len(self.payload) >= 12 and 128 <= self.payload[0] <= 191

    @property
    def is_voice(self) -> bool:
        # RFC 5761 section 4: payload types 64 to 95 on a shared port are RTCP.
        return self.is_rtp and not 64 <= self.payload[1] & 0x7F <= 95


@asynccontextmanager
async def capture(file: Path) -> AsyncIterator[None]:
    """Capture all UDP on loopback into ``file`` while the block runs."""
    assert shutil.which("tshark"), "tshark is missing: install the Debian package tshark"
    process = await asyncio.create_subprocess_exec(
        *("tshark", "-q", "-i", "lo", "-f", "udp", "-w", str(file)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    said = b""
    async with asyncio.timeout(20):
        while b"Capturing on" not in said:
            piece = await process.stderr.readline()
            assert piece, f"tshark cannot capture on loopback: {said.decode()}"
            said += piece
        # It says so a moment before it listens; the file's header tells that it does.
        while not file.exists() or file.stat().st_size < 24:
            if process.returncode is not None:
                said += await process.stderr.read()
                raise AssertionError(f"tshark cannot capture on loopback: {said.decode()}")
            await asyncio.sleep(0.01)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def datagrams(file: Path) -> list[Datagram]:
    process = await asyncio.create_subprocess_exec(
        *("tshark", "-r", str(file), "-T", "fields"),
        *("-e", "udp.srcport", "-e", "udp.dstport", "-e", "udp.payload"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate()
    rows = (line.split("\t") for line in output.decode().splitlines())
    return [
        Datagram(int(row[0]), int(row[1]), bytes.fromhex(row[2].replace(":", "")))
        for row in rows
        if len(row) == 3 and row[0] and row[2]
    ]


def windows(octets: bytes) -> Iterator[bytes]:
    return (octets[i : i + WINDOW] for i in range(len(octets) - WINDOW + 1))


def udp_ports_of(pid: int) -> set[int]:
    """Give the local ports of a process's UDP sockets, from /proc."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if found := re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink())):
                inodes.add(found[1])
    ports = set()
    for table in ("udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


async def test_no_clear_sample_on_the_crs_side_and_no_rtp_from_cig_server(tmp_path: Path) -> None:
    file = tmp_path / "call.pcapng"
    async with Environment(Plan(mgmt_port=ports.free_port(HOST, ("tcp",)))) as lab:
        async with capture(file):
            secure = await lab.phone.dial("+8888w101")
            plain = await asyncio.wait_for(lab.sip_phone.incoming(), 10)
            await plain.accept()
            await asyncio.wait_for(secure.up, 10)
            await asyncio.gather(
                secure.play(signals.make("rise", 1.0)),
                plain.play(signals.make("fall", 1.0)),
            )
            await asyncio.sleep(0.2)  # what is on its way shall be in the capture
            server_ports = udp_ports_of(lab.server.pid)
        relay_ports = set(lab.rtp_ports)
        crs_port = lab.crs.media_address[1]
        sip_port = lab.sip_port
    packets = await datagrams(file)
    black = [p for p in packets if crs_port in (p.source, p.target)]
    red = [p for p in packets if p.is_voice and crs_port not in (p.source, p.target)]
    black_voice = [p for p in black if p.is_voice]
    assert len(red) > 80, "both directions of the call must be in the capture"
    assert len(black_voice) > 160, "each packet passes the CRS's port twice"

    spoken = {window for p in red for window in windows(p.payload[12:])}
    assert len(spoken) > 5000, "the signals must be rich enough to be recognised"
    # The detector works: what the relay sends to the SIP side it recognises.
    assert all(not spoken.isdisjoint(windows(p.payload)) for p in red)
    leaks = [p for p in black if not spoken.isdisjoint(windows(p.payload))]
    assert not leaks, f"{len(leaks)} of {len(black)} packets to or from the CRS hold clear speech"

    assert sip_port in server_ports, "cig-server's own sockets must be seen"
    from_server = [p for p in packets if p.source in server_ports]
    assert from_server, "cig-server's SIP must be in the capture"
    assert not [p for p in from_server if p.is_rtp], "cig-server sends no RTP or RTCP"
    assert {p.source for p in red} & relay_ports, "the relay does"
