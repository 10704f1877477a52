# SPDX-License-Identifier: GPL-3.0-or-later
"""Two user agents wired through a list, with a clock of their own and a network that loses."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cig_lab.sip_phone import events
from cig_lab.sip_phone.agent import CallError, UserAgent
from cig_lab.sip_phone.wire import Outgoing

A, B = ("127.0.0.1", 5001), ("127.0.0.1", 5002)


def counter_bytes() -> Callable[[int], bytes]:
    numbers = itertools.count(1)
    return lambda length: next(numbers).to_bytes(length, "big")


class Pair:
    """Agent a calls, agent b is called; `lose` decides by the number of the message."""

    def __init__(self, lose: Callable[[int], bool] = lambda number: False) -> None:
        self.agents = {
            A: UserAgent(user="alice", local=A, random_bytes=counter_bytes()),
            B: UserAgent(user="bob", local=B, random_bytes=counter_bytes()),
        }
        self.a, self.b = self.agents[A], self.agents[B]
        self.now = 0.0
        self.events: dict[tuple[str, int], list[events.SipEvent]] = {A: [], B: []}
        self.on_b: Callable[[events.SipEvent], None] = lambda event: None
        self._lose = lose
        self._count = 0

    def run(self, seconds: float = 0.0) -> None:
        end = self.now + seconds
        while True:
            self._exchange()
            deadlines = [agent.next_deadline() for agent in self.agents.values()]
            deadline = min((at for at in deadlines if at is not None), default=end + 1)
            if deadline > end:
                self.now = end
                return
            self.now = max(deadline, self.now)
            for agent in self.agents.values():
                agent.handle_timer(self.now)

    def _exchange(self) -> None:
        moved = True
        while moved:
            steps = [self._step(address) for address in self.agents]
            moved = any(steps)

    def _step(self, address: tuple[str, int]) -> bool:
        agent, moved = self.agents[address], False
        while (event := agent.next_event()) is not None:
            self.events[address].append(event)
            if address == B:
                self.on_b(event)
            moved = True
        messages: list[Outgoing] = agent.outgoing()
        for message in messages:
            self._count += 1
            if not self._lose(self._count):
                self.agents[message.peer].receive(message.data, address, self.now)
        return moved or bool(messages)

    def answer_at_once(self, event: events.SipEvent) -> None:
        if isinstance(event, events.Incoming):
            self.b.respond(event.call, 180, self.now)
            self.b.respond(event.call, 200, self.now, b"answer")

    def kinds(self, address: tuple[str, int]) -> list[type[Any]]:
        return [type(event) for event in self.events[address]]


def test_call_with_both_descriptions_and_bye() -> None:
    pair = Pair()
    pair.on_b = pair.answer_at_once
    call = pair.a.invite("sip:bob@127.0.0.1:5002", b"offer", pair.now)
    pair.run()
    assert pair.events[A] == [
        events.Progress(call, 180, None),
        events.Answered(call, b"answer"),
    ]
    assert pair.events[B] == [
        events.Incoming(call, "sip:alice@127.0.0.1:5001", "sip:bob@127.0.0.1:5002", b"offer"),
        events.Acknowledged(call, None),
    ]
    pair.b.hangup(call, pair.now)
    pair.run(40)
    assert pair.events[A][-1] == events.Ended(call, "peer")
    assert pair.a.next_deadline() is None
    assert pair.a._calls == {} == pair.b._calls


@settings(max_examples=80, deadline=None)
@given(st.sets(st.integers(1, 14), max_size=5))
def test_call_survives_losses(lost: set[int]) -> None:
    pair = Pair(lambda number: number in lost)
    pair.on_b = pair.answer_at_once
    call = pair.a.invite("sip:bob@127.0.0.1:5002", b"offer", pair.now)
    pair.run(60)
    assert [event for event in pair.events[A] if isinstance(event, events.Answered)] == [
        events.Answered(call, b"answer")
    ]
    assert pair.kinds(B).count(events.Incoming) == 1
    assert pair.kinds(B).count(events.Acknowledged) == 1
    pair.a.hangup(call, pair.now)
    pair.run(40)
    assert pair.events[B][-1] == events.Ended(call, "peer")


@pytest.mark.parametrize("status", [302, 404, 486, 503, 603])
def test_rejection_reaches_the_caller(status: int) -> None:
    pair = Pair()
    call = pair.a.invite("sip:bob@127.0.0.1:5002", b"", pair.now)
    pair.run()
    pair.b.respond(call, status, pair.now)
    pair.run(40)
    assert isinstance(pair.events[A][-1], events.Rejected)
    assert pair.events[A][-1].status == status
    with pytest.raises(CallError):
        pair.b.respond(call, 200, pair.now)


def test_cancel_while_ringing() -> None:
    pair = Pair()
    call = pair.a.invite("sip:bob@127.0.0.1:5002", b"", pair.now)
    pair.run()
    pair.b.respond(call, 180, pair.now)
    pair.run()
    pair.a.hangup(call, pair.now)
    pair.a.hangup(call, pair.now)
    pair.run(40)
    assert pair.events[A][-1] == events.Rejected(call, 487, "Request Terminated")
    assert pair.events[B][-1] == events.Ended(call, "cancel")


def test_cancel_waits_for_a_provisional_response() -> None:
    pair = Pair()
    call = pair.a.invite("sip:bob@127.0.0.1:5002", b"", pair.now)
    pair.a.hangup(call, pair.now)
    pair.run()
    assert pair.kinds(B) == [events.Incoming]
    pair.b.respond(call, 180, pair.now)
    pair.run()
    assert pair.events[B][-1] == events.Ended(call, "cancel")


def test_answer_that_crosses_the_cancel_is_ended_by_bye() -> None:
    pair = Pair()
    call = pair.a.invite("sip:bob@127.0.0.1:5002", b"", pair.now)
    pair.run()
    pair.a.hangup(call, pair.now)
    pair.b.respond(call, 200, pair.now, b"answer")
    pair.run(40)
    assert pair.kinds(A) == [events.Rejected]
    assert pair.events[B][-1] == events.Ended(call, "peer")


def test_nobody_there_is_408_after_timer_b() -> None:
    pair = Pair(lambda number: True)
    call = pair.a.invite("sip:bob@127.0.0.1:5002", b"", pair.now)
    pair.run(33)
    assert pair.events[A] == [events.Rejected(call, 408, "no response")]


def test_missing_ack_ends_the_call() -> None:
    pair = Pair(lambda number: number > 3)
    pair.on_b = pair.answer_at_once
    call = pair.a.invite("sip:bob@127.0.0.1:5002", b"", pair.now)
    pair.run(33)
    assert events.Ended(call, "timeout") in pair.events[B]


def test_reinvite_is_offered_and_answered() -> None:
    pair = Pair()
    pair.on_b = pair.answer_at_once
    call = pair.a.invite("sip:bob@127.0.0.1:5002", b"", pair.now)
    pair.run()
    pair.a.reinvite(call, b"hold", pair.now)
    pair.run()
    assert pair.events[B][-1] == events.Reoffered(call, b"hold")
    pair.b.respond(call, 200, pair.now, b"held")
    pair.run(40)
    assert pair.events[A][-1] == events.Reanswered(call, 200, b"held")
    assert pair.events[B][-1] == events.Acknowledged(call, None)
    pair.b.reinvite(call, b"back", pair.now)
    pair.run()
    pair.a.respond(call, 488, pair.now)
    pair.run()
    assert pair.events[B][-1] == events.Reanswered(call, 488, None)


def test_requests_outside_any_call() -> None:
    agent = UserAgent(user="x", local=A, random_bytes=counter_bytes())
    head = "SIP/2.0\r\nVia: SIP/2.0/UDP h:1;branch=z9hG4bK{0}\r\nFrom: <sip:a@b>;tag=1\r\n"
    tail = "To: <sip:c@d>{1}\r\nCall-ID: {0}\r\nCSeq: 1 {2}\r\n\r\n"
    seen = []
    for number, (method, tag) in enumerate(
        [("OPTIONS", ""), ("BYE", ";tag=2"), ("INFO", ""), ("CANCEL", ""), ("INVITE", ";tag=9")]
    ):
        text = f"{method} sip:c@d {head}{tail}".format(number, tag, method)
        agent.receive(text.encode(), B, 0.0)
        seen += [message.data.split(b" ")[1].decode() for message in agent.outgoing()]
    assert seen == ["200", "481", "405", "481", "481"]
    agent.receive(f"ACK sip:c@d {head}{tail}".format(9, ";tag=1", "ACK").encode(), B, 0.0)
    agent.receive(
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=q\r\nFrom: a\r\nTo: b\r\n"
        b"Call-ID: 1\r\nCSeq: 1 BYE\r\n\r\n",
        B,
        0.0,
    )
    assert agent.wire.unexpected == 2
    assert agent.outgoing() == []


@given(st.binary(max_size=200))
def test_garbage_changes_nothing(data: bytes) -> None:
    agent = UserAgent(user="x", local=A, random_bytes=counter_bytes())
    agent.receive(data, B, 0.0)
    agent.receive(b"INVITE sip:a@b SIP/2.0\r\nVia: " + data + b"\r\n\r\n", B, 0.0)
    assert agent.next_event() is None


def test_response_tells_the_source_of_the_request() -> None:
    agent = UserAgent(user="x", local=A, random_bytes=counter_bytes())
    text = (
        "OPTIONS sip:c@d SIP/2.0\r\nVia: SIP/2.0/UDP h:1;rport;branch=z9hG4bK1\r\n"
        "Via: SIP/2.0/UDP other\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: 1\r\n"
        "CSeq: 1 OPTIONS\r\n\r\n"
    )
    agent.receive(text.encode(), ("192.0.2.1", 77), 0.0)
    (message,) = agent.outgoing()
    assert message.peer == ("192.0.2.1", 77)
    assert b"Via: SIP/2.0/UDP h:1;branch=z9hG4bK1;rport=77;received=192.0.2.1\r\n" in message.data
    assert b"Via: SIP/2.0/UDP other\r\n" in message.data
