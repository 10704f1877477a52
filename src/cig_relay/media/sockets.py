# SPDX-License-Identifier: GPL-3.0-or-later
"""UDP sockets of a call, bound to ports that nobody else holds, and their protocol objects."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable
from typing import cast

from cig_common.errors import MediaError
from cig_relay.media.leg import Sockaddr
from cig_relay.media.ports import PortPool

Receiver = Callable[[bytes, Sockaddr], None]
"""Takes a datagram and its source; must not raise."""


def reserve(
    pool: PortPool, addr: str, count: int, interface: str
) -> tuple[int, list[socket.socket]]:
    """Bind ``count`` neighbouring ports of ``addr``, the first one taken from ``pool``.

    A port on which somebody else is found goes back to rest and the next one is tried, each once.
    Gives the first port and the sockets. Raises MediaError, naming ``interface``, when no port is
    free or the address is not this host's; nothing is held then.
    """
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(addr).version == 6 else socket.AF_INET
    except ValueError as error:
        raise MediaError(f"{interface}: media address {addr[:64]!r} is no IP address") from error
    for _ in range(len(pool)):
        port = pool.take()
        if port is None:
            break
        try:
            return port, _bind(family, addr, port, count)
        except OSError as error:
            pool.release(port)
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise MediaError(
                    f"{interface}: cannot bind UDP {addr} port {port}: {error.strerror}"
                ) from error
    raise MediaError(f"{interface}: no port of rtp_port_range is free on {addr}; widen the range")


def _bind(family: int, addr: str, port: int, count: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for number in range(port, port + count):
            sock = socket.socket(family, socket.SOCK_DGRAM)
            sockets.append(sock)
            sock.setblocking(False)
            sock.bind((addr, number))
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _ignore(data: bytes, source: Sockaddr) -> None:
    """Receive for a call that is over."""


class Endpoint(asyncio.DatagramProtocol):
    """One socket of a call: hands datagrams to ``receiver``; `send_failed` counts what did not go.

    `closed` is done when the socket is.
    """

    def __init__(self, receiver: Receiver, loop: asyncio.AbstractEventLoop) -> None:
        self.datagram_received = receiver  # type: ignore[method-assign, assignment]
        self.closed: asyncio.Future[None] = loop.create_future()
        self.send_failed = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport that asyncio made for the socket."""
        # uvloop's transports have the methods but not the base class.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def error_received(self, exc: Exception) -> None:
        """Count an ICMP error or a full buffer; the peer may come back."""
        self.send_failed += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits that the socket is closed."""
        if not self.closed.done():
            self.closed.set_result(None)

    def send(self, data: bytes, remote: Sockaddr) -> None:
        """Send a datagram; what the kernel or the address refuses is counted."""
        transport = self._transport
        if transport is None:
            return
        try:
            transport.sendto(data, remote)
        except (OSError, ValueError):
            self.send_failed += 1

    async def close(self) -> None:
        """Close the socket and wait until it is."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
            await self.closed
        self.datagram_received = _ignore  # type: ignore[method-assign, assignment]


async def open_endpoint(sock: socket.socket, receiver: Receiver) -> Endpoint:
    """Put ``sock`` into the running loop; the endpoint owns it from then on."""
    loop = asyncio.get_running_loop()
    _, endpoint = await loop.create_datagram_endpoint(lambda: Endpoint(receiver, loop), sock=sock)
    return endpoint
