# SPDX-License-Identifier: GPL-3.0-or-later
"""The call machine: one table for calls of both directions.

Every call has an incoming side (who calls) and an outgoing side (who is called). The rules:

1. A call is born ROUTED: both new URIs are known, and the relay has been asked to open it.
2. When the relay has opened it, the outgoing side is called: TRY. When the relay refuses, the
   incoming side gets the refusal and the call is over.
3. What the called side reports (trying, ringing) moves the state on and is told to the caller;
   ringing never falls back to trying.
4. Early media is connected first and announced to the caller after that; it may come with or
   without ringing, again and again, and counts as ringing: the callee's side was reached.
5. An answer is connected first (the relay learns the address, a MAC is made or checked): CONNECT.
   Only when that is done does the caller get its answer: ANSWER. So nobody hears "answered" before
   voice can flow, and an answer that fails its check never reaches the caller.
6. The SIP side may change its media while the call is up (hold, resume, offer in the ACK).
7. The end of either side, a refusal, lost media or an order to abort ends what is left of both
   sides and closes the media, whatever state the call is in.
8. ENDED takes everything that was already under way when the call ended; a relay that opens a
   call after its end is told to close it again.

A pair that the table lacks is a protocol error: counted, logged, without effect.
The machine does no I/O: `CallMachine.handle` gives the actions, the caller carries them out.
"""

from __future__ import annotations

from enum import Enum, auto


class State(Enum):
    """Where a call stands."""

    ROUTED = auto()
    TRY = auto()
    RING = auto()
    CONNECT = auto()
    ANSWER = auto()
    ENDED = auto()


class Event(Enum):
    """What happens to a call."""

    OPENED = auto()
    """The relay has checked or made the I_MESSAGE and reserved the ports."""
    OPEN_FAILED = auto()
    """The relay refused, or is not there."""
    TRYING = auto()
    """The called side was found (SIP 100, UMSG ``try``)."""
    RINGING = auto()
    """The called side is being alerted (SIP 180, UMSG ``growl``)."""
    PROGRESS = auto()
    """The called side offers early media (SIP 183 with SDP, ``growl`` with a codec)."""
    PROGRESS_READY = auto()
    """The relay has connected the early media."""
    ANSWERED = auto()
    """The called side accepted (SIP 200, UMSG ``talk``)."""
    CONNECTED = auto()
    """The relay has connected the answer, and its MAC is made or was right."""
    MEDIA_CHANGED = auto()
    """The SIP side has new media parameters (re-INVITE, offer answered in the ACK)."""
    IN_ENDED = auto()
    """The calling side is gone (SIP CANCEL or BYE, UMSG ``hangup``)."""
    OUT_ENDED = auto()
    """The called side is gone or refused."""
    ABORT = auto()
    """We must end it: failed media, lost relay, an operator's order, shutdown."""


class Action(Enum):
    """What is to be done; the direction of the call decides how."""

    DIAL = auto()
    RING_IN = auto()
    CONNECT_EARLY = auto()
    PROGRESS_IN = auto()
    CONNECT = auto()
    ANSWER_IN = auto()
    UPDATE_MEDIA = auto()
    END_IN = auto()
    END_OUT = auto()
    CLOSE_MEDIA = auto()
    LOG_TRYING = auto()
    LOG_RINGING = auto()
    LOG_TALK = auto()
    LOG_HANGUP = auto()


Row = tuple[State, tuple[Action, ...]]

_END_ALL = (Action.END_IN, Action.END_OUT, Action.CLOSE_MEDIA, Action.LOG_HANGUP)
_IN_GONE = (Action.END_OUT, Action.CLOSE_MEDIA, Action.LOG_HANGUP)
_OUT_GONE = (Action.END_IN, Action.CLOSE_MEDIA, Action.LOG_HANGUP)

_ENDS: dict[Event, Row] = {
    Event.IN_ENDED: (State.ENDED, _IN_GONE),
    Event.OUT_ENDED: (State.ENDED, _OUT_GONE),
    Event.ABORT: (State.ENDED, _END_ALL),
}
_EARLY: dict[Event, Row] = {
    Event.RINGING: (State.RING, (Action.LOG_RINGING, Action.RING_IN)),
    Event.PROGRESS: (State.RING, (Action.CONNECT_EARLY,)),
    Event.ANSWERED: (State.CONNECT, (Action.CONNECT,)),
}

_LATE = [event for event in Event if event is not Event.OPENED]
"""What may still be under way when a call ends, and then means nothing."""

TABLE: dict[State, dict[Event, Row]] = {
    State.ROUTED: {
        Event.OPENED: (State.TRY, (Action.DIAL,)),
        Event.OPEN_FAILED: (State.ENDED, (Action.END_IN, Action.CLOSE_MEDIA, Action.LOG_HANGUP)),
        Event.IN_ENDED: (State.ENDED, (Action.CLOSE_MEDIA, Action.LOG_HANGUP)),
        Event.ABORT: (State.ENDED, (Action.END_IN, Action.CLOSE_MEDIA, Action.LOG_HANGUP)),
    },
    State.TRY: {
        Event.TRYING: (State.TRY, (Action.LOG_TRYING,)),
        **_EARLY,
        Event.PROGRESS: (State.RING, (Action.LOG_RINGING, Action.CONNECT_EARLY)),
        **_ENDS,
    },
    State.RING: {
        Event.TRYING: (State.RING, ()),
        **_EARLY,
        Event.RINGING: (State.RING, (Action.RING_IN,)),
        Event.PROGRESS_READY: (State.RING, (Action.PROGRESS_IN,)),
        **_ENDS,
    },
    State.CONNECT: {
        Event.CONNECTED: (State.ANSWER, (Action.ANSWER_IN, Action.LOG_TALK)),
        Event.MEDIA_CHANGED: (State.CONNECT, (Action.UPDATE_MEDIA,)),
        # Sent before the answer, come after it: nothing to tell any more.
        Event.TRYING: (State.CONNECT, ()),
        Event.RINGING: (State.CONNECT, ()),
        Event.PROGRESS: (State.CONNECT, ()),
        Event.PROGRESS_READY: (State.CONNECT, ()),
        **_ENDS,
    },
    State.ANSWER: {
        Event.MEDIA_CHANGED: (State.ANSWER, (Action.UPDATE_MEDIA,)),
        Event.PROGRESS_READY: (State.ANSWER, ()),
        **_ENDS,
    },
    State.ENDED: {
        Event.OPENED: (State.ENDED, (Action.CLOSE_MEDIA,)),
        **dict.fromkeys(_LATE, (State.ENDED, ())),
    },
}
"""``TABLE[state][event]`` is the next state and the actions in order."""


class UnexpectedEvent(Exception):
    """The table has no row for this pair; the call is as it was."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"{event.name} in state {state.name}")
        self.state = state
        self.event = event


class CallMachine:
    """The state of one call."""

    def __init__(self) -> None:
        self.state = State.ROUTED

    def handle(self, event: Event) -> tuple[Action, ...]:
        """Take ``event``, move on, give the actions to carry out in order.

        Raises `UnexpectedEvent` for a pair that the table lacks.
        """
        row = TABLE[self.state].get(event)
        if row is None:
            raise UnexpectedEvent(self.state, event)
        self.state, actions = row
        return actions
