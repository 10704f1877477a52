# SPDX-License-Identifier: GPL-3.0-or-later
"""A pair of UDP ports for plain RTP: an even one, and RTCP on the next (RFC 3550 section 11)."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import cast

Destination = tuple[str, int]
"""Host and port."""

_TRIES = 50

Receiver = Callable[[bytes, Destination], None]
"""Takes one datagram and where it came from."""


class DatagramPort(asyncio.DatagramProtocol):
    """A UDP socket that hands each datagram on; errors reported by the network are counted."""

    def __init__(self, receiver: Receiver) -> None:
        self.errors = 0
        self._receiver = receiver
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # Python 3.11's own transport is none by isinstance, whatever the documentation says.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Hand a datagram on."""
        self._receiver(data, (addr[0], addr[1]))

    def error_received(self, exc: Exception) -> None:
        """Count; a peer that is not there yet or any more ends nothing."""
        self.errors += 1

    def send(self, data: bytes, peer: Destination) -> None:
        """Send a datagram, or drop it when the socket is closed."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, peer)

    def close(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._transport.close()


async def open_port(host: str, port: int, receiver: Receiver) -> tuple[DatagramPort, int]:
    """Bind one UDP port (0: any) and give it with its number; raises OSError."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: DatagramPort(receiver), local_addr=(host, port)
    )
    return protocol, transport.get_extra_info("sockname")[1]


async def open_pair(
    host: str, rtp: Receiver, rtcp: Receiver
) -> tuple[DatagramPort, DatagramPort, int]:
    """Bind an even port and the next one; give both and the even number; raises OSError."""
    for _ in range(_TRIES):
        port = _free_even_port(host)
        try:
            first, _ = await open_port(host, port, rtp)
        except OSError:
            continue
        try:
            second, _ = await open_port(host, port + 1, rtcp)
        except OSError:
            first.close()
            continue
        return first, second, port
    raise OSError(errno.EADDRINUSE, "no even UDP port with a free one above it was found")


def _free_even_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    return port & ~1
