# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP transactions as tables (RFC 3261 section 17, with the ACCEPTED states of RFC 6026).

The rules in words:

- A client repeats its request over UDP until a response comes (timers A and E), and gives up after
  64*T1 (B and F).
- An INVITE client acknowledges every final failure itself, again for each repetition until D.
  After a 2xx it stays for M, so that repeated 2xx reach the user, who acknowledges each.
- An INVITE server repeats a final failure (G) until the ACK or H, then waits out I. It repeats a
  2xx too (section 13.3.1.4) until the ACK or L; that ACK is found by its dialog, not by its branch.
- Other servers answer a repeated request with the response they gave, until J; K is the client's
  counterpart.
- A timer runs in the states that `TIMERS` names it for; one that two neighbouring states share is
  not started anew.

A pair that a table lacks is a protocol error of the peer: counted, and nothing happens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto

from cig_lab.sip_phone.address import Destination
from cig_lab.sip_phone.message import Request
from cig_lab.sip_phone.timers import TimerValues


class State(StrEnum):
    """States of all four machines."""

    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    ACCEPTED = "accepted"
    ACKNOWLEDGED = "acknowledged"
    TERMINATED = "terminated"


class Event(StrEnum):
    """What happens to a transaction; for a server the first three are responses that we send."""

    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    FAILURE = "300-699"
    REQUEST = "request"
    ACK = "ack"
    A = "timer A"
    B = "timer B"
    D = "timer D"
    E = "timer E"
    F = "timer F"
    G = "timer G"
    H = "timer H"
    I = "timer I"  # noqa: E741 - the RFC's own name
    J = "timer J"
    K = "timer K"
    L = "timer L"
    M = "timer M"
    REPEAT_2XX = "timer 2xx"


class Action(Enum):
    """What the user of a transaction has to do."""

    SEND = auto()
    """Send the message that was given, and keep it for repetitions."""
    RESEND = auto()
    PASS = auto()
    """Give the response to the transaction user."""
    ACKNOWLEDGE = auto()
    TIMEOUT = auto()


class Kind(StrEnum):
    """Which of the four machines."""

    INVITE_CLIENT = "invite client"
    CLIENT = "client"
    INVITE_SERVER = "invite server"
    SERVER = "server"


Table = dict[tuple[State, Event], tuple[State, tuple[Action, ...]]]
_S, _E, _A = State, Event, Action

TABLES: dict[Kind, Table] = {
    Kind.INVITE_CLIENT: {
        (_S.CALLING, _E.A): (_S.CALLING, (_A.RESEND,)),
        (_S.CALLING, _E.B): (_S.TERMINATED, (_A.TIMEOUT,)),
        (_S.CALLING, _E.PROVISIONAL): (_S.PROCEEDING, (_A.PASS,)),
        (_S.CALLING, _E.SUCCESS): (_S.ACCEPTED, (_A.PASS,)),
        (_S.CALLING, _E.FAILURE): (_S.COMPLETED, (_A.ACKNOWLEDGE, _A.PASS)),
        (_S.PROCEEDING, _E.PROVISIONAL): (_S.PROCEEDING, (_A.PASS,)),
        (_S.PROCEEDING, _E.SUCCESS): (_S.ACCEPTED, (_A.PASS,)),
        (_S.PROCEEDING, _E.FAILURE): (_S.COMPLETED, (_A.ACKNOWLEDGE, _A.PASS)),
        (_S.COMPLETED, _E.FAILURE): (_S.COMPLETED, (_A.ACKNOWLEDGE,)),
        (_S.COMPLETED, _E.D): (_S.TERMINATED, ()),
        (_S.ACCEPTED, _E.SUCCESS): (_S.ACCEPTED, (_A.PASS,)),
        (_S.ACCEPTED, _E.PROVISIONAL): (_S.ACCEPTED, ()),
        (_S.ACCEPTED, _E.M): (_S.TERMINATED, ()),
    },
    Kind.CLIENT: {
        (_S.TRYING, _E.E): (_S.TRYING, (_A.RESEND,)),
        (_S.TRYING, _E.F): (_S.TERMINATED, (_A.TIMEOUT,)),
        (_S.TRYING, _E.PROVISIONAL): (_S.PROCEEDING, (_A.PASS,)),
        (_S.TRYING, _E.SUCCESS): (_S.COMPLETED, (_A.PASS,)),
        (_S.TRYING, _E.FAILURE): (_S.COMPLETED, (_A.PASS,)),
        (_S.PROCEEDING, _E.E): (_S.PROCEEDING, (_A.RESEND,)),
        (_S.PROCEEDING, _E.F): (_S.TERMINATED, (_A.TIMEOUT,)),
        (_S.PROCEEDING, _E.PROVISIONAL): (_S.PROCEEDING, (_A.PASS,)),
        (_S.PROCEEDING, _E.SUCCESS): (_S.COMPLETED, (_A.PASS,)),
        (_S.PROCEEDING, _E.FAILURE): (_S.COMPLETED, (_A.PASS,)),
        (_S.COMPLETED, _E.SUCCESS): (_S.COMPLETED, ()),
        (_S.COMPLETED, _E.FAILURE): (_S.COMPLETED, ()),
        (_S.COMPLETED, _E.K): (_S.TERMINATED, ()),
    },
    Kind.INVITE_SERVER: {
        (_S.PROCEEDING, _E.REQUEST): (_S.PROCEEDING, (_A.RESEND,)),
        (_S.PROCEEDING, _E.PROVISIONAL): (_S.PROCEEDING, (_A.SEND,)),
        (_S.PROCEEDING, _E.SUCCESS): (_S.ACCEPTED, (_A.SEND,)),
        (_S.PROCEEDING, _E.FAILURE): (_S.COMPLETED, (_A.SEND,)),
        (_S.COMPLETED, _E.REQUEST): (_S.COMPLETED, (_A.RESEND,)),
        (_S.COMPLETED, _E.G): (_S.COMPLETED, (_A.RESEND,)),
        (_S.COMPLETED, _E.H): (_S.TERMINATED, (_A.TIMEOUT,)),
        (_S.COMPLETED, _E.ACK): (_S.CONFIRMED, ()),
        (_S.CONFIRMED, _E.ACK): (_S.CONFIRMED, ()),
        (_S.CONFIRMED, _E.I): (_S.TERMINATED, ()),
        (_S.ACCEPTED, _E.REQUEST): (_S.ACCEPTED, ()),
        (_S.ACCEPTED, _E.REPEAT_2XX): (_S.ACCEPTED, (_A.RESEND,)),
        (_S.ACCEPTED, _E.ACK): (_S.ACKNOWLEDGED, ()),
        (_S.ACCEPTED, _E.L): (_S.TERMINATED, (_A.TIMEOUT,)),
        (_S.ACKNOWLEDGED, _E.ACK): (_S.ACKNOWLEDGED, ()),
        (_S.ACKNOWLEDGED, _E.REQUEST): (_S.ACKNOWLEDGED, ()),
        (_S.ACKNOWLEDGED, _E.L): (_S.TERMINATED, ()),
    },
    Kind.SERVER: {
        (_S.TRYING, _E.REQUEST): (_S.TRYING, ()),
        (_S.TRYING, _E.PROVISIONAL): (_S.PROCEEDING, (_A.SEND,)),
        (_S.TRYING, _E.SUCCESS): (_S.COMPLETED, (_A.SEND,)),
        (_S.TRYING, _E.FAILURE): (_S.COMPLETED, (_A.SEND,)),
        (_S.PROCEEDING, _E.REQUEST): (_S.PROCEEDING, (_A.RESEND,)),
        (_S.PROCEEDING, _E.PROVISIONAL): (_S.PROCEEDING, (_A.SEND,)),
        (_S.PROCEEDING, _E.SUCCESS): (_S.COMPLETED, (_A.SEND,)),
        (_S.PROCEEDING, _E.FAILURE): (_S.COMPLETED, (_A.SEND,)),
        (_S.COMPLETED, _E.REQUEST): (_S.COMPLETED, (_A.RESEND,)),
        (_S.COMPLETED, _E.J): (_S.TERMINATED, ()),
    },
}
"""Next state and actions for each expected pair of every machine."""

TIMERS: dict[tuple[Kind, State], tuple[Event, ...]] = {
    (Kind.INVITE_CLIENT, State.CALLING): (Event.A, Event.B),
    (Kind.INVITE_CLIENT, State.COMPLETED): (Event.D,),
    (Kind.INVITE_CLIENT, State.ACCEPTED): (Event.M,),
    (Kind.CLIENT, State.TRYING): (Event.E, Event.F),
    (Kind.CLIENT, State.PROCEEDING): (Event.E, Event.F),
    (Kind.CLIENT, State.COMPLETED): (Event.K,),
    (Kind.INVITE_SERVER, State.COMPLETED): (Event.G, Event.H),
    (Kind.INVITE_SERVER, State.CONFIRMED): (Event.I,),
    (Kind.INVITE_SERVER, State.ACCEPTED): (Event.REPEAT_2XX, Event.L),
    (Kind.INVITE_SERVER, State.ACKNOWLEDGED): (Event.L,),
    (Kind.SERVER, State.COMPLETED): (Event.J,),
}
"""Which timers run in which state."""

FIRST_STATE = {
    Kind.INVITE_CLIENT: State.CALLING,
    Kind.CLIENT: State.TRYING,
    Kind.INVITE_SERVER: State.PROCEEDING,
    Kind.SERVER: State.TRYING,
}

_REPEATING = {Event.A, Event.E, Event.G, Event.REPEAT_2XX}
_UDP_ONLY = {Event.A, Event.E, Event.G}
# Over TCP these only cleaned up after repetitions, which TCP does not have.
_ZERO_ON_TCP = {Event.D, Event.I, Event.J, Event.K}


@dataclass(slots=True)
class Transaction:
    """One transaction. ``request`` began it, ``message`` is what is sent again."""

    kind: Kind
    request: Request
    peer: Destination
    reliable: bool
    values: TimerValues
    message: bytes = b""
    state: State = field(init=False)
    _timers: dict[Event, float] = field(default_factory=dict)
    _interval: dict[Event, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state = FIRST_STATE[self.kind]

    def begin(self, now: float) -> None:
        """Start the first state's timers."""
        self._arm(now)

    def feed(self, event: Event, now: float) -> tuple[Action, ...] | None:
        """Take an event, give what to do; None: the table lacks this pair."""
        step = TABLES[self.kind].get((self.state, event))
        if step is None:
            return None
        changed = step[0] is not self.state
        self.state = step[0]
        if changed:
            self._arm(now)
        elif event in _REPEATING:
            self._repeat(event, now)
        return step[1]

    def _arm(self, now: float) -> None:
        wanted = TIMERS.get((self.kind, self.state), ())
        self._timers = {timer: at for timer, at in self._timers.items() if timer in wanted}
        for timer in wanted:
            if timer not in self._timers and not (self.reliable and timer in _UDP_ONLY):
                self._interval[timer] = self._duration(timer)
                self._timers[timer] = now + self._interval[timer]

    def _duration(self, timer: Event) -> float:
        if timer in _REPEATING:
            return self.values.t1
        if self.reliable and timer in _ZERO_ON_TCP:
            return 0.0
        if timer is Event.D:
            return self.values.d
        return self.values.t4 if timer in (Event.I, Event.K) else self.values.long

    def _repeat(self, timer: Event, now: float) -> None:
        interval = self._interval[timer] * 2
        if timer is not Event.A:
            interval = min(interval, self.values.t2)
        if timer is Event.E and self.state is State.PROCEEDING:
            interval = self.values.t2
        self._interval[timer] = interval
        self._timers[timer] = now + interval

    def deadline(self) -> float | None:
        """When the next timer fires."""
        return min(self._timers.values(), default=None)

    def due(self, now: float) -> Event | None:
        """Take the earliest timer that is due off the clock and give it; None when none is."""
        timer = min(self._timers, key=lambda name: self._timers[name], default=None)
        if timer is None or self._timers[timer] > now:
            return None
        del self._timers[timer]
        return timer
