# SPDX-License-Identifier: GPL-3.0-or-later
"""The phone's connection to the CRS: asyncio and TLS around `umsg.session.ClientSession`.

A broken connection is made anew with backoff until `close`; calls live on meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import secrets
import ssl
import time
from collections.abc import Callable

from cig_lab.phone.crypto import PhoneCrypto
from umsg.backoff import Backoff
from umsg.errors import LocalError
from umsg.events import Event, SessionEnded, SignatureWanted, Welcomed
from umsg.messages import Message
from umsg.session import ClientSession

AGENT = "cig-lab phone"
ALPN = "umsg/1"
_CHUNK = 65536


class CrsLink:
    """Keeps one client connected. ``on_event`` gets every session event but the login's."""

    def __init__(
        self,
        crypto: PhoneCrypto,
        address: tuple[str, int],
        pin: bytes,
        on_event: Callable[[Event], None],
    ) -> None:
        self._crypto = crypto
        self._address = address
        self._pin = pin
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._session: ClientSession | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._backoff = Backoff(addresses=1, random_bytes=secrets.token_bytes)
        self._task = asyncio.ensure_future(self._run())
        self.ready = asyncio.Event()
        self.last_error = ""

    async def close(self) -> None:
        """Disconnect for good."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def send(self, message: Message) -> None:
        """Send a message of a call, or lose it while there is no open session."""
        if self._session is None:
            return
        try:
            self._session.send(message, self._loop.time())
        except LocalError as error:
            self.last_error = str(error)
        self._flush()

    async def room(self) -> None:
        """Wait until little waits to be sent; returns at once while there is no connection."""
        if self._writer is not None:
            with contextlib.suppress(OSError):
                await self._writer.drain()

    def resume(self, ids: list[str]) -> None:
        """Name the calls that we still hold, upon `Welcomed`."""
        if self._session is not None:
            self._session.resume(ids, self._loop.time())
            self._flush()

    async def _run(self) -> None:
        while True:
            try:
                await self._connect()
            except (OSError, asyncio.IncompleteReadError) as error:
                self.last_error = str(error)
            finally:
                self._disconnected()
            await asyncio.sleep(self._backoff.failed(self._loop.time()))

    async def _connect(self) -> None:
        host, port = self._address
        reader, self._writer = await asyncio.open_connection(
            host, port, ssl=_context(), server_hostname=host
        )
        self._writer.transport.set_write_buffer_limits(high=_CHUNK)
        tls: ssl.SSLObject = self._writer.get_extra_info("ssl_object")
        digest = hashlib.sha256(tls.getpeercert(binary_form=True) or b"").digest()
        if not hmac.compare_digest(digest, self._pin):
            raise OSError("the CRS's certificate is not the pinned one")
        self._session = ClientSession(
            uri=self._crypto.uri,
            agent=AGENT,
            certificate_digest=digest,
            now=self._loop.time(),
            random_bytes=secrets.token_bytes,
        )
        self._flush()
        while not self._session.closed:
            data = await reader.read(_CHUNK)
            if not data:
                self._session.connection_lost()
            else:
                self._session.receive_data(data, self._loop.time())
            self._flush()

    def _flush(self) -> None:
        session, writer = self._session, self._writer
        if session is None or writer is None:
            return
        while (event := session.next_event()) is not None:
            self._handle(session, event)
        data = session.data_to_send()
        if data and not writer.is_closing():
            writer.write(data)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = session.next_deadline()
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._fired)
        if session.closed:
            writer.close()

    def _handle(self, session: ClientSession, event: Event) -> None:
        match event:
            case SignatureWanted():
                period, signature = self._crypto.sign_auth(event, time.time())
                session.authenticate(period, signature, self._loop.time())
            case SessionEnded(_, text, _):
                self.last_error = text
                self._on_event(event)
            case Welcomed():
                self._backoff.welcomed(self._loop.time())
                self.ready.set()
                self._on_event(event)
            case _:
                self._on_event(event)

    def _fired(self) -> None:
        if self._session is not None:
            self._session.handle_timer(self._loop.time())
            self._flush()

    def _disconnected(self) -> None:
        self.ready.clear()
        self._session = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _context() -> ssl.SSLContext:
    """Make the TLS context: the pin is checked by the caller, a name would prove nothing here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
