# SPDX-License-Identifier: GPL-3.0-or-later
"""One end of one call, without I/O. `call_table.py` has the rules in words and the table.

`now` is in seconds of a clock that never steps back.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from umsg.call_events import (
    CallAnswered,
    CallEnded,
    CallEvent,
    CallGrowled,
    CallTried,
    CallViolation,
    EndedBy,
)
from umsg.call_table import (
    ALERT_TIMEOUT,
    ANSWER_TIMEOUT,
    TABLES,
    TRY_TIMEOUT,
    Action,
    CallInput,
    CallRole,
    CallState,
)
from umsg.errors import ErrorCode, LocalError
from umsg.messages import Bang, Growl, Hangup, Leg, Message, Talk, Try
from umsg.reasons import Reason

__all__ = [
    "CallAnswered",
    "CallEnded",
    "CallEvent",
    "CallGrowled",
    "CallInput",
    "CallMachine",
    "CallRole",
    "CallState",
    "CallTried",
    "CallViolation",
    "EndedBy",
]

_REFUSALS = {
    ErrorCode.NOT_FOUND: Reason.NOT_FOUND,
    ErrorCode.OVERLOAD: Reason.OVERLOAD,
}


class CallMachine:
    """One end of one call. Made by `caller` or `callee`.

    Inputs are methods; results are taken with `next_event` and `messages_to_send`.
    """

    def __init__(
        self,
        role: CallRole,
        *,
        id: str,
        from_uri: str,
        to_uri: str,
        offer: Sequence[str],
        dtmf: int | None,
        now: float,
    ) -> None:
        self.role = role
        self.id = id
        self.from_uri = from_uri
        self.to_uri = to_uri
        self.offer = tuple(offer)
        self.dtmf = dtmf
        self.created_at = now
        self.state = CallState.CREATE
        self.violations = 0
        self.leg: Leg | None = None
        """Our leg at the server, once known."""
        self.answer: Talk | None = None
        """The `talk` of the call, received or sent; proved once the state is TALK."""
        self._received: dict[type[Message], Message] = {}
        self._last_sent: Message | None = None
        self._deadline: float | None = None
        self._timeout_reason = Reason.UNREACHABLE
        self._events: deque[CallEvent] = deque()
        self._outgoing: list[Message] = []

    @classmethod
    def caller(
        cls,
        *,
        id: str,
        from_uri: str,
        to_uri: str,
        offer: Sequence[str],
        dtmf: int | None,
        now: float,
    ) -> Self:
        """Make the caller's end, in CREATE; `bang` sends the call off."""
        return cls(
            CallRole.CALLER,
            id=id,
            from_uri=from_uri,
            to_uri=to_uri,
            offer=offer,
            dtmf=dtmf,
            now=now,
        )

    @classmethod
    def callee(cls, bang: Bang, now: float) -> Self:
        """Make the callee's end from the `bang` received, in BANG."""
        machine = cls(
            CallRole.CALLEE,
            id=bang.id,
            from_uri=bang.from_uri,
            to_uri=bang.to_uri,
            offer=bang.offer,
            dtmf=bang.dtmf,
            now=now,
        )
        machine.receive(bang, now)
        return machine

    def receive(self, message: Message, now: float) -> None:
        """Take a message of this call. Raises LocalError for one that is of no call."""
        input_ = _MESSAGE_INPUTS.get(type(message))
        if input_ is None or getattr(message, "id", None) != self.id:
            raise LocalError(f"{message.TYPE} is not a message of call {self.id}")
        self._handle(input_, message, now)

    def bang(self, mikey: bytes, now: float) -> None:
        """Caller: call, with the I_MESSAGE."""
        message = Bang(
            id=self.id,
            from_uri=self.from_uri,
            to_uri=self.to_uri,
            mikey=mikey,
            offer=self.offer,
            dtmf=self.dtmf,
        )
        self._handle(CallInput.BANG_OUT, message, now)

    def growl(
        self,
        now: float,
        *,
        codec: str | None = None,
        dtmf: int | None = None,
        mac: bytes | None = None,
    ) -> None:
        """Callee: tell the caller that we are alerted; with `codec` and `mac`, early media."""
        self._check_codec(codec)
        growl = Growl(id=self.id, codec=codec, dtmf=dtmf, mac=mac)
        self._handle(CallInput.GROWL_OUT, growl, now)

    def talk(self, now: float, *, codec: str, dtmf: int | None, mac: bytes) -> None:
        """Callee: answer the call."""
        self._check_codec(codec)
        talk = Talk(id=self.id, codec=codec, dtmf=dtmf, mac=mac)
        self._handle(CallInput.TALK_OUT, talk, now)

    def proved(self, now: float) -> None:
        """Caller: the `mac` of the `talk` that CallAnswered told of is right."""
        self._handle(CallInput.PROVED, None, now)

    def hang_up(self, reason: Reason, now: float, text: str | None = None) -> None:
        """End the call, in any state."""
        self._handle(CallInput.HANGUP_OUT, Hangup(id=self.id, reason=reason, text=text), now)

    def refused(self, code: ErrorCode, text: str, now: float) -> None:
        """Take an `error` that names this call; `unsupported` alone does not end it."""
        if code is not ErrorCode.UNSUPPORTED:
            reason = _REFUSALS.get(code, Reason.ERROR)
            self._handle(CallInput.REFUSED, CallEnded(reason, text, EndedBy.SERVER), now)

    def dropped(self, now: float, reason: Reason = Reason.UNREACHABLE) -> None:
        """End the call without `hangup`: the server no longer knows it, or is gone."""
        self._handle(CallInput.DROPPED, CallEnded(reason, None, EndedBy.SERVER), now)

    def resume(self) -> None:
        """Send the last message again, after a resumed connection."""
        if self._last_sent is not None and self.state is not CallState.HANGUP:
            self._outgoing.append(self._last_sent)

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` wants to be called, None if never."""
        return self._deadline

    def handle_timer(self, now: float) -> None:
        """End the call if it waited too long."""
        if self._deadline is not None and now >= self._deadline:
            self._handle(CallInput.TIMEOUT, None, now)

    def next_event(self) -> CallEvent | None:
        """Return the oldest event that has not been taken yet, or None."""
        return self._events.popleft() if self._events else None

    def messages_to_send(self) -> list[Message]:
        """Return the messages to hand to the session now, each once."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def _handle(self, input_: CallInput, argument: object, now: float) -> None:
        entry = TABLES[self.role].get((self.state, input_))
        if entry is None:
            self._violation(input_)
            return
        state, action = entry
        instead = _ACTIONS[action](self, argument, now)
        self.state = instead or state
        if self.state is CallState.HANGUP:
            self._deadline = None

    def _violation(self, input_: CallInput) -> CallState:
        self.violations += 1
        self._events.append(CallViolation(self.state, input_))
        return self.state

    def _check_codec(self, codec: str | None) -> None:
        if codec is not None and codec not in self.offer:
            raise LocalError(f"codec {codec} was not offered")

    def _arm(self, seconds: float, reason: Reason, now: float) -> None:
        self._deadline = now + seconds
        self._timeout_reason = reason

    def _send(self, message: Message) -> None:
        self._outgoing.append(message)
        self._last_sent = message

    def _repeated(self, message: Message) -> bool:
        """Note a message; return whether it equals the last one of its type."""
        before = self._received.get(type(message))
        self._received[type(message)] = message
        return before == message

    # The actions of the table. One returns a state only where it is not the table's.

    def _ignore(self, argument: object, now: float) -> CallState | None:
        return None

    def _duplicate(self, message: Message, now: float) -> CallState | None:
        if self._received.get(type(message)) != message:
            return self._violation(_MESSAGE_INPUTS[type(message)])
        return None

    def _start(self, bang: Bang, now: float) -> CallState | None:
        self._send(bang)
        self._arm(TRY_TIMEOUT, Reason.UNREACHABLE, now)
        return None

    def _begin(self, bang: Bang, now: float) -> CallState | None:
        self._received[Bang] = bang
        self.leg = bang.leg
        self._arm(ALERT_TIMEOUT, Reason.UNREACHABLE, now)
        return None

    def _tried(self, message: Try, now: float) -> CallState | None:
        if self.leg is not None:
            return self._duplicate(message, now)
        self._received[Try] = message
        self.leg = message.leg
        self._events.append(CallTried(message.leg))
        if self.state is CallState.BANG:
            self._arm(ALERT_TIMEOUT, Reason.UNREACHABLE, now)
        return None

    def _growled(self, message: Growl, now: float) -> CallState | None:
        if self._repeated(message):
            return None
        if message.codec is not None and (fault := self._fault(message.codec, message.mac)):
            return self._break_off(fault)
        if self.state is CallState.BANG:
            self._arm(ANSWER_TIMEOUT, Reason.NO_ANSWER, now)
        self._events.append(CallGrowled(message.codec, message.dtmf, message.mac))
        return None

    def _answered(self, message: Talk, now: float) -> CallState | None:
        if self.answer is not None:
            return self._duplicate(message, now)
        if fault := self._fault(message.codec, message.mac):
            return self._break_off(fault)
        assert message.mac is not None
        self._received[Talk] = self.answer = message
        self._events.append(CallAnswered(message.codec, message.dtmf, message.mac))
        return None

    def _fault(self, codec: str, mac: bytes | None) -> Reason | None:
        if mac is None:
            return Reason.CRYPTO
        return None if codec in self.offer else Reason.ERROR

    def _confirm(self, argument: object, now: float) -> CallState | None:
        if self.answer is None:
            return self._violation(CallInput.PROVED)
        self._deadline = None
        return None

    def _alert(self, message: Growl, now: float) -> CallState | None:
        self._send(message)
        if self.state is CallState.BANG:
            self._arm(ANSWER_TIMEOUT, Reason.NO_ANSWER, now)
        return None

    def _accept(self, message: Talk, now: float) -> CallState | None:
        self._send(message)
        self.answer = message
        self._deadline = None
        return None

    def _peer_ends(self, message: Hangup, now: float) -> CallState | None:
        self._events.append(CallEnded(message.reason, message.text, EndedBy.PEER))
        return None

    def _we_end(self, message: Hangup, now: float) -> CallState | None:
        if self.state is not CallState.CREATE:  # until then the peer knows of no call
            self._send(message)
        self._events.append(CallEnded(message.reason, message.text, EndedBy.US))
        return None

    def _break_off(self, reason: Reason) -> CallState:
        self._send(Hangup(id=self.id, reason=reason))
        self._events.append(CallEnded(reason, None, EndedBy.US))
        return CallState.HANGUP

    def _time_out(self, argument: object, now: float) -> CallState | None:
        self._send(Hangup(id=self.id, reason=self._timeout_reason))
        self._events.append(CallEnded(self._timeout_reason, None, EndedBy.TIMER))
        return None

    def _server_ends(self, event: CallEnded, now: float) -> CallState | None:
        self._events.append(event)
        return None


_MESSAGE_INPUTS: Mapping[type[Message], CallInput] = {
    Bang: CallInput.BANG_IN,
    Try: CallInput.TRY_IN,
    Growl: CallInput.GROWL_IN,
    Talk: CallInput.TALK_IN,
    Hangup: CallInput.HANGUP_IN,
}

_ACTIONS: Mapping[Action, Callable[[CallMachine, Any, float], CallState | None]] = {
    Action.IGNORE: CallMachine._ignore,
    Action.DUPLICATE: CallMachine._duplicate,
    Action.START: CallMachine._start,
    Action.BEGIN: CallMachine._begin,
    Action.TRIED: CallMachine._tried,
    Action.GROWLED: CallMachine._growled,
    Action.ANSWERED: CallMachine._answered,
    Action.CONFIRM: CallMachine._confirm,
    Action.ALERT: CallMachine._alert,
    Action.ACCEPT: CallMachine._accept,
    Action.WE_END: CallMachine._we_end,
    Action.PEER_ENDS: CallMachine._peer_ends,
    Action.SERVER_ENDS: CallMachine._server_ends,
    Action.TIME_OUT: CallMachine._time_out,
}
