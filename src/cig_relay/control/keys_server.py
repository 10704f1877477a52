# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys socket: where an operator's set-key hands key material to the relay.

The rules:

1. Only root and the relay's own user are served (SO_PEERCRED, besides the socket's mode 0600);
   anybody else is shut out before a single octet is read. cig-server is somebody else.
2. There is room for few connections. Each has to bring its first request, whole, within a minute;
   once key material was looked at, a person has a quarter of an hour to decide.
3. Requests of a connection are carried out one after the other. What was asked for is carried out
   even if the connection breaks meanwhile: an installation is whole or did not begin.
4. After five wrong passphrases a connection is closed; see `Unsealer` for the pauses.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cig_common.control.codec import ControlDecoder, Envelope
from cig_common.control.keys import KEYS
from cig_common.errors import ControlError
from cig_relay.control.keys_session import KeysSession, Unsealer
from cig_relay.control.local_socket import PeerProcess, listening
from cig_relay.keys.intake import KeyIntake

_log = logging.getLogger("Keys")

_SOCKET_MODE = 0o600
_READ_OCTETS = 65536
_ROOT = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections, how long (seconds) each may take, how often it may guess."""

    connections: int = 4
    first_seconds: float = 60.0
    decide_seconds: float = 900.0
    wrong_passphrases: int = 5
    pause: float = 1.0


class KeysServer:
    """Listens on ``path``; ``changed`` is called after an installation."""

    def __init__(
        self,
        intake: KeyIntake,
        path: Path,
        *,
        changed: Callable[[], None] = lambda: None,
        limits: Limits | None = None,
    ) -> None:
        self._intake = intake
        self._path = path
        self._changed = changed
        self._limits = limits or Limits()
        self._unsealer = Unsealer(self._limits.pause)
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. Raises SocketInUseError, or OSError when the socket cannot be made."""
        sock = await listening(self._path, _SOCKET_MODE)
        try:
            self._listener = await asyncio.start_unix_server(self._connected, sock=sock)
        except BaseException:
            sock.close()
            raise

    async def close(self) -> None:
        """Stop listening and end all connections; what was only inspected is wiped."""
        if self._listener is not None:
            self._listener.close()
            with suppress(FileNotFoundError):
                self._path.unlink()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = PeerProcess.of(writer)
        if peer.uid not in (_ROOT, os.geteuid()):
            _log.warning("process %d of uid %d may not use the keys socket", peer.pid, peer.uid)
            writer.close()
            return
        if len(self._tasks) >= self._limits.connections:
            _log.warning(
                "process %d of uid %d was turned away from the keys socket: %d others use it",
                peer.pid,
                peer.uid,
                len(self._tasks),
            )
            writer.close()
            return
        task = asyncio.create_task(self._serve(reader, writer, peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: PeerProcess
    ) -> None:
        session = KeysSession(self._intake, self._unsealer, peer, self._changed)
        try:
            await self._converse(reader, writer, session)
        except TimeoutError:
            _log.info("process %d left the keys socket idle: it is closed", peer.pid)
        except ControlError as error:
            _log.warning("process %d does not speak as a set-key does: %s", peer.pid, error)
        except OSError as error:
            _log.info("the connection of process %d broke: %s", peer.pid, error)
        finally:
            session.forget()
            writer.close()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: KeysSession
    ) -> None:
        decoder = ControlDecoder(KEYS)
        while session.wrong_passphrases < self._limits.wrong_passphrases:
            envelopes = await self._next(reader, decoder, session)
            if not envelopes:
                return
            for envelope in envelopes:
                answer = await session.handle(envelope.message)
                writer.write(Envelope(envelope.number, answer).encode())
                async with asyncio.timeout(self._limits.first_seconds):
                    await writer.drain()
                if session.wrong_passphrases >= self._limits.wrong_passphrases:
                    return

    async def _next(
        self, reader: asyncio.StreamReader, decoder: ControlDecoder, session: KeysSession
    ) -> list[Envelope]:
        """Wait for whole requests; nothing means that the connection has ended."""
        limits = self._limits
        patience = limits.decide_seconds if session.waits_for_consent else limits.first_seconds
        async with asyncio.timeout(patience):
            while octets := await reader.read(_READ_OCTETS):
                if envelopes := decoder.feed(octets):
                    return envelopes
        return []
