# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls that the CRS knows, and how their messages are routed. No I/O, no clock.

The rules:
- A `bang` opens a call between the sender and the URI before the `;` of `to`. A `from` that
  is not the sender's own, a `leg`, or an id in use is refused with `error forbidden`.
- Every other message is taken from the two parties of its call only: `growl` and `talk`
  from the callee, `hangup` from both. `hangup` for an unknown id is ignored.
- What is handed on is built anew; of a call only the bang, the caller's `try` and the
  callee's last message are kept, to be sent again after `resume`.
"""

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, replace

from cig_lab.crs.forwarder import Forwarder
from cig_lab.crs.stats import CrsStats
from umsg.errors import ErrorCode
from umsg.messages import (
    Alive,
    Bang,
    ErrorMessage,
    Growl,
    Hangup,
    Message,
    Talk,
    Try,
)
from umsg.reasons import Reason

MAX_CALLS = 10_000

Delivery = tuple[str, Message]
"""The URI (without extension) to send to, and the message."""
Tamper = Callable[[Message], Message]
"""A dishonest server for tests: may alter a bang, growl or talk that is handed on."""


def bare(uri: str) -> str:
    """Return a tel URI without its extension."""
    return uri.partition(";")[0]


@dataclass(slots=True)
class _Call:
    received: Bang
    caller: str
    callee: str
    bang: Bang
    """As handed to the callee, with its leg."""
    attempt: Try
    answer: Growl | Talk | None = None

    def other(self, uri: str) -> str:
        return self.callee if uri == self.caller else self.caller


class CallBook:
    """All calls of a CRS."""

    def __init__(
        self, *, forwarder: Forwarder, stats: CrsStats, tamper: Tamper | None = None
    ) -> None:
        self._forwarder = forwarder
        self._stats = stats
        self._tamper: Tamper = tamper or (lambda message: message)
        self._calls: dict[str, _Call] = {}
        self._by_uri: dict[str, set[str]] = {}

    def ids_of(self, uri: str) -> frozenset[str]:
        """Return the ids of the calls that a URI is a party of."""
        return frozenset(self._by_uri.get(uri, ()))

    def receive(
        self, uri: str, message: Message, *, online: Container[str], known: Container[str]
    ) -> list[Delivery]:
        """Route a message that the client of `uri` sent; return what to send to whom."""
        match message:
            case Bang():
                return self._bang(uri, message, online, known)
            case Growl() | Talk():
                return self._answer(uri, message)
            case Hangup():
                return self._hangup(uri, message)
        return self._forbid(uri, None, f"{message.TYPE} is not a client's")

    def spoilt(self, uri: str, call_id: str) -> list[Delivery]:
        """End the call that a bad message of one of its parties named."""
        call = self._calls.get(call_id)
        if call is None or uri not in (call.caller, call.callee):
            return []
        hangup = Hangup(id=call_id, reason=Reason.ERROR, text="a message could not be read")
        self._forget(call_id)
        return [(call.caller, hangup), (call.callee, hangup)]

    def resume(self, uri: str, ids: Iterable[str]) -> list[Delivery]:
        """Answer a `resume`: what stands, and for each of those what was sent last."""
        alive = [id_ for id_ in ids if id_ in self.ids_of(uri)]
        out: list[Delivery] = [(uri, Alive(ids=tuple(alive)))]
        for id_ in alive:
            call = self._calls[id_]
            if uri == call.callee:
                out.append((uri, call.bang))
            else:
                out.append((uri, call.attempt))
                if call.answer is not None:
                    out.append((uri, call.answer))
        return out

    def abandon(self, uri: str, ids: Iterable[str]) -> list[Delivery]:
        """End those calls of a URI that it no longer holds; the other parties are told."""
        out: list[Delivery] = []
        for id_ in self.ids_of(uri).intersection(ids):
            other = self._calls[id_].other(uri)
            self._forget(id_)
            out.append((other, Hangup(id=id_, reason=Reason.UNREACHABLE, text="peer is gone")))
        return out

    def _bang(
        self, uri: str, bang: Bang, online: Container[str], known: Container[str]
    ) -> list[Delivery]:
        if bang.leg is not None:
            return self._forbid(uri, bang.id, "a client does not choose legs")
        if bare(bang.from_uri) != uri:
            return self._forbid(uri, bang.id, "from is not your own")
        standing = self._calls.get(bang.id)
        if standing is not None:
            if standing.received == bang:  # sent again after a resumed connection
                return [(uri, standing.attempt)]
            return self._forbid(uri, bang.id, "id in use")
        callee = bare(bang.to_uri)
        reason: Reason | None = None
        if callee not in known:
            reason = Reason.NOT_FOUND
        elif callee not in online or callee == uri:
            reason = Reason.UNREACHABLE
        elif len(self._calls) >= MAX_CALLS:
            reason = Reason.OVERLOAD
        if reason is not None:
            return [(uri, Hangup(id=bang.id, reason=reason))]
        return self._open(uri, callee, bang)

    def _open(self, caller: str, callee: str, bang: Bang) -> list[Delivery]:
        caller_leg, callee_leg = self._forwarder.open(bang.id)
        call = _Call(
            received=bang,
            caller=caller,
            callee=callee,
            bang=replace(bang, leg=callee_leg),
            attempt=Try(id=bang.id, leg=caller_leg),
        )
        altered = self._tamper(call.bang)
        if isinstance(altered, Bang):
            call.bang = altered
        self._calls[bang.id] = call
        for uri in (caller, callee):
            self._by_uri.setdefault(uri, set()).add(bang.id)
        self._stats.calls += 1
        self._stats.calls_now = len(self._calls)
        return [(callee, call.bang), (caller, call.attempt)]

    def _answer(self, uri: str, message: Growl | Talk) -> list[Delivery]:
        call = self._calls.get(message.id)
        if call is None:
            error = ErrorMessage(code=ErrorCode.NOT_FOUND, text="no such call", id=message.id)
            return [(uri, error)]
        if uri != call.callee:
            return self._forbid(uri, message.id, f"{message.TYPE} is the callee's")
        altered = self._tamper(message)
        call.answer = altered if isinstance(altered, Growl | Talk) else message
        return [(call.caller, call.answer)]

    def _hangup(self, uri: str, message: Hangup) -> list[Delivery]:
        call = self._calls.get(message.id)
        if call is None:
            return []
        if uri not in (call.caller, call.callee):
            return self._forbid(uri, message.id, "not your call")
        self._forget(message.id)
        return [(call.other(uri), message)]

    def _forbid(self, uri: str, id_: str | None, text: str) -> list[Delivery]:
        self._stats.forbidden += 1
        return [(uri, ErrorMessage(code=ErrorCode.FORBIDDEN, text=text, id=id_))]

    def _forget(self, call_id: str) -> None:
        call = self._calls.pop(call_id)
        for uri in (call.caller, call.callee):
            ids = self._by_uri[uri]
            ids.discard(call_id)
            if not ids:
                del self._by_uri[uri]
        self._forwarder.close(call_id)
        self._stats.calls_now = len(self._calls)
