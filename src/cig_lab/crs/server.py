# SPDX-License-Identifier: GPL-3.0-or-later
"""The CRS as a running server: asyncio around the cores, TLS on TCP, one UDP port for media.

It reads, feeds, sends and arms one timer. An exception that one connection or packet
causes is counted and ends that connection or packet alone. Parts of texts are written only while
a connection's buffer is nearly empty, and few at a time: what a call has to say waits for little.
"""

import asyncio
import contextlib
import secrets
import shutil
import socket
import tempfile
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from cig_lab.crs.auth import Authenticator, IssuedUnder
from cig_lab.crs.calls import CallBook, Tamper
from cig_lab.crs.certificate import ALPN, make_certificate
from cig_lab.crs.core import MAX_CONNECTIONS, MAX_STRANGERS, CrsCore, TextTamper
from cig_lab.crs.forwarder import Forwarder
from cig_lab.crs.media_port import MediaPort
from cig_lab.crs.stats import CrsStats
from cig_lab.crs.text_shell import TextShell
from cig_lab.crs.texts import TextBook
from umsg.messages import Message

HANDSHAKE_TIMEOUT = 10.0
MAX_UNSENT = 1 << 20
"""Octets waiting for a client that does not read, after which it is cut off."""
_RECEIVE_BUFFER = 4 << 20
_WRITE_HIGH, _WRITE_LOW = 64 << 10, 16 << 10
"""Octets in a connection's buffer above and below which parts of texts wait and go on."""
_PARTS_AT_ONCE = 4
"""Parts that one connection gets before others have their turn."""


class CrsServer:
    """A rendezvous server on one host: `async with CrsServer(kpak=..., ...) as crs`.

    `kpak` is the KMS's public authentication key (65 octets), `domain` the security
    domain's name, `keepalive` in seconds. Port 0 takes a free port, which is kept when
    the server is stopped and started again. `leg_addr` is the IP address that clients
    are told to send media to, by default `host`. `tamper` may alter what is handed on.
    `max_strangers` limits the connections of one IP address that are not welcomed yet.
    `issued_under` is the KMS's word on which keys count (`LabKms.kpak_of`), where it is asked.
    `text_folder` is where texts are kept, over a stop and over the process's end; where it is
    None, a temporary folder of the server's own lasts as long as the server object.
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
        self.text_tamper: TextTamper | None = None
        """May be set at any time; gives what is handed on in place of a part or a receipt."""
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
        self.text_folder = text_folder or Path(tempfile.mkdtemp(prefix="cig-lab-crs-"))
        self._tidy = weakref.finalize(self, _remove, None if text_folder else self.text_folder)
        self._certificate = make_certificate(host, domain)
        self._connections: dict[int, _Connection] = {}
        self._handshakes: set[_Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._server: asyncio.Server | None = None
        self._media: asyncio.DatagramTransport | None = None
        self._started = False
        self._pumping: asyncio.Handle | None = None

    @property
    def tls_address(self) -> tuple[str, int]:
        """Host and TCP port that clients connect to."""
        return self._host, self._tls_port

    @property
    def media_address(self) -> tuple[str, int]:
        """Host and UDP port of the forwarder."""
        return self._host, self._media_port

    @property
    def connected(self) -> int:
        """How many connections have got through their TLS handshake."""
        return len(self._connections)

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
        self._tidy()

    async def start(self) -> None:
        """Open both ports, with no calls; of texts, with all that the folder has.

        Raises OSError if a port is taken, or the folder is of no use.
        """
        loop = asyncio.get_running_loop()
        forwarder = Forwarder(stats=self.stats, random_bytes=secrets.token_bytes)
        calls = CallBook(
            forwarder=forwarder,
            stats=self.stats,
            tamper=lambda message: self.tamper(message) if self.tamper else message,
        )
        self._core = CrsCore(
            domain=self._domain,
            certificate_digest=self.certificate_sha256,
            keepalive=self._keepalive,
            verify_auth=Authenticator(self._kpak, self._issued_under),
            calls=calls,
            stats=self.stats,
            utc=lambda: int(time.time()),
            random_bytes=secrets.token_bytes,
            max_strangers=self._max_strangers,
            texts=TextBook(self.stats),
            text_tamper=lambda part: self.text_tamper(part) if self.text_tamper else (part,),
        )
        self._texts = TextShell(self.text_folder, self._core, self.stats)
        await self._texts.start(self.flush)
        self._started = True
        self._media, _ = await loop.create_datagram_endpoint(
            lambda: MediaPort(forwarder, self.stats), (self._host, self._media_port)
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
        """Close both ports and every connection. All calls are forgotten; texts are not."""
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
        if self._started:
            self._started = False
            await self._texts.stop()
        for _ in range(3):  # lets TLS, TCP and UDP transports run their closing callbacks
            await asyncio.sleep(0)

    def drop_connections(self) -> None:
        """Cut every TCP connection without a word; calls and media legs stand."""
        for connection in [*self._connections.values(), *self._handshakes]:
            connection.abort()

    def know(self, uri: str) -> None:
        """Let texts be sent to a bare URI that has never connected."""
        self._core.texts.know(uri)
        self._texts.wake()

    def send(self, uri: str, message: Message) -> None:
        """Send any message to a client that is here: a dishonest server, for tests."""
        self._core.send_to(uri, message, asyncio.get_running_loop().time())
        self.flush()

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
        self.flush()

    def lost(self, connection: "_Connection", number: int | None) -> None:
        """Take note that a connection is gone."""
        self._handshakes.discard(connection)
        if number is not None and self._connections.get(number) is connection:
            del self._connections[number]
            self._core.lost(number, asyncio.get_running_loop().time())
            self.flush()

    def flush(self) -> None:
        """Send what there is to send, see to the disk's jobs, and arm the timer."""
        self._write()
        self._pump()
        self._texts.wake()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._core.next_deadline()
        if deadline is not None and self._server is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._on_timer)

    def _write(self) -> None:
        for output in self._core.outputs():
            connection = self._connections.get(output.connection)
            if connection is not None:
                connection.write(output.data, close=output.close)

    def _pump(self) -> None:
        """Give each connection that has room a few parts of the texts that wait for it."""
        more = False
        for number, connection in list(self._connections.items()):
            for _ in range(_PARTS_AT_ONCE):
                if connection.full or connection.gone or not self._send_piece(number):
                    break
            else:
                more = True
        if more:
            self.go_on()

    def go_on(self) -> None:
        """Send more parts of texts in the loop's next turn."""
        if self._pumping is None:
            self._pumping = asyncio.get_running_loop().call_soon(self._pump_on)

    def _pump_on(self) -> None:
        self._pumping = None
        if self._server is not None:
            self.flush()

    def _send_piece(self, number: int) -> bool:
        try:
            found = self._texts.send_piece(number)
        except Exception:
            self.stats.internal_errors += 1
            return False
        self._write()
        return found

    def _on_timer(self) -> None:
        try:
            self._core.handle_timer(asyncio.get_running_loop().time())
        except Exception:
            self.stats.internal_errors += 1
        self.flush()


class _Connection(asyncio.Protocol):
    """One TCP connection: first bare, then, by `start_tls`, under TLS."""

    def __init__(self, server: CrsServer) -> None:
        self.gone = False
        self.full = False
        """Whether so much waits to be written that parts of texts must wait."""
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
        transport.set_write_buffer_limits(_WRITE_HIGH, _WRITE_LOW)
        bound = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # then the kernel just holds more
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _WRITE_HIGH)
        early, self._early = self._early, b""
        self._server.received(number, early)

    def data_received(self, data: bytes) -> None:
        if self._number is None:  # the client spoke before our handshake task ran on
            self._early += data
        else:
            self._server.received(self._number, data)

    def connection_lost(self, error: Exception | None) -> None:
        self.gone = True
        self._server.lost(self, self._number)

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self._server.go_on()

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


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
