# SPDX-License-Identifier: GPL-3.0-or-later
"""The CRS without I/O: connections, who is behind them, and what became of those that broke.

The rules:
- Of connections that are not welcomed yet, one address may have a few at a time.
- A URI has one connection: a newer `welcome` ends the older one with `error replaced`.
- The calls of a URI whose connection broke stand for 60 s. After its next `welcome` they
  stand if `resume` names them within 5 s; a `hangup` that it missed follows `welcome`.
- Texts are `TextBook`'s: the shell does its jobs, and reads what is to be sent.
- Nothing that one client sends ends more than its own connection or its own calls.
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cig_lab.crs.calls import CallBook, Delivery
from cig_lab.crs.stats import CrsStats
from cig_lab.crs.text_jobs import Job
from cig_lab.crs.texts import Piece, TextBook
from umsg.errors import ErrorCode
from umsg.events import AuthWanted, BadMessage, Event, MessageReceived, ResumeReceived, SessionEnded
from umsg.messages import Hangup, Message, Receipt, Text
from umsg.session import ServerSession, SessionState

ABSENCE = 60.0
"""Seconds that the calls of a broken connection are kept."""
RESUME_WITHIN = 5.0
"""Seconds from `welcome` within which a call must be named to stand."""
MAX_STRANGERS = 8
"""Connections from one address that are not welcomed yet."""
MAX_CONNECTIONS = 4096
MAX_KNOWN = 100_000
"""URIs remembered as existing."""

VerifyAuth = Callable[[AuthWanted, float], str | None]
"""Takes a request and the UTC time; gives what is wrong with it, or None."""
TextTamper = Callable[[Message], Iterable[Message]]
"""A dishonest server for tests: gives what is handed on in place of a part or a receipt."""


@dataclass(frozen=True, slots=True)
class Output:
    """Octets for one connection, and whether to close it once they are sent."""

    connection: int
    data: bytes
    close: bool


@dataclass(slots=True)
class _Connection:
    session: ServerSession
    peer: str
    uri: str | None = None
    """Set once the signature was accepted."""


@dataclass(slots=True)
class _Returned:
    """A client that was welcomed again and has calls to name."""

    until: float
    unnamed: set[str]


class CrsCore:
    """All connections of a CRS. `peer` is the IP address of a connection."""

    def __init__(
        self,
        *,
        domain: str,
        certificate_digest: bytes,
        keepalive: int,
        verify_auth: VerifyAuth,
        calls: CallBook,
        stats: CrsStats,
        utc: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        max_strangers: int = MAX_STRANGERS,
        texts: TextBook | None = None,
        text_tamper: TextTamper | None = None,
    ) -> None:
        self.texts = texts or TextBook(stats)
        self._text_tamper: TextTamper = text_tamper or (lambda message: (message,))
        self._max_strangers = max_strangers
        self._domain = domain
        self._certificate_digest = certificate_digest
        self._keepalive = keepalive
        self._verify_auth = verify_auth
        self._calls = calls
        self._stats = stats
        self._utc = utc
        self._random_bytes = random_bytes
        self._numbers = itertools.count(1)
        self._connections: dict[int, _Connection] = {}
        self._online: dict[str, int] = {}
        self._known: dict[str, None] = {}
        self._absent: dict[str, float] = {}
        self._returned: dict[str, _Returned] = {}
        self._farewells: dict[str, list[Hangup]] = {}
        self._closing: set[int] = set()

    def connected(self, peer: str, now: float) -> int | None:
        """Take a new connection; return its number, or None if it is one too many."""
        strangers = sum(c.peer == peer and c.uri is None for c in self._connections.values())
        if strangers >= self._max_strangers or len(self._connections) >= MAX_CONNECTIONS:
            self._stats.tcp_refused += 1
            return None
        number = next(self._numbers)
        session = ServerSession(
            domain=self._domain,
            certificate_digest=self._certificate_digest,
            keepalive=self._keepalive,
            now=now,
            utc=self._utc,
            random_bytes=self._random_bytes,
        )
        self._connections[number] = _Connection(session, peer)
        return number

    def receive(self, number: int, data: bytes, now: float) -> None:
        """Take octets from a connection."""
        connection = self._connections.get(number)
        if connection is not None:
            connection.session.receive_data(data, now)
            self._handle_events(number, connection, now)

    def lost(self, number: int, now: float) -> None:
        """Take note that a connection is gone."""
        connection = self._connections.get(number)
        if connection is not None:
            connection.session.connection_lost()
            self._handle_events(number, connection, now)
        self._closing.discard(number)
        self._connections.pop(number, None)

    def outputs(self) -> list[Output]:
        """Return what to write and which connections to close."""
        found = []
        for number, connection in list(self._connections.items()):
            data = connection.session.data_to_send()
            close = number in self._closing
            if data or close:
                found.append(Output(number, data, close))
            if close:
                self._closing.discard(number)
                del self._connections[number]
        return found

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` wants to be called, None if never."""
        deadlines = [c.session.next_deadline() for c in self._connections.values()]
        deadlines.append(self.texts.next_deadline())
        deadlines += self._absent.values()
        deadlines += (returned.until for returned in self._returned.values())
        return min((d for d in deadlines if d is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Do what is due."""
        self.texts.handle_timer(now)
        for number, connection in list(self._connections.items()):
            connection.session.handle_timer(now)
            self._handle_events(number, connection, now)
        for uri in [uri for uri, until in self._absent.items() if now >= until]:
            del self._absent[uri]
            self._farewells.pop(uri, None)
            self._deliver(self._calls.abandon(uri, self._calls.ids_of(uri)), now)
        for uri in [uri for uri, back in self._returned.items() if now >= back.until]:
            unnamed = self._returned.pop(uri).unnamed
            self._deliver(self._calls.abandon(uri, unnamed), now)

    # --- texts ------------------------------------------------------------------------------

    def next_piece(self, number: int) -> Piece | None:
        """Return the part of a text that a connection is to be sent next, None if there is none."""
        connection = self._connections.get(number)
        uri = connection.uri if connection is not None else None
        if uri is None or self._online.get(uri) != number:
            return None
        return self.texts.next_piece(uri)

    def send_to(self, uri: str, message: Message, now: float) -> None:
        """Send a message to the client of a URI, if it is here."""
        self._deliver([(uri, message)], now)

    def job_done(self, job: Job, now: float) -> None:
        """Go on with a job of the texts' that is on disk."""
        self._deliver(self.texts.done(job, now), now)

    def job_failed(self, job: Job, now: float) -> None:
        """Take back a job that the disk refused."""
        self._deliver(self.texts.failed(job), now)

    def _handle_events(self, number: int, connection: _Connection, now: float) -> None:
        while (event := connection.session.next_event()) is not None:
            self._handle(event, number, connection, now)

    def _handle(self, event: Event, number: int, connection: _Connection, now: float) -> None:
        uri = connection.uri
        match event:
            case AuthWanted():
                self._authenticate(event, number, connection, now)
            case SessionEnded():
                self._ended(event, number, connection, now)
            case BadMessage():
                self._stats.bad_messages += 1
                if uri is not None and event.id is not None:
                    self._deliver(self._calls.spoilt(uri, event.id), now)
                if uri is not None and event.mid is not None:
                    self._deliver(self.texts.spoilt(uri, event.mid), now)
            case MessageReceived(message=Text() | Receipt() as message) if uri is not None:
                # One that a newer connection replaced has no say any more.
                if self._online.get(uri) == number:
                    self._deliver(self.texts.receive(uri, message), now)
            case MessageReceived(message) if uri is not None:
                deliveries = self._calls.receive(
                    uri, message, online=self._online, known=self._known
                )
                self._deliver(deliveries, now)
            case ResumeReceived(ids) if uri is not None:
                self._resume(uri, ids, now)

    def _authenticate(
        self, request: AuthWanted, number: int, connection: _Connection, now: float
    ) -> None:
        fault = self._verify_auth(request, self._utc())
        if fault is not None:
            self._stats.auth_refused += 1
            connection.session.refuse(fault, now)
            return
        uri = request.uri
        older = self._online.pop(uri, None)
        if older is not None:
            self._stats.replaced += 1
            old = self._connections[older]
            old.session.close(now, ErrorCode.REPLACED, "welcomed on a newer connection")
            self._handle_events(older, old, now)
        self._absent.pop(uri, None)
        connection.uri = uri
        self._online[uri] = number
        self._known.setdefault(uri)
        if len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
        standing = self._calls.ids_of(uri)
        if standing:
            self._returned[uri] = _Returned(now + RESUME_WITHIN, set(standing))
        self._stats.welcomed += 1
        connection.session.accept(self.texts.pending(uri), now)
        for hangup in self._farewells.pop(uri, ()):
            connection.session.send(hangup, now)
        self._deliver(self.texts.welcomed(uri, now), now)

    def _ended(self, event: SessionEnded, number: int, connection: _Connection, now: float) -> None:
        if event.code is ErrorCode.PROTOCOL and not event.by_peer:
            self._stats.sessions_broken += 1
        self._closing.add(number)
        uri = connection.uri
        if uri is None or self._online.get(uri) != number:
            return
        del self._online[uri]
        self.texts.gone(uri)
        self._returned.pop(uri, None)
        if self._calls.ids_of(uri):
            self._absent[uri] = now + ABSENCE

    def _resume(self, uri: str, ids: tuple[str, ...], now: float) -> None:
        if uri in self._returned:
            self._returned[uri].unnamed.difference_update(ids)
        self._deliver(self._calls.resume(uri, ids), now)

    def _deliver(self, deliveries: list[Delivery], now: float) -> None:
        for uri, message in deliveries:
            number = self._online.get(uri)
            if number is None:
                if isinstance(message, Hangup) and uri in self._absent:
                    self._farewells.setdefault(uri, []).append(message)
                continue
            session = self._connections[number].session
            if session.state is SessionState.OPEN:
                of_text = isinstance(message, Text | Receipt)
                for handed in self._text_tamper(message) if of_text else (message,):
                    session.send(handed, now)
