# SPDX-License-Identifier: GPL-3.0-or-later
"""The lower half of the SIP user agent, sans-IO: transactions and what they put on the wire.

`cig_lab.sip_phone.agent` is the upper half, which keeps the calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from cig_lab.sip_phone.address import Destination, NameAddr, Via, host_port
from cig_lab.sip_phone.dialog import response_to
from cig_lab.sip_phone.message import Headers, Request, Response, SipError, parse
from cig_lab.sip_phone.timers import TimerValues
from cig_lab.sip_phone.transaction import Action, Event, Kind, State, Transaction

REASONS = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    302: "Moved Temporarily",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    500: "Server Internal Error",
    503: "Service Unavailable",
    603: "Decline",
}
"""Reason phrases (RFC 3261 section 21)."""

COOKIE = "z9hG4bK"
ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE"

ClientKey = tuple[str, str]
ServerKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Octets for the transport, and where they go."""

    data: bytes
    peer: Destination


class Wire:
    """Transactions of one user agent, and the queue of what is to be sent."""

    def __init__(
        self,
        *,
        local: Destination,
        transport: str,
        random_bytes: Callable[[int], bytes],
        values: TimerValues,
    ) -> None:
        self.local = local
        self.transport = transport
        self.values = values
        self.malformed = 0
        self.unexpected = 0
        self._random = random_bytes
        self._clients: dict[ClientKey, Transaction] = {}
        self._servers: dict[ServerKey, Transaction] = {}
        self._outgoing: deque[Outgoing] = deque()

    @property
    def reliable(self) -> bool:
        """Whether the transport repeats by itself."""
        return self.transport == "TCP"

    def token(self) -> str:
        """Give a fresh random token for a tag, a branch or a Call-ID."""
        return self._random(10).hex()

    def via(self, branch: str | None = None) -> str:
        """Give a Via value with a new branch, or with that of the request that is cancelled."""
        sent_by = f"SIP/2.0/{self.transport} {host_port(self.local)}"
        return f"{sent_by};branch={branch or COOKIE + self.token()};rport"

    def push(self, data: bytes, peer: Destination) -> None:
        """Queue octets."""
        self._outgoing.append(Outgoing(data, peer))

    def pop(self) -> list[Outgoing]:
        """Take everything that is to be sent now."""
        taken, self._outgoing = list(self._outgoing), deque()
        return taken

    def request(self, request: Request, peer: Destination, now: float) -> Transaction:
        """Send a request and begin its client transaction."""
        kind = Kind.INVITE_CLIENT if request.method == "INVITE" else Kind.CLIENT
        transaction = Transaction(kind, request, peer, self.reliable, self.values, request.encode())
        branch = Via.parse(request.all("Via")[0]).branch
        self._clients[branch, request.method] = transaction
        transaction.begin(now)
        self.push(transaction.message, peer)
        return transaction

    def respond(self, transaction: Transaction, response: Response, now: float) -> None:
        """Send a response through its server transaction."""
        transaction.message = response.encode()
        if Action.SEND in (transaction.feed(event_of(response.status), now) or ()):
            self.push(transaction.message, transaction.peer)

    def serve(self, request: Request, source: Destination, now: float) -> Transaction | None:
        """Find or begin the server transaction of a request; None: it was a repetition.

        An ACK to a failure ends here; an ACK to a 2xx has no transaction and is not given here.
        """
        key = server_key(request)
        known = self._servers.get(key)
        if known is not None:
            event = Event.ACK if request.method == "ACK" else Event.REQUEST
            self.perform(known, event, now)
            return None
        kind = Kind.INVITE_SERVER if request.method == "INVITE" else Kind.SERVER
        transaction = Transaction(kind, request, source, self.reliable, self.values)
        self._servers[key] = transaction
        transaction.begin(now)
        return transaction

    def knows(self, request: Request) -> bool:
        """Whether the request belongs to a server transaction."""
        return server_key(request) in self._servers

    def cancelled(self, cancel: Request) -> Transaction | None:
        """Give the INVITE that a CANCEL speaks of (section 9.2)."""
        branch, sent_by, _ = server_key(cancel)
        return self._servers.get((branch, sent_by, "INVITE"))

    def client_of(self, response: Response) -> Transaction | None:
        """Give the client transaction of a response (section 17.1.3)."""
        via = response.all("Via")
        if not via:
            raise SipError("response without Via")
        return self._clients.get((Via.parse(via[0]).branch, response.cseq[1]))

    def perform(
        self, transaction: Transaction, event: Event, now: float, response: Response | None = None
    ) -> tuple[Action, ...]:
        """Feed a transaction, do what concerns the wire, give the actions."""
        actions = transaction.feed(event, now)
        if actions is None:
            self.unexpected += 1
            return ()
        if Action.RESEND in actions and transaction.message:
            self.push(transaction.message, transaction.peer)
        if Action.ACKNOWLEDGE in actions and response is not None:
            self.push(failure_ack(transaction.request, response).encode(), transaction.peer)
        return actions

    def deadline(self) -> float | None:
        """When the earliest timer fires."""
        deadlines = (tx.deadline() for tx in self._all())
        return min((at for at in deadlines if at is not None), default=None)

    def timeouts(self, now: float) -> list[Transaction]:
        """Let timers fire, forget what has ended, give the transactions that timed out."""
        timed_out = []
        for transaction in self._all():
            while (event := transaction.due(now)) is not None:
                if Action.TIMEOUT in self.perform(transaction, event, now):
                    timed_out.append(transaction)
        for table in (self._clients, self._servers):
            for key, transaction in list(table.items()):
                if transaction.state is State.TERMINATED:
                    del table[key]  # type: ignore[arg-type]
        return timed_out

    def _all(self) -> list[Transaction]:
        return [*self._clients.values(), *self._servers.values()]

    def reply(
        self,
        transaction: Transaction,
        status: int,
        now: float,
        *,
        tag: str = "",
        extra: Headers = (),
        body: bytes = b"",
    ) -> None:
        """Build the response to a transaction's request and send it."""
        response = response_to(
            transaction.request,
            status,
            REASONS.get(status, "Unknown"),
            tag=tag or self.token(),
            source=transaction.peer,
            extra=extra,
            body=body,
        )
        self.respond(transaction, response, now)

    def read(self, data: bytes) -> Request | Response | None:
        """Parse a message; None for an empty keep-alive, and for garbage, which is counted."""
        if not data.strip(b"\r\n\0"):
            return None
        try:
            return parse(data)
        except SipError:
            self.malformed += 1
            return None


def server_key(request: Request) -> ServerKey:
    """Give what identifies a server transaction (section 17.2.3); raises SipError."""
    via = request.all("Via")
    if not via:
        raise SipError("request without Via")
    top = Via.parse(via[0])
    # Elements from before RFC 3261 send no such branch; then the call and number must do.
    branch = top.branch
    if not branch.startswith(COOKIE):
        sender = NameAddr.parse(request.need("From")).tag
        branch = f"{request.need('Call-ID')} {request.cseq[0]} {sender}"
    method = "INVITE" if request.method == "ACK" else request.method
    return branch, f"{top.host}:{top.port}", method


def event_of(status: int) -> Event:
    """Give a response's event."""
    if status < 200:
        return Event.PROVISIONAL
    return Event.SUCCESS if status < 300 else Event.FAILURE


def failure_ack(invite: Request, response: Response) -> Request:
    """Build the ACK to a final failure (section 17.1.1.3)."""
    headers: Headers = (
        ("Via", invite.need("Via")),
        ("Max-Forwards", "70"),
        ("From", invite.need("From")),
        ("To", response.need("To")),
        ("Call-ID", invite.need("Call-ID")),
        ("CSeq", f"{invite.cseq[0]} ACK"),
        *((name, value) for name, value in invite.headers if name == "Route"),
    )
    return Request(headers, method="ACK", uri=invite.uri)
