# SPDX-License-Identifier: GPL-3.0-or-later
"""A client and a server session joined in memory, with a clock that the test moves."""

import hashlib
import itertools
from collections.abc import Callable, Iterable

from umsg.events import AuthWanted, Event, SignatureWanted
from umsg.session import ClientSession, ServerSession

CERTIFICATE = hashlib.sha256(b"certificate").digest()
SIG = bytes(129)
UTC = 1_795_000_000


def counting_random() -> Callable[[int], bytes]:
    """Return a source of octets that differ on each call and are the same in each run."""
    numbers = itertools.count(1)
    return lambda length: next(numbers).to_bytes(length, "big")


def events_of(session: ClientSession | ServerSession) -> list[Event]:
    events = []
    while (event := session.next_event()) is not None:
        events.append(event)
    return events


class Link:
    def __init__(self, *, keepalive: int = 30, now: float = 1000.0) -> None:
        self.now = now
        self.client = ClientSession(
            uri="tel:+46701234567",
            agent="test",
            certificate_digest=CERTIFICATE,
            now=now,
            random_bytes=counting_random(),
        )
        self.server = ServerSession(
            domain="example",
            certificate_digest=CERTIFICATE,
            keepalive=keepalive,
            now=now,
            utc=lambda: UTC,
            random_bytes=counting_random(),
        )
        self.client_events: list[Event] = []
        self.server_events: list[Event] = []

    def exchange(self) -> None:
        """Carry octets both ways until both sides are silent."""
        while True:
            up, down = self.client.data_to_send(), self.server.data_to_send()
            self.server.receive_data(up, self.now)
            self.client.receive_data(down, self.now)
            self.client_events += events_of(self.client)
            self.server_events += events_of(self.server)
            if not up and not down:
                return

    def take(self, kind: type) -> list:
        """Return and forget the events of one kind, of both sides."""
        found = [e for e in self.client_events + self.server_events if isinstance(e, kind)]
        self.client_events = [e for e in self.client_events if not isinstance(e, kind)]
        self.server_events = [e for e in self.server_events if not isinstance(e, kind)]
        return found

    def open(self, pending: int = 0) -> "Link":
        """Go through the whole entrance and forget its events."""
        self.exchange()
        (wanted,) = self.take(SignatureWanted)
        self.client.authenticate("2026-11-1", SIG, self.now)
        self.exchange()
        (asked,) = self.take(AuthWanted)
        assert asked.text == wanted.text("2026-11-1")
        self.server.accept(pending, self.now)
        self.exchange()
        return self

    def advance(self, seconds: float) -> None:
        """Let time pass, waking both sides whenever they asked for it."""
        end = self.now + seconds
        while True:
            due = self._deadlines()
            if not due or min(due) > end:
                break
            self.now = max(self.now, min(due))
            self.client.handle_timer(self.now)
            self.server.handle_timer(self.now)
            self.exchange()
        self.now = end

    def _deadlines(self) -> list[float]:
        both: Iterable[float | None] = (self.client.next_deadline(), self.server.next_deadline())
        return [deadline for deadline in both if deadline is not None]
