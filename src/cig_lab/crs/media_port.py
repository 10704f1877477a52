# SPDX-License-Identifier: GPL-3.0-or-later
"""The CRS's UDP port: it only carries packets between the network and the forwarder."""

import asyncio
from typing import cast

from cig_lab.crs.forwarder import Forwarder
from cig_lab.crs.stats import CrsStats


class MediaPort(asyncio.DatagramProtocol):
    """Every packet to the forwarder, its answer back out."""

    def __init__(self, forwarder: Forwarder, stats: CrsStats) -> None:
        self._forwarder = forwarder
        self._stats = stats
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, from asyncio."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Take a packet, from asyncio."""
        try:
            out = self._forwarder.receive(data, (addr[0], addr[1]))
        except Exception:
            self._stats.internal_errors += 1
            return
        if out is not None and self._transport is not None:
            self._transport.sendto(*out)
