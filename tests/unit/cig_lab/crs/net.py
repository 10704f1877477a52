# SPDX-License-Identifier: GPL-3.0-or-later
"""A CRS core and clients joined in memory, with a clock that the test moves."""

import itertools
from collections.abc import Callable

from cig_lab.crs.calls import CallBook
from cig_lab.crs.core import CrsCore
from cig_lab.crs.forwarder import Forwarder
from cig_lab.crs.stats import CrsStats
from umsg.events import AuthWanted, Event, SignatureWanted
from umsg.messages import Bang, Leg, Message
from umsg.session import ClientSession

GOOD_SIG = bytes(129)
BAD_SIG = b"\1" * 129
UTC = 1_795_000_000
ALICE, BOB, EVE = "tel:+46701111111", "tel:+46702222222", "tel:+46703333333"


def counting_random() -> Callable[[int], bytes]:
    numbers = itertools.count(1)
    return lambda length: next(numbers).to_bytes(length, "big")


def check_sig(request: AuthWanted, utc: float) -> str | None:
    return None if request.sig == GOOD_SIG and utc == UTC else "wrong signature"


def bang(id_: str, *, caller: str = ALICE, to: str = BOB, **changes: object) -> Bang:
    fields = {"mikey": b"mikey", "offer": ("PCMA/8000",), "dtmf": 101, **changes}
    return Bang(id=id_, from_uri=caller, to_uri=to, **fields)


class Client:
    """One connection of a client; a second one of the same URI is another object."""

    def __init__(self, net: "Net", uri: str, sig: bytes, peer: str) -> None:
        self.net = net
        self.number = net.core.connected(peer, net.now)
        assert self.number is not None
        self.session = ClientSession(
            uri=uri,
            agent="test",
            certificate_digest=bytes(32),
            now=net.now,
            random_bytes=net.random_bytes,
        )
        self.events: list[Event] = []
        self.sig = sig
        net.clients.append(self)
        net.exchange()

    def send(self, *messages: Message) -> None:
        for message in messages:
            self.session.send(message, self.net.now)
        self.net.exchange()

    def resume(self, *ids: str) -> None:
        self.session.resume(ids, self.net.now)
        self.net.exchange()

    def got(self) -> list[Message]:
        """Return and forget the messages received."""
        found = [event.message for event in self.events if hasattr(event, "message")]
        self.events = [event for event in self.events if not hasattr(event, "message")]
        return found

    def take(self, kind: type) -> list:
        """Return and forget the events of one kind."""
        found = [event for event in self.events if isinstance(event, kind)]
        self.events = [event for event in self.events if not isinstance(event, kind)]
        return found

    def cut(self) -> None:
        """Lose the connection, and with it whatever is on its way."""
        self.net.clients.remove(self)
        self.session.connection_lost()
        self.net.core.lost(self.number, self.net.now)
        self.net.exchange()


class Net:
    def __init__(self, **options: object) -> None:
        self.now = 1000.0
        self.random_bytes = counting_random()
        self.stats = CrsStats()
        self.forwarder = Forwarder(stats=self.stats, random_bytes=self.random_bytes)
        self.forwarder.addr, self.forwarder.port = "127.0.0.1", 146
        self.calls = CallBook(forwarder=self.forwarder, stats=self.stats, **options)
        self.core = CrsCore(
            domain="example",
            certificate_digest=bytes(32),
            keepalive=30,
            verify_auth=check_sig,
            calls=self.calls,
            stats=self.stats,
            utc=lambda: UTC,
            random_bytes=self.random_bytes,
        )
        self.clients: list[Client] = []

    def connect(self, uri: str, *, sig: bytes = GOOD_SIG, peer: str = "10.0.0.1") -> Client:
        client = Client(self, uri, sig, peer)
        self.exchange()
        return client

    def exchange(self) -> None:
        while True:
            quiet = True
            for client in self.clients:
                data = client.session.data_to_send()
                if data:
                    quiet = False
                    self.core.receive(client.number, data, self.now)
            for output in self.core.outputs():
                quiet = False
                for client in [c for c in self.clients if c.number == output.connection]:
                    client.session.receive_data(output.data, self.now)
                    if output.close and not client.session.closed:
                        client.session.connection_lost()
            for client in self.clients:
                while (event := client.session.next_event()) is not None:
                    client.events.append(event)
                    if isinstance(event, SignatureWanted):
                        client.session.authenticate("2026-11-1", client.sig, self.now)
                        quiet = False
            if quiet:
                return

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            cores = [self.core, *(client.session for client in self.clients)]
            due = [d for d in (core.next_deadline() for core in cores) if d is not None]
            if not due or min(due) > end:
                break
            self.now = max(self.now, min(due))
            for core in cores:
                core.handle_timer(self.now)
            self.exchange()
        self.now = end


def leg_of(message: Message) -> Leg:
    leg = message.leg
    assert isinstance(leg, Leg)
    return leg
