# SPDX-License-Identifier: GPL-3.0-or-later
"""The asyncio shell of the management port: connections in, requests to the commands, answers out.

At most 32 connections, each closed after ten idle minutes. What is no request is answered with an
error and counted; nothing that one connection sends or does ends another or the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass

from cig_server.mgmt.commands import Session, execute
from cig_server.mgmt.protocol import Answer, Garbage, LineReceiver, Request
from cig_server.mgmt.token import Token
from cig_server.mgmt.view import GatewayView

logger = logging.getLogger("Mgmt")

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8083
MAX_CONNECTIONS = 32
IDLE_SECONDS = 600.0
_SEND_SECONDS = 30.0
_CHUNK = 4096


@dataclass(slots=True)
class Counters:
    """What has come to the port since it opened."""

    connections: int = 0
    refused: int = 0
    requests: int = 0
    garbage: int = 0
    failures: int = 0


class ManagementServer:
    """Serves the management port for one gateway.

    `port` 0 takes a free one; `.port` tells which after `start`. Without a `token` no command
    that needs one can be run.
    """

    def __init__(
        self,
        view: GatewayView,
        *,
        token: Token | None = None,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        version: str = "2.7.0",
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.counters = Counters()
        self.port = port
        self._view = view
        self._token = token
        self._host = host
        self._version = version
        self._idle_seconds = idle_seconds
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open the port. Raises OSError when it is taken."""
        self._server = await asyncio.start_server(self._accept, self._host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self.counters.connections += 1
        try:
            if len(self._tasks) >= MAX_CONNECTIONS:
                self.counters.refused += 1
                refusal = f"too many connections: at most {MAX_CONNECTIONS} at once"
                await self._send(writer, Answer(error=refusal))
                return
            self._tasks.add(task)
            await self._converse(reader, writer)
        except (OSError, TimeoutError):
            # The client went away, or was silent or deaf for too long: its own affair.
            pass
        except Exception:
            self.counters.failures += 1
            logger.exception("a management connection failed")
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = "{}:{}".format(*writer.get_extra_info("peername", ("?", 0))[:2])
        session = Session(self._view, self._version, self._token, peer)
        receiver = LineReceiver()
        while True:
            async with asyncio.timeout(self._idle_seconds):
                data = await reader.read(_CHUNK)
            if not data:
                return
            for item in receiver.feed(data):
                await self._send(writer, await self._answer(session, item))

    async def _answer(self, session: Session, item: Request | Garbage) -> Answer:
        if isinstance(item, Garbage):
            self.counters.garbage += 1
            return Answer(error=item.reason)
        self.counters.requests += 1
        try:
            return await execute(session, item)
        except Exception:
            self.counters.failures += 1
            logger.exception("the command `%s` failed", item.words[0])
            return Answer(error="the command failed; see cig.log")

    async def _send(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        writer.write(answer.encode())
        async with asyncio.timeout(_SEND_SECONDS):
            await writer.drain()
