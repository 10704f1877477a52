# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows the token to the running service, and to nobody else.

The token lies in a file that belongs to the service's user. A port is free for anybody to take
while the service is down, so before the token goes out, the kernel is asked whose socket is at the
other end of our connection: it must be the file owner's.
"""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from cig_cli.client import Client

DEFAULT_TOKEN = Path("/run/cig/mgmt-token")
ENVIRONMENT = "CIG_MGMT_TOKEN"

_MOST_OCTETS = 200
_TCP_TABLE = Path("/proc/net/tcp")


class NoTokenError(Exception):
    """The token cannot be had, or must not be sent. The text says what to do about it."""


@dataclass(frozen=True, slots=True)
class Token:
    """The service's word of this run, and the uid of the service's user."""

    text: str
    owner: int

    def __repr__(self) -> str:
        """Return a text without the token."""
        return "Token(…)"


def read_token(path: Path) -> Token:
    """Read the token file. Raises NoTokenError."""
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_OCTETS).decode("ascii").strip()
            owner = os.fstat(file.fileno()).st_uid
    except PermissionError:
        raise NoTokenError(
            f"you may not read the token in {path}: it is for root and the members of the file's "
            "group. Try again with sudo."
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it holds no token"
        raise NoTokenError(
            f"the token in {path} cannot be read: {reason}.\nIs cig-server running, with "
            f"--mgmt-token? For another file use --token-file or {ENVIRONMENT}."
        ) from None
    if not text.isalnum():
        raise NoTokenError(f"{path} holds no token: is it the file of --mgmt-token?")
    return Token(text, owner)


def authorise(client: Client, token: Token) -> None:
    """Show the token on a connection. Raises NoTokenError, or NoServerError of the connection."""
    # An answer shows that the other end has taken the connection: before that, it is nobody's.
    client.ask("echo cig-cli")
    owner = peer_owner(*client.addresses())
    if owner != token.owner:
        whose = "cannot be found out" if owner is None else f"belongs to uid {owner}"
        raise NoTokenError(
            f"the token was not sent: the program at {client.place} {whose}, but the token "
            f"belongs to uid {token.owner}. cig-cli shows the token only to the service itself, "
            "on its own host."
        )
    answer = client.ask(f"auth {token.text}")
    if answer.error is not None:
        raise NoTokenError(
            f"{answer.error}.\nThe token is new at each start of cig-server: is this the token "
            "file of the one that runs?"
        )


def peer_owner(ours: tuple[str, int], theirs: tuple[str, int]) -> int | None:
    """Give the uid of the socket at the other end of a TCP connection within this host.

    None where the kernel does not list it: the peer is on another host or in another network
    namespace, uses IPv6, or has not taken the connection yet.
    """
    try:
        local, remote = (f"{_as_listed(addr)}:{port:04X}" for addr, port in (theirs, ours))
        lines = _TCP_TABLE.read_text("ascii").splitlines()[1:]
    except (OSError, ValueError):
        return None
    for line in lines:
        fields = line.split()
        if fields[1:3] == [local, remote]:
            uid, inode = int(fields[7]), int(fields[9])
            return uid if inode else None
    return None


def _as_listed(addr: str) -> str:
    """Write an IPv4 address as /proc/net/tcp does: its four octets as a number of this host."""
    return f"{int.from_bytes(socket.inet_aton(addr), sys.byteorder):08X}"
