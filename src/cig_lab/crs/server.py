# SPDX-License-Identifier: GPL-3.0-or-later
"""The CRS as a running server: asyncio around the cores, TLS on TCP, one UDP port for media.

It reads, feeds, sends and arms one timer. An exception that one connection or packet
causes is counted and ends that connection or packet alone.
"""

import asyncio
import secrets
import socket
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from cig_lab.crs.auth import Authenticator, IssuedUnder
from cig_lab.crs.calls import CallBook, Tamper
from cig_lab.crs.certificate import ALPN, make_certificate
from cig_lab.crs.core import MAX_CONNECTIONS, MAX_STRANGERS, CrsCore
from cig_lab.crs.forwarder import Forwarder
from cig_lab.crs.stats import CrsStats
from cig_lab.crs.text_store import TextStore
from cig_lab.crs.texts import TextBook, honest

HANDSHAKE_TIMEOUT = 10.0
MAX_UNSENT = 1 << 20
"""Octets waiting for a client that does not read, after which it is cut off."""
ROOM = 1 << 16
"""Octets waiting for a client above which it gets no part of a text."""
_RECEIVE_BUFFER = 4 << 20


class CrsServer:
    """A rendezvous server on one host: `async with CrsServer(kpak=..., ...) as crs`.

    `kpak` is the KMS's public authentication key (65 octets), `domain` the security
    domain's name, `keepalive` in seconds. Port 0 takes a free port, which is kept when
    the server is stopped and started again. `leg_addr` is the IP address that clients
    are told to send media to, by default `host`. `tamper` may alter what is handed on.
    `max_strangers` limits the connections of one IP address that are not welcomed yet.
    Texts are kept in `text_folder`, which a server that is started again reads; without one they
    are in a temporary folder that goes with this object.
    `issued_under` is the KMS's word on which keys count (`LabKms.kpak_of`), where it is asked.
    """

    def __init__(
        self,
        *,
        kpak: bytes,
        domain: str,
        host: str = "127.0.0.1",
        tls_port: int = 0,
        media_port: int = 0,
        keepalive: int = 30,
        leg_addr: str | None = None,
        tamper: Tamper | None = None,
        max_strangers: int = MAX_STRANGERS,
        issued_under: IssuedUnder | None = None,
        text_folder: Path | None = None,
    ) -> None:
        self.stats = CrsStats()
        self.tamper = tamper
        """May be set at any time; applies to bang, growl and talk handed on from then on."""
        self.text_tamper = honest
        """May be set at any time; applies to parts of texts and receipts handed on from then on."""
        self.accepting = True
        """While False, new TCP connections are closed at once."""
        self._kpak = kpak
        self._issued_under = issued_under
        self._domain = domain
        self._host = host
        self._tls_port = tls_port
        self._media_port = media_port
        self._keepalive = keepalive
        self._leg_addr = leg_addr
        self._max_strangers = max_strangers
        self._own_folder = None if text_folder else tempfile.TemporaryDirectory(prefix="cig-crs-")
        self._text_folder = text_folder or Path(self._own_folder.name if self._own_folder else "")
        self._certificate = make_certificate(host, domain)
        self._connections: dict[int, _Connection] = {}
        self._handshakes: set[_Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._server: asyncio.Server | None = None
        self._media: asyncio.DatagramTransport | None = None

    @property
    def tls_address(self) -> tuple[str, int]:
        """Host and TCP port that clients connect to."""
        return self._host, self._tls_port

    @property
    def media_address(self) -> tuple[str, int]:
        """Host and UDP port of the forwarder."""
        return self._host, self._media_port

    @property
    def certificate_sha256(self) -> bytes:
        """SHA-256 (32 octets) of the server's certificate in DER, for pinning."""
        return self._certificate.sha256

    @property
    def certificate_pem(self) -> str:
        """The server's certificate in PEM, a trust anchor for clients."""
        return self._certificate.pem

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Open both ports, with no calls and nobody known. Raises OSError if a port is taken."""
        loop = asyncio.get_running_loop()
        forwarder = Forwarder(stats=self.stats, random_bytes=secrets.token_bytes)
        calls = CallBook(
            forwarder=forwarder,
            stats=self.stats,
            tamper=lambda message: self.tamper(message) if self.tamper else message,
        )
        texts = TextBook(TextStore(self._text_folder), self.stats)
        texts.tamper = lambda message: self.text_tamper(message)
        self._core = CrsCore(
            domain=self._domain,
            certificate_digest=self.certificate_sha256,
            keepalive=self._keepalive,
            verify_auth=Authenticator(self._kpak, self._issued_under),
            calls=calls,
            texts=texts,
            stats=self.stats,
            utc=lambda: int(time.time()),
            random_bytes=secrets.token_bytes,
            max_strangers=self._max_strangers,
        )
        self._media, _ = await loop.create_datagram_endpoint(
            lambda: _MediaPort(forwarder, self.stats), (self._host, self._media_port)
        )
        bound: socket.socket = self._media.get_extra_info("socket")
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._media_port = bound.getsockname()[1]
        forwarder.addr, forwarder.port = self._leg_addr or self._host, self._media_port
        try:
            self._server = await loop.create_server(
                lambda: _Connection(self), self._host, self._tls_port
            )
        except OSError:
            self._media.close()
            raise
        self._tls_port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close both ports and every connection. All calls are forgotten."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop_connections()
        self._connections.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._media is not None:
            self._media.close()
            self._media = None
        for _ in range(3):  # lets TLS, TCP and UDP transports run their closing callbacks
            await asyncio.sleep(0)

    def drop_connections(self) -> None:
        """Cut every TCP connection without a word; calls and media legs stand."""
        for connection in [*self._connections.values(), *self._handshakes]:
            connection.abort()

    # What connections need of the server.

    def admit(self, connection: "_Connection") -> bool:
        """Say whether a new TCP connection may begin its TLS handshake."""
        self.stats.tcp_accepted += 1
        if not self.accepting or len(self._handshakes) >= MAX_CONNECTIONS:
            self.stats.tcp_refused += 1
            return False
        self._handshakes.add(connection)
        return True

    async def handshake(self, connection: "_Connection", tcp: asyncio.Transport) -> None:
        """Do the TLS handshake of a connection and open its session."""
        loop = asyncio.get_running_loop()
        try:
            tls = await loop.start_tls(
                tcp,
                connection,
                self._certificate.context,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT,
            )
        except OSError:  # among them ssl.SSLError and the handshake's time-out
            tls = None
        self._handshakes.discard(connection)
        if tls is None or connection.gone:
            self.stats.tls_failed += 1
            tcp.abort()
            return
        protocol = tls.get_extra_info("ssl_object").selected_alpn_protocol()
        number = None
        if protocol != ALPN:
            self.stats.tls_failed += 1
        else:
            number = self._core.connected(tls.get_extra_info("peername")[0], loop.time())
        if number is None:
            tls.abort()
            return
        self._connections[number] = connection
        connection.opened(number, tls)

    def received(self, number: int, data: bytes) -> None:
        """Hand octets of a connection to the core."""
        if number not in self._connections:
            return
        try:
            self._core.receive(number, data, asyncio.get_running_loop().time())
        except Exception:
            self.stats.internal_errors += 1
            self._connections[number].abort()
        self._flush()

    def lost(self, connection: "_Connection", number: int | None) -> None:
        """Take note that a connection is gone."""
        self._handshakes.discard(connection)
        if number is not None and self._connections.get(number) is connection:
            del self._connections[number]
            self._core.lost(number, asyncio.get_running_loop().time())
            self._flush()

    def _flush(self) -> None:
        for output in self._core.outputs():
            connection = self._connections.get(output.connection)
            if connection is not None:
                connection.write(output.data, close=output.close)
        self._send_texts()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._core.next_deadline()
        if deadline is not None and self._server is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._on_timer)

    def _send_texts(self) -> None:
        now = asyncio.get_running_loop().time()
        for number, connection in list(self._connections.items()):
            while connection.has_room and self._core.room(number, now):
                for output in self._core.outputs():
                    other = self._connections.get(output.connection)
                    if other is not None:
                        other.write(output.data, close=output.close)

    def has_room(self) -> None:
        """A connection can take more."""
        if self._server is not None:
            self._flush()

    def _on_timer(self) -> None:
        try:
            self._core.handle_timer(asyncio.get_running_loop().time())
        except Exception:
            self.stats.internal_errors += 1
        self._flush()


class _Connection(asyncio.Protocol):
    """One TCP connection: first bare, then, by `start_tls`, under TLS."""

    def __init__(self, server: CrsServer) -> None:
        self.gone = False
        self._full = False
        self._server = server
        self._number: int | None = None
        self._transport: asyncio.Transport | None = None
        self._early = b""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # no loop's class says so itself
        self._transport = transport
        if not self._server.admit(self):
            transport.abort()
            return
        transport.pause_reading()  # nothing may be read before TLS is in place
        self._task = asyncio.ensure_future(self._server.handshake(self, transport))

    def opened(self, number: int, transport: asyncio.Transport) -> None:
        """Go on under TLS, as connection `number`."""
        self._number, self._transport = number, transport
        transport.set_write_buffer_limits(high=ROOM)
        early, self._early = self._early, b""
        self._server.received(number, early)

    def data_received(self, data: bytes) -> None:
        if self._number is None:  # the client spoke before our handshake task ran on
            self._early += data
        else:
            self._server.received(self._number, data)

    @property
    def has_room(self) -> bool:
        """Whether a part of a text may be written now."""
        return not self._full and not self.gone and self._number is not None

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._server.has_room()

    def connection_lost(self, error: Exception | None) -> None:
        self.gone = True
        self._server.lost(self, self._number)

    def write(self, data: bytes, *, close: bool) -> None:
        """Send octets, then close if asked to; cut off a client that does not read."""
        if self._transport is None or self.gone:
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > MAX_UNSENT:
            self._transport.abort()
        elif close:
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()


class _MediaPort(asyncio.DatagramProtocol):
    """The UDP port: every packet to the forwarder, its answer back out."""

    def __init__(self, forwarder: Forwarder, stats: CrsStats) -> None:
        self._forwarder = forwarder
        self._stats = stats
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            out = self._forwarder.receive(data, (addr[0], addr[1]))
        except Exception:
            self._stats.internal_errors += 1
            return
        if out is not None and self._transport is not None:
            self._transport.sendto(*out)
