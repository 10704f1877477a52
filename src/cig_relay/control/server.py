# SPDX-License-Identifier: GPL-3.0-or-later
"""The control socket: one cig-server at a time, of the one user that may speak.

The rules:

1. A peer of another uid (SO_PEERCRED) is shut out before a single octet of it is read.
2. There is one server. A second connection of the same uid takes over with its greeting: the
   first one is closed, since it is what an old server left behind. Who does not greet within
   10 s, or says anything else, changes nothing.
3. The first request is `HelloRequest` of our protocol version; anything else ends the connection,
   as does a frame that is no message.
4. When a connection ends, its calls go on for ``grace`` seconds and are then closed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path

from cig_common.control.codec import ControlDecoder, Envelope
from cig_common.control.key_facts import KeysEnding
from cig_common.control.messages import (
    REQUESTS,
    VERSION,
    EnginesEvent,
    ErrorCode,
    ErrorReply,
    HelloReply,
    HelloRequest,
    IdentityEvent,
    KeysEndingEvent,
)
from cig_common.control.record import Record
from cig_common.errors import ControlError
from cig_relay.control.local_socket import PeerProcess, listening
from cig_relay.control.service import RelayService
from cig_relay.control.session import Session

_log = logging.getLogger("Control")

GRACE = 5.0
GREETING_SECONDS = 10.0
MAX_PENDING = 512
_READ_OCTETS = 65536
_MAX_UNSENT = 4 << 20
_SOCKET_MODE = 0o660


class ControlServer:
    """Listens on ``path`` for the server of uid ``allowed_uid``."""

    def __init__(
        self, service: RelayService, path: Path, *, allowed_uid: int, grace: float = GRACE
    ) -> None:
        self._service = service
        self._path = path
        self._allowed_uid = allowed_uid
        self._grace = grace
        self._listener: asyncio.Server | None = None
        self._current: _Connection | None = None
        self._sessions: set[Session] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._number = 0
        self._closing = False

    @property
    def connected(self) -> bool:
        """Whether a server is connected."""
        return self._current is not None

    async def start(self) -> None:
        """Listen. Raises SocketInUseError, or OSError when the socket cannot be made."""
        sock = await listening(self._path, _SOCKET_MODE)
        try:
            self._listener = await asyncio.start_unix_server(self._connected, sock=sock)
        except BaseException:
            sock.close()
            raise

    async def close(self) -> None:
        """Stop listening, end the connection, close all calls."""
        self._closing = True
        if self._listener is not None:
            self._listener.close()
            with suppress(FileNotFoundError):
                self._path.unlink()
        if self._current is not None:
            self._current.end()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Those whose grace was cut short are still in the set.
        await asyncio.gather(*(session.close() for session in self._sessions))
        self._sessions.clear()

    def send_event(self, event: Record) -> None:
        """Report something to the server, if one is connected.

        Until its greeting is answered it is told nothing: the answer says how things are then.
        """
        if self._current is not None and self._current.welcomed:
            self._current.send(0, event)

    def engines_changed(self, available: int, total: int) -> None:
        """Report that a crypto engine died or came back."""
        self.send_event(EnginesEvent(available, total))

    def identity_changed(self) -> None:
        """Report that the keystore was loaded anew."""
        self.send_event(IdentityEvent(self._service.holder.identity))

    def keys_ending(self, warning: KeysEnding | None) -> None:
        """Report that the keys come to an end, or that they do not any more."""
        self.send_event(KeysEndingEvent(warning))

    # --- the inside -----------------------------------------------------------------------------

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = PeerProcess.of(writer)
        if peer.uid != self._allowed_uid:
            self._service.counters["connections_refused"] += 1
            _log.warning(
                "process %d of uid %d was shut out: only uid %d may use the control socket",
                peer.pid,
                peer.uid,
                self._allowed_uid,
            )
            writer.close()
            return
        self._spawn(self._serve(reader, writer, peer.pid))

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pid: int
    ) -> None:
        self._number += 1
        connection = _Connection(self._service, self._number, reader, writer)
        connection.on_greeted = lambda: self._take_over(connection, pid)
        self._sessions.add(connection.session)
        try:
            await connection.run()
        finally:
            if self._current is connection:
                self._current = None
            connection.session.texts.close()
            _log.info("process %d is gone; %d calls of it stand", pid, connection.session.calls)
            if not self._closing:
                self._spawn(self._bury(connection.session))

    def _take_over(self, connection: _Connection, pid: int) -> None:
        if self._current is not None:
            _log.warning("process %d takes over from the server that was connected", pid)
            self._current.end()
        self._current = connection
        self._service.counters["connections"] += 1
        _log.info("process %d is connected", pid)

    async def _bury(self, session: Session) -> None:
        if session.calls:
            await asyncio.sleep(self._grace)
            _log.warning("closing %d calls of a server that is gone", session.calls)
        await session.close()
        self._sessions.discard(session)

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Connection:
    """One connection of a server: reads requests, answers each in a task of its own."""

    def __init__(
        self,
        service: RelayService,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._greeted = False
        self.welcomed = False
        """Whether its greeting was answered."""
        self.on_greeted: Callable[[], None] = lambda: None
        self._pending: set[asyncio.Task[None]] = set()
        self.session = Session(service, number, lambda event: self.send(0, event))

    async def run(self) -> None:
        """Serve until the connection ends; requests that run are given up then."""
        decoder = ControlDecoder()
        patience = asyncio.get_running_loop().call_later(GREETING_SECONDS, self._lose_patience)
        try:
            while octets := await self._reader.read(_READ_OCTETS):
                for envelope in decoder.feed(octets):
                    self._take(envelope)
        except ControlError as error:
            _log.warning("the server broke the protocol, its connection is closed: %s", error)
        except OSError as error:
            _log.info("the connection broke: %s", error)
        finally:
            patience.cancel()
            self.end()
            for task in self._pending:
                task.cancel()
            await asyncio.gather(*self._pending, return_exceptions=True)

    def _lose_patience(self) -> None:
        if not self._greeted:
            _log.warning("a connection that did not greet in %g s is closed", GREETING_SECONDS)
            self.end()

    def end(self) -> None:
        """Close the connection."""
        self._writer.close()

    def send(self, number: int, message: Record) -> None:
        """Send a message, unless the connection is closed; a server that reads nothing is cut."""
        if self._writer.is_closing():
            return
        self._writer.write(Envelope(number, message).encode())
        if self._writer.transport.get_write_buffer_size() > _MAX_UNSENT:
            _log.warning("the server does not read: its connection is closed")
            self._writer.transport.abort()

    def _take(self, envelope: Envelope) -> None:
        request = envelope.message
        if not isinstance(request, REQUESTS) or not envelope.number:
            raise ControlError(f"{type(request).__name__} is no request")
        if not self._greeted:
            self._greet(envelope)
        if len(self._pending) >= MAX_PENDING:
            text = f"{MAX_PENDING} requests are waiting already"
            self.send(envelope.number, ErrorReply(ErrorCode.OVERLOAD, "overload", text))
            return
        task = asyncio.create_task(self._answer(envelope))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    def _greet(self, envelope: Envelope) -> None:
        request = envelope.message
        if isinstance(request, HelloRequest) and request.version == VERSION:
            self._greeted = True
            self.on_greeted()
            _log.info("the server is %s", request.agent[:64])
            return
        text = f"the first request must be HelloRequest of version {VERSION}"
        self.send(envelope.number, ErrorReply(ErrorCode.PROTOCOL, "version", text))
        raise ControlError(text)

    async def _answer(self, envelope: Envelope) -> None:
        answer = await self.session.handle(envelope.message)
        self.send(envelope.number, answer)
        self.welcomed = self.welcomed or isinstance(answer, HelloReply)
