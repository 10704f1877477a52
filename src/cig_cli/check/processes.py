# SPDX-License-Identifier: GPL-3.0-or-later
"""Who runs and who holds which port, as /proc tells it. Whose a port is, only root may see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RELAY, SERVER = "cig-relay", "cig-server"

_TABLES = {"udp": ("udp", "udp6"), "tcp": ("tcp", "tcp6")}
_LISTENS = "0A"
_PROGRAMS = {RELAY: RELAY, "cig_relay.app": RELAY, SERVER: SERVER, "cig_server.app": SERVER}
"""What a daemon's command line may call it."""
_SOCKET = re.compile(r"socket:\[(\d+)\]")
_LIMIT = re.compile(r"^(Max [a-z ]+?)\s{2,}(\S+)\s+(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Process:
    """A running process: number and name."""

    pid: int
    name: str


@dataclass(frozen=True, slots=True)
class Port:
    """A port that is taken, and the number of the socket that has it."""

    number: int
    inode: int


def ports(root: Path, protocol: str) -> list[Port]:
    """Give the ports of ``udp`` that are taken, or of ``tcp`` on which something listens."""
    found = []
    for table in _TABLES[protocol]:
        try:
            lines = (root / "proc/net" / table).read_text("ascii").splitlines()[1:]
        except (OSError, ValueError):
            continue
        for line in lines:
            fields = line.split()
            if len(fields) > 9 and (protocol == "udp" or fields[3] == _LISTENS):
                found.append(Port(int(fields[1].rpartition(":")[2], 16), int(fields[9])))
    return found


def holders(root: Path) -> dict[int, Process]:
    """Give the process of each socket, as far as the kernel lets us look."""
    found = {}
    for process in processes(root):
        try:
            for link in (root / "proc" / str(process.pid) / "fd").iterdir():
                if socket := _SOCKET.fullmatch(str(link.readlink())):
                    found[int(socket[1])] = process
        except OSError:
            continue
    return found


def processes(root: Path) -> Iterator[Process]:
    """Yield what runs. A daemon of ours has its program's name, whoever interprets it."""
    for folder in (root / "proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            name = (folder / "comm").read_text("utf-8", "replace").strip()
        except OSError:
            continue
        yield Process(int(folder.name), _program(words) or name)


def _program(words: list[bytes]) -> str | None:
    """Give the name of our daemon that a command line starts, itself or by an interpreter."""
    names = [word.rpartition(b"/")[2].decode("utf-8", "replace") for word in words]
    if names[0].startswith("python"):
        names = [name for name in names[1:] if not name.startswith("-")]
    return _PROGRAMS.get(names[0]) if names else None


def limit(root: Path, pid: int | str, name: str) -> float | None:
    """Give a soft limit of a process, such as ``Max open files``; None if it is not told."""
    try:
        text = (root / "proc" / str(pid) / "limits").read_text("ascii")
    except (OSError, ValueError):
        return None
    for found in _LIMIT.finditer(text):
        if found[1] == name:
            return float("inf") if found[2] == "unlimited" else float(found[2])
    return None
