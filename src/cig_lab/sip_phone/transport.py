# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries SIP messages for the phone: UDP datagrams, or TCP connections kept by their peer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Protocol

from cig_lab.sip_phone.address import Destination
from cig_lab.sip_phone.message import SipError, StreamDecoder
from cig_lab.voice.rtp_port import DatagramPort, open_port

Receiver = Callable[[bytes, Destination], None]


class SipTransport(Protocol):
    """What the phone asks of either."""

    @property
    def local(self) -> Destination:
        """Where the phone can be reached."""

    def send(self, data: bytes, peer: Destination) -> None:
        """Send a message; what cannot be sent is lost, as on a network."""

    async def close(self) -> None:
        """Close everything."""


class UdpTransport:
    """One UDP socket."""

    def __init__(self, port: DatagramPort, local: Destination) -> None:
        self._port = port
        self.local = local

    @staticmethod
    async def open(host: str, port: int, receiver: Receiver) -> UdpTransport:
        """Bind; raises OSError."""
        socket, number = await open_port(host, port, receiver)
        return UdpTransport(socket, (host, number))

    def send(self, data: bytes, peer: Destination) -> None:
        """Send a datagram."""
        self._port.send(data, peer)

    async def close(self) -> None:
        """Close the socket."""
        self._port.close()


class TcpTransport:
    """A listening socket, and a connection for each peer; opened when first needed."""

    def __init__(self, receiver: Receiver) -> None:
        self.local: Destination = ("", 0)
        self._receiver = receiver
        self._server: asyncio.Server | None = None
        self._writers: dict[Destination, asyncio.StreamWriter] = {}
        self._waiting: dict[Destination, list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @staticmethod
    async def open(host: str, port: int, receiver: Receiver) -> TcpTransport:
        """Listen; raises OSError."""
        transport = TcpTransport(receiver)
        transport._server = await asyncio.start_server(transport._accepted, host, port)
        transport.local = transport._server.sockets[0].getsockname()[:2]
        return transport

    def send(self, data: bytes, peer: Destination) -> None:
        """Send on the connection to ``peer``, or connect first."""
        writer = self._writers.get(peer)
        if writer is not None:
            writer.write(data)
            return
        waiting = self._waiting.setdefault(peer, [])
        waiting.append(data)
        if len(waiting) == 1:
            self._start(self._connect(peer))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, peer: Destination) -> None:
        try:
            reader, writer = await asyncio.open_connection(*peer)
        except OSError:
            self._waiting.pop(peer, None)
            return
        for data in self._waiting.pop(peer, []):
            writer.write(data)
        await self._serve(reader, writer, peer)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = writer.get_extra_info("peername")[:2]
        await self._serve(reader, writer, (host, port))

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Destination
    ) -> None:
        self._writers[peer] = writer
        decoder = StreamDecoder()
        try:
            while data := await reader.read(65536):
                for message in decoder.feed(data):
                    self._receiver(message, peer)
        except (OSError, SipError):
            # Out of step or broken: the connection ends, and no call but by its own timers.
            pass
        finally:
            self._writers.pop(peer, None)
            writer.close()

    async def close(self) -> None:
        """Close the listener and all connections."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers.values()):
            writer.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
