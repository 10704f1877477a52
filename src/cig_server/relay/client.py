# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks cig-relay over its Unix socket, and hears what it reports.

The connection is kept up by itself: when it breaks, every request that waits fails with
`RelayUnavailableError`, the listener is told once, and a new connection is tried at once and then
every ``RETRY_SECONDS``. A relay of another protocol version is refused and told in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path
from typing import Protocol, TypeVar

from cig_common.control.codec import ControlDecoder, Envelope
from cig_common.control.failures import exception_for
from cig_common.control.messages import EVENTS, VERSION, ErrorReply, HelloReply, HelloRequest
from cig_common.control.record import Record
from cig_common.errors import ControlError, RelayUnavailableError

RETRY_SECONDS = 0.5
"""Pause between two tries to reach the relay; it is on this host, so a try costs nothing."""

REQUEST_SECONDS = 30.0
"""How long an answer may take before the connection is given up as hung. The relay gives up
sooner by itself: a crypto engine that hangs costs it ten seconds, and then it asks another."""

AGENT = "cig-server/2.7.0"

_READ_SIZE = 65536

logger = logging.getLogger("Relay")

Reply = TypeVar("Reply", bound=Record)


class RelayListener(Protocol):
    """Who wants to know of the relay's coming, going and reports; called in the event loop."""

    def relay_connected(self, hello: HelloReply) -> None:
        """The relay answered; ``hello`` tells whose keys it holds."""

    def relay_lost(self) -> None:
        """The connection broke: every call's media is to be taken as gone."""

    def relay_event(self, event: Record) -> None:
        """The relay reports one of `cig_common.control.messages.EVENTS`."""


class RelayClient:
    """One connection to cig-relay, made again whenever it breaks.

    ``sip_bind`` is the address on which this process takes SIP: the relay's media uses it too.
    """

    def __init__(self, socket_path: Path, listener: RelayListener, *, sip_bind: str = "") -> None:
        self._path = socket_path
        self._sip_bind = sip_bind
        self._listener = listener
        self._writer: asyncio.StreamWriter | None = None
        self._pending: dict[int, asyncio.Future[Record]] = {}
        self._number = 0
        self._task: asyncio.Task[None] | None = None
        self._ready = False
        self._stopping = False
        self._complaint = ""
        self.protocol_errors = 0

    @property
    def connected(self) -> bool:
        """Whether the relay has answered the greeting of the present connection."""
        return self._ready

    @property
    def complaint(self) -> str:
        """Why there is no connection, in words for ``status``; empty while connected."""
        return self._complaint

    def start(self) -> None:
        """Begin to keep a connection up."""
        self._task = asyncio.create_task(self._run(), name="relay-client")

    async def stop(self) -> None:
        """Close the connection and make no other."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def request(
        self, message: Record, reply_type: type[Reply], seconds: float = REQUEST_SECONDS
    ) -> Reply:
        """Send ``message`` and give the relay's answer, for which it has ``seconds``.

        Raises the `CigError` that an `ErrorReply` stands for, `RelayUnavailableError` without a
        connection, `ControlError` on an answer of another type.
        """
        if not self._ready:
            raise RelayUnavailableError(f"cig-relay is not connected: {self._complaint}")
        return await self._exchange(message, reply_type, seconds)

    async def _exchange(
        self, message: Record, reply_type: type[Reply], seconds: float = REQUEST_SECONDS
    ) -> Reply:
        if self._writer is None:
            raise RelayUnavailableError("cig-relay is not connected")
        self._number += 1
        number = self._number
        future: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self._pending[number] = future
        try:
            self._writer.write(Envelope(number, message).encode())
            async with asyncio.timeout(seconds):
                answer = await future
        except TimeoutError:
            logger.warning("cig-relay did not answer in %g s: reconnecting", seconds)
            self._writer.close()
            raise RelayUnavailableError("cig-relay did not answer in time") from None
        finally:
            self._pending.pop(number, None)
        if isinstance(answer, ErrorReply):
            raise exception_for(answer)
        if not isinstance(answer, reply_type):
            raise ControlError(f"cig-relay answered with {type(answer).__name__}")
        return answer

    async def _run(self) -> None:
        while True:
            try:
                reader, self._writer = await asyncio.open_unix_connection(str(self._path))
            except OSError as error:
                self._complain(f"{self._path}: {error.strerror or error}")
                await asyncio.sleep(RETRY_SECONDS)
                continue
            try:
                await self._serve(reader)
            except Exception:
                logger.exception("the connection to cig-relay failed in a way not foreseen")
            finally:
                self._drop()
            await asyncio.sleep(RETRY_SECONDS)

    def _complain(self, why: str) -> None:
        if why != self._complaint:
            logger.warning("cannot reach cig-relay at %s; is it running? Trying again", why)
            self._complaint = why

    async def _serve(self, reader: asyncio.StreamReader) -> None:
        greeting = asyncio.create_task(self._greet())
        decoder = ControlDecoder()
        try:
            while data := await reader.read(_READ_SIZE):
                for envelope in decoder.feed(data):
                    self._take(envelope)
        except (OSError, ControlError) as error:
            self.protocol_errors += isinstance(error, ControlError)
            logger.warning("connection to cig-relay broke: %s", error)
        finally:
            greeting.cancel()

    async def _greet(self) -> None:
        try:
            greeting = HelloRequest(VERSION, AGENT, os.getpid(), self._sip_bind)
            hello = await self._exchange(greeting, HelloReply)
        except Exception as error:
            self._complain(f"{self._path}: greeting refused: {error}")
            self._close_writer()
            return
        if hello.version != VERSION:
            self._complain(f"{self._path}: it speaks version {hello.version}, not {VERSION}")
            self._close_writer()
            return
        self._ready, self._complaint = True, ""
        logger.info("connected to %s at %s", hello.agent, self._path)
        self._listener.relay_connected(hello)

    def _take(self, envelope: Envelope) -> None:
        if isinstance(envelope.message, EVENTS):
            self._listener.relay_event(envelope.message)
            return
        future = self._pending.get(envelope.number)
        if future is not None and not future.done():
            future.set_result(envelope.message)

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _drop(self) -> None:
        self._close_writer()
        self._writer = None
        was_ready, self._ready = self._ready, False
        for future in self._pending.values():
            if not future.done():
                future.set_exception(RelayUnavailableError("the connection to cig-relay broke"))
        if was_ready:
            self._complaint = f"{self._path}: connection lost"
            if not self._stopping:
                logger.warning("lost the connection to cig-relay")
                self._listener.relay_lost()
