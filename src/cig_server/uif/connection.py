# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection to the CRS: TLS, authentication, keep-alive, and coming back after a break.

A shell around `umsg.session.ClientSession`: it reads, feeds, writes and arms one timer. It keeps
trying for ever, with jittered exponential pauses, one CRS address after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Protocol

from cig_common.clock import Clock
from cig_common.control.key_facts import Identity
from cig_common.errors import CigError, LocalError
from cig_server.uif.period import login_period
from cig_server.uif.tls import check_server, client_context
from umsg.backoff import Backoff
from umsg.events import Event, SessionEnded, SignatureWanted, Welcomed
from umsg.messages import Message
from umsg.session import ClientSession, SessionState

AGENT = "CIG/2.7.0"

CONNECT_SECONDS = 10.0
"""How long TCP and TLS together may take."""

MAX_UNSENT = 1 << 20
"""Octets that may wait for a CRS which does not read; more end the connection."""

ROOM = 1 << 16
"""Octets that may wait when a part of a text is sent, here and again in the kernel: what a call's
message has to queue behind."""

_READ_SIZE = 65536
_TCP_NOTSENT_LOWAT = 25
"""From linux/tcp.h; Python's socket module has it from 3.12 on."""

logger = logging.getLogger("UIF")

Signer = Callable[[SignatureWanted, str], Awaitable[bytes]]
"""Gives the ECCSI signature (129 octets) for a challenge and a period; raises CigError."""


class ConnectionListener(Protocol):
    """Who hears what the session has to say."""

    def session_event(self, event: Event) -> None:
        """Take an event other than those that the connection deals with by itself."""

    def session_lost(self) -> None:
        """A connection that was welcomed is gone."""


class CrsConnection:
    """One identity's connection to its CRS, made again whenever it breaks."""

    def __init__(
        self, identity: Identity, signer: Signer, listener: ConnectionListener, clock: Clock
    ) -> None:
        self.identity = identity
        self.address = identity.crs[0] if identity.crs else ""
        self.complaint = "not tried yet"
        self._signer = signer
        self._listener = listener
        self._clock = clock
        self._session: ClientSession | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._signing: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._parts = asyncio.Lock()
        self._welcomed = False

    @property
    def open(self) -> bool:
        """Whether the CRS has said ``welcome``."""
        return self._session is not None and self._session.state is SessionState.OPEN

    def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.create_task(self._run(), name="crs-connection")

    async def stop(self) -> None:
        """Close the connection for good, after what was sent has left."""
        if self._task is not None:
            if self._writer is not None:
                with contextlib.suppress(OSError, TimeoutError):
                    await asyncio.wait_for(self._writer.drain(), 1)
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def send(self, message: Message) -> bool:
        """Send ``message`` if the way is open; tells whether it was.

        What could not be sent is sent again by the calls themselves once they are resumed.
        """
        if self._session is None or not self.open:
            return False
        self._session.send(message, self._clock.monotonic())
        self._flush()
        return True

    async def send_part(self, message: Message) -> bool:
        """Send a part of a text once there is room for it, one part at a time.

        So calls' messages wait for little. Tells whether the way was open.
        """
        async with self._parts:
            writer = self._writer
            if writer is None or not self.open:
                return False
            try:
                await writer.drain()
            except OSError:
                return False
            return writer is self._writer and self.send(message)

    def reconnect(self) -> None:
        """Break the connection: after its next ``welcome`` the CRS sends texts again.

        Calls stand, as after any break.
        """
        self._hang_up()

    def resume(self, ids: list[str]) -> None:
        """Name the calls that are still held, after ``Welcomed``."""
        if self._session is not None and self.open:
            self._session.resume(ids, self._clock.monotonic())
            self._flush()

    async def _run(self) -> None:
        if not self.identity.crs:
            self._complain("the key material names no CRS address")
            return
        backoff = Backoff(addresses=len(self.identity.crs), random_bytes=os.urandom)
        while True:
            self.address = self.identity.crs[backoff.index]
            try:
                await self._connect_and_serve(backoff)
            except TimeoutError:
                self._complain(f"{self.address}: no answer in {CONNECT_SECONDS:g} s")
            except (OSError, ssl.SSLError, CigError) as error:
                self._complain(f"{self.address}: {error}")
            except Exception:
                logger.exception("the connection to the CRS failed in a way not foreseen")
                self.complaint = "internal error, see cig.log"
            finally:
                self._end()
            pause = backoff.failed(self._clock.monotonic())
            await asyncio.sleep(pause)

    def _complain(self, why: str) -> None:
        if why != self.complaint:
            logger.warning("no connection to the CRS: %s; trying again", why)
            self.complaint = why

    async def _connect_and_serve(self, backoff: Backoff) -> None:
        host, port = split_address(self.address)
        context = client_context(self.identity)
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=context, server_hostname=host
            )
        self._writer = writer
        _limit_waiting(writer)
        digest = check_server(writer.get_extra_info("ssl_object"), self.identity)
        self._session = ClientSession(
            uri=self.identity.public_id,
            agent=AGENT,
            certificate_digest=digest,
            now=self._clock.monotonic(),
            random_bytes=os.urandom,
        )
        self._flush()
        while data := await reader.read(_READ_SIZE):
            self._session.receive_data(data, self._clock.monotonic())
            self._drain_events(backoff)
            self._flush()
            if self._session.closed:
                return
        self._session.connection_lost()
        self._drain_events(backoff)

    def _drain_events(self, backoff: Backoff) -> None:
        session = self._session
        while session is not None and (event := session.next_event()) is not None:
            match event:
                case SignatureWanted():
                    self._signing = asyncio.create_task(self._sign(session, event))
                    continue
                case Welcomed():
                    self._welcomed = True
                    backoff.welcomed(self._clock.monotonic())
                    self.complaint = ""
                    logger.info("logged in to %s as %s", self.address, self.identity.public_id)
                case SessionEnded(code=code, text=text) if code is not None or text:
                    # One that we ended ourselves has said why already.
                    self._complain(f"{self.address}: {code.value if code else 'ended'}: {text}")
            self._tell(event)

    def _tell(self, event: Event) -> None:
        try:
            self._listener.session_event(event)
        except Exception:
            logger.exception("an event of the CRS failed in a way not foreseen")

    async def _sign(self, session: ClientSession, event: SignatureWanted) -> None:
        try:
            period = login_period(self.identity.periods, self._clock.utc())
            if event.domain != self.identity.domain:
                logger.warning("the CRS calls its domain %r, our keys %r", event.domain,
                               self.identity.domain)  # fmt: skip
            signature = await self._signer(event, period)
            session.authenticate(period, signature, self._clock.monotonic())
        except CigError as error:
            self._complain(f"{self.address}: cannot sign in: {error}")
            session.close(self._clock.monotonic())
        except Exception:
            logger.exception("signing in to the CRS failed in a way not foreseen")
            session.close(self._clock.monotonic())
        if session is self._session:
            self._flush()
            if session.closed:
                self._hang_up()

    def _flush(self) -> None:
        session, writer = self._session, self._writer
        if session is None or writer is None:
            return
        data = session.data_to_send()
        if data and not writer.is_closing():
            writer.write(data)
            if writer.transport.get_write_buffer_size() > MAX_UNSENT:
                self._complain(f"{self.address}: the CRS does not read what we send")
                writer.transport.abort()
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._session.next_deadline() if self._session is not None else None
        if deadline is not None:
            delay = max(0.0, deadline - self._clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        session = self._session
        if session is None:
            return
        session.handle_timer(self._clock.monotonic())
        self._flush()
        if session.closed:
            self._complain(f"{self.address}: the CRS fell silent")
            self._hang_up()

    def _hang_up(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._signing is not None:
            self._signing.cancel()
            self._signing = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._session = None
        if self._welcomed:
            self._welcomed = False
            try:
                self._listener.session_lost()
            except Exception:
                logger.exception("the end of a connection could not be handled")


def _limit_waiting(writer: asyncio.StreamWriter) -> None:
    writer.transport.set_write_buffer_limits(high=ROOM)
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, ROOM)


def split_address(address: str) -> tuple[str, int]:
    """Split ``host:port`` (``[v6]:port`` too; port 5223 if absent); raises LocalError."""
    host, colon, port = address.rpartition(":")
    if not colon or host.endswith(":") or (address.endswith("]")):
        host, port = address, "5223"
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536 or not host:
        raise LocalError(f"{address!r} in the key material is no CRS address (host:port)")
    return host.strip("[]"), int(port)
