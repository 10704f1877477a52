# SPDX-License-Identifier: GPL-3.0-or-later
"""Free ports on loopback, of IPv4 or IPv6."""

from __future__ import annotations

import random
import socket

_KINDS = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}
_TRIES = 200
# Below the range from which Linux itself draws ports for outgoing connections.
_LOWEST, _HIGHEST = 10000, 32000


def is_free(host: str, port: int, kinds: tuple[str, ...] = ("udp", "tcp")) -> bool:
    """Tell whether a port can be bound for each of ``udp`` and ``tcp`` that is asked for."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for kind in kinds:
        with socket.socket(family, _KINDS[kind]) as probe:
            if kind == "tcp":
                # A connection of before that lingers in TIME_WAIT is no obstacle for a server.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def free_port(host: str, kinds: tuple[str, ...] = ("udp", "tcp")) -> int:
    """Give a port that is free at this moment; raises OSError when none is found."""
    for _ in range(_TRIES):
        port = random.randrange(_LOWEST, _HIGHEST)
        if is_free(host, port, kinds):
            return port
    raise OSError(f"no free port between {_LOWEST} and {_HIGHEST} was found on {host}")


def rtp_range(size: int) -> tuple[int, int]:
    """Give a range of ``size`` ports, from an even one to an odd one, at a random place.

    Some of them may be taken: the relay reserves what it needs and passes over the others.
    """
    low = random.randrange(_LOWEST, _HIGHEST - size) & ~1
    return low, low + size - 1
