# SPDX-License-Identifier: GPL-3.0-or-later
"""The relay's Unix sockets: made with just their rights, and who is at the other end."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

from cig_common.errors import LocalError

_BACKLOG = 16
_CREDENTIALS = struct.Struct("3i")


class SocketInUseError(LocalError):
    """Another relay listens on the socket, or its path is taken by something else."""

    log_code = "socket-in-use"


@dataclass(frozen=True, slots=True)
class PeerProcess:
    """The process at the other end, as the kernel tells it (SO_PEERCRED)."""

    pid: int
    uid: int

    @staticmethod
    def of(writer: asyncio.StreamWriter) -> PeerProcess:
        """Ask for it."""
        sock = writer.get_extra_info("socket")
        octets = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _ = _CREDENTIALS.unpack(octets)
        return PeerProcess(pid, uid)


async def listening(path: Path, mode: int) -> socket.socket:
    """Make the socket ``path`` with just this ``mode``; the caller accepts connections on it.

    Raises SocketInUseError, or OSError when the socket cannot be made.
    """
    await _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # No moment in which the socket exists with other rights than it shall have.
        before = os.umask(0o777 & ~mode)
        try:
            sock.bind(str(path))
        finally:
            os.umask(before)
        sock.listen(_BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


async def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SocketInUseError(f"{path} exists and is no socket: remove it, or name another path")
    try:
        _, writer = await asyncio.open_unix_connection(str(path))
    except ConnectionRefusedError:
        path.unlink()
        return
    writer.close()
    raise SocketInUseError(f"{path}: a relay listens there already: stop it first")
