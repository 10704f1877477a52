# SPDX-License-Identifier: GPL-3.0-or-later
"""The SIP user agent of the phone, sans-IO: octets, times and wishes in; octets and events out.

The rules in words: a call of ours is CALLING until a 2xx makes it UP; a call that comes in is
RINGING until our 2xx makes it UP. CANCEL and BYE make it ENDED at once for the user, while the
transactions run out by themselves; a 2xx that crosses our CANCEL is acknowledged and ended by BYE.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from cig_lab.sip_phone import events
from cig_lab.sip_phone.address import Destination, NameAddr, destination, host_port
from cig_lab.sip_phone.dialog import Dialog
from cig_lab.sip_phone.message import Headers, Request, Response, SipError
from cig_lab.sip_phone.texting import Texting
from cig_lab.sip_phone.timers import TimerValues
from cig_lab.sip_phone.transaction import Action, Event, State, Transaction
from cig_lab.sip_phone.wire import ALLOW, Outgoing, Wire, event_of

_SDP: Headers = (("Content-Type", "application/sdp"),)


class CallState(StrEnum):
    """States of a call as the phone's user sees it."""

    CALLING = "calling"
    RINGING = "ringing"
    UP = "up"
    ENDED = "ended"


class CallError(Exception):
    """A wish that does not fit the call's state; ``state`` is that state, None for no such call."""

    def __init__(self, wish: str, state: CallState | None) -> None:
        super().__init__(f"cannot {wish} a call that is {state or 'unknown'}")
        self.state = state


@dataclass(slots=True)
class _Call:
    state: CallState
    tag: str
    dialog: Dialog | None
    invite: Transaction
    peer: Destination
    reinvite: Transaction | None = None
    ack: tuple[int, bytes] | None = None
    provisional: bool = False
    cancel_wanted: bool = False
    acknowledged: int = -1


class UserAgent:
    """A SIP user with one address. Everything it wants sent is in `outgoing`."""

    def __init__(
        self,
        *,
        user: str,
        local: Destination,
        random_bytes: Callable[[int], bytes],
        domain: str | None = None,
        transport: str = "UDP",
        values: TimerValues | None = None,
    ) -> None:
        self.wire = Wire(
            local=local,
            transport=transport,
            random_bytes=random_bytes,
            values=values or TimerValues(),
        )
        self.identity = f"sip:{user}@{domain or host_port(local)}"
        self.texting = Texting(self.wire, user, self.identity)
        suffix = ";transport=tcp" if transport == "TCP" else ""
        self._contact: Headers = (
            ("Contact", f"<sip:{user}@{host_port(local)}{suffix}>"),
            ("Allow", ALLOW),
        )
        self._calls: dict[str, _Call] = {}
        self._events: deque[events.SipEvent] = deque()

    # --- what goes out ---------------------------------------------------------------------

    def outgoing(self) -> list[Outgoing]:
        """Take the messages that are to be sent now."""
        return self.wire.pop()

    def next_event(self) -> events.SipEvent | None:
        """Take the next event, None when there is none."""
        return self._events.popleft() if self._events else None

    def next_deadline(self) -> float | None:
        """When `handle_timer` must be called, None for never."""
        return self.wire.deadline()

    # --- wishes of the user ----------------------------------------------------------------

    def invite(self, uri: str, sdp: bytes, now: float, peer: Destination | None = None) -> str:
        """Call ``uri`` through ``peer`` (default: where the URI leads); give the call's name."""
        call_id = f"{self.wire.token()}@{self.wire.local[0]}"
        tag = self.wire.token()
        headers: Headers = (
            ("Via", self.wire.via()),
            ("Max-Forwards", "70"),
            ("From", f"<{self.identity}>;tag={tag}"),
            ("To", f"<{uri}>"),
            ("Call-ID", call_id),
            ("CSeq", "1 INVITE"),
            *self._contact,
            *_SDP,
        )
        request = Request(headers, sdp, method="INVITE", uri=uri)
        hop = peer or destination(uri)
        transaction = self.wire.request(request, hop, now)
        self._calls[call_id] = _Call(CallState.CALLING, tag, None, transaction, hop)
        return call_id

    def respond(self, call: str, status: int, now: float, sdp: bytes = b"") -> None:
        """Answer the INVITE or re-INVITE that waits; raises CallError."""
        entry = self._calls.get(call)
        waiting = entry and (entry.reinvite or entry.invite)
        if entry is None or waiting is None or waiting.state is not State.PROCEEDING:
            raise CallError("answer", entry.state if entry else None)
        extra = self._contact + (_SDP if sdp else ())
        self.wire.reply(waiting, status, now, tag=entry.tag, extra=extra, body=sdp)
        if entry.reinvite is not None:
            return
        if 200 <= status < 300:
            entry.state = CallState.UP
        elif status >= 300:
            entry.state = CallState.ENDED

    def hangup(self, call: str, now: float) -> None:
        """End a call in whatever state: CANCEL, 486 or BYE; raises CallError when it is over."""
        entry = self._calls.get(call)
        if entry is None or entry.state is CallState.ENDED:
            raise CallError("end", entry.state if entry else None)
        if entry.state is CallState.RINGING:
            self.respond(call, 486, now)
        elif entry.state is CallState.UP:
            self._bye(entry, now)
        elif not entry.cancel_wanted:
            # No CANCEL before a provisional response (section 9.1).
            entry.cancel_wanted = True
            if entry.provisional:
                self._cancel(entry, now)

    def reinvite(self, call: str, sdp: bytes, now: float) -> None:
        """Offer other media in a running call (section 14.1); raises CallError."""
        entry = self._calls.get(call)
        if entry is None or entry.state is not CallState.UP or entry.dialog is None:
            raise CallError("change", entry.state if entry else None)
        request = entry.dialog.request("INVITE", self.wire.via(), self._contact + _SDP, sdp)
        self.wire.request(request, self._hop(entry), now)

    def _hop(self, entry: _Call) -> Destination:
        # A TCP connection is kept; over UDP the dialog says where its requests go.
        if self.wire.reliable or entry.dialog is None:
            return entry.peer
        return entry.dialog.next_hop()

    def _cancel(self, entry: _Call, now: float) -> None:
        invite = entry.invite.request
        names = ("Via", "Max-Forwards", "From", "To", "Call-ID", "Route")
        headers = tuple((name, value) for name, value in invite.headers if name in names)
        cancel = Request(
            (*headers, ("CSeq", f"{invite.cseq[0]} CANCEL")), method="CANCEL", uri=invite.uri
        )
        self.wire.request(cancel, entry.invite.peer, now)

    def _bye(self, entry: _Call, now: float) -> None:
        entry.state = CallState.ENDED
        if entry.dialog is not None:
            self.wire.request(entry.dialog.request("BYE", self.wire.via()), self._hop(entry), now)

    # --- what comes in ---------------------------------------------------------------------

    def receive(self, data: bytes, source: Destination, now: float) -> None:
        """Take one message from the wire; what is wrong with it is counted."""
        message = self.wire.read(data)
        try:
            if isinstance(message, Request):
                self._request(message, source, now)
            elif isinstance(message, Response):
                self._response(message, now)
        except SipError:
            self.wire.malformed += 1

    def handle_timer(self, now: float) -> None:
        """Let the timers that are due fire."""
        for transaction in self.wire.timeouts(now):
            if transaction.request.method == "MESSAGE":
                self._events.append(self.texting.timed_out(transaction))
                continue
            call = transaction.request.need("Call-ID")
            entry = self._calls.get(call)
            if entry is None or entry.state is CallState.ENDED:
                continue
            if transaction is entry.invite and entry.state is CallState.CALLING:
                entry.state = CallState.ENDED
                self._events.append(events.Rejected(call, 408, "no response"))
            elif transaction in (entry.invite, entry.reinvite):
                self._bye(entry, now)
                self._events.append(events.Ended(call, "timeout"))
        for call, entry in list(self._calls.items()):
            if entry.state is CallState.ENDED and entry.invite.state is State.TERMINATED:
                del self._calls[call]

    def _request(self, request: Request, source: Destination, now: float) -> None:
        call = request.need("Call-ID")
        entry = self._calls.get(call)
        if request.method == "ACK" and not self._closes_failure(request, now, source):
            self._ack(call, entry, request, now)
            return
        if request.method == "ACK":
            return
        transaction = self.wire.serve(request, source, now)
        if transaction is None:
            return
        known = entry is not None and self._in_dialog(entry, request)
        if request.method == "OPTIONS":
            self.wire.reply(transaction, 200, now, extra=self._contact)
        elif request.method == "CANCEL":
            self._got_cancel(transaction, now)
        elif request.method == "MESSAGE":
            self._report(self.texting.received(transaction, now))
        elif request.method not in ("INVITE", "BYE"):
            self.wire.reply(transaction, 405, now, extra=(("Allow", ALLOW),))
        elif request.method == "INVITE" and NameAddr.parse(request.need("To")).tag is None:
            self._got_invite(call, transaction, source, now)
        elif entry is None or not known or entry.state is CallState.ENDED:
            self.wire.reply(transaction, 481, now)
        elif request.method == "BYE":
            self.wire.reply(transaction, 200, now)
            self._end_by_peer(call, entry, now)
        else:
            self._got_reinvite(call, entry, transaction, now)

    def _report(self, event: events.SipEvent | None) -> None:
        if event is not None:
            self._events.append(event)

    def _closes_failure(self, ack: Request, now: float, source: Destination) -> bool:
        if not self.wire.knows(ack):
            return False
        self.wire.serve(ack, source, now)
        return True

    def _in_dialog(self, entry: _Call, request: Request) -> bool:
        to_tag = NameAddr.parse(request.need("To")).tag
        from_tag = NameAddr.parse(request.need("From")).tag or ""
        dialog = entry.dialog
        return dialog is not None and (to_tag, from_tag) == (dialog.local_tag, dialog.remote_tag)

    def _got_invite(
        self, call: str, transaction: Transaction, source: Destination, now: float
    ) -> None:
        request = transaction.request
        if call in self._calls:
            # The same call by another way (section 8.2.2.2).
            self.wire.reply(transaction, 482, now)
            return
        tag = self.wire.token()
        dialog = Dialog.of_server(request, tag)
        self._calls[call] = _Call(CallState.RINGING, tag, dialog, transaction, source)
        sender = NameAddr.parse(request.need("From")).uri
        self._events.append(events.Incoming(call, sender, request.uri, request.body or None))

    def _got_reinvite(self, call: str, entry: _Call, transaction: Transaction, now: float) -> None:
        dialog = entry.dialog
        if dialog is None or entry.state is not CallState.UP:
            self.wire.reply(transaction, 491, now)
            return
        if transaction.request.cseq[0] <= dialog.remote_cseq:
            self.wire.reply(transaction, 500, now)
            return
        dialog.remote_cseq = transaction.request.cseq[0]
        self._refresh_target(dialog, transaction.request)
        entry.reinvite = transaction
        self._events.append(events.Reoffered(call, transaction.request.body or None))

    def _refresh_target(self, dialog: Dialog, message: Request | Response) -> None:
        contact = message.all("Contact")
        if contact:
            dialog.target = NameAddr.parse(contact[0]).uri

    def _got_cancel(self, transaction: Transaction, now: float) -> None:
        invite = self.wire.cancelled(transaction.request)
        if invite is None:
            self.wire.reply(transaction, 481, now)
            return
        self.wire.reply(transaction, 200, now)
        call = invite.request.need("Call-ID")
        entry = self._calls.get(call)
        if entry is not None and entry.state is CallState.RINGING and invite is entry.invite:
            self.respond(call, 487, now)
            self._events.append(events.Ended(call, "cancel"))

    def _end_by_peer(self, call: str, entry: _Call, now: float) -> None:
        if entry.state is CallState.RINGING:
            self.respond(call, 487, now)
        entry.state = CallState.ENDED
        self._events.append(events.Ended(call, "peer"))

    def _ack(self, call: str, entry: _Call | None, request: Request, now: float) -> None:
        if entry is None or not self._in_dialog(entry, request):
            self.wire.unexpected += 1
            return
        for transaction in (entry.reinvite, entry.invite):
            if transaction is not None and transaction.request.cseq[0] == request.cseq[0]:
                self.wire.perform(transaction, Event.ACK, now)
        if request.cseq[0] > entry.acknowledged:
            entry.acknowledged = request.cseq[0]
            self._events.append(events.Acknowledged(call, request.body or None))

    def _response(self, response: Response, now: float) -> None:
        transaction = self.wire.client_of(response)
        if transaction is None:
            self.wire.unexpected += 1
            return
        actions = self.wire.perform(transaction, event_of(response.status), now, response)
        if Action.PASS in actions and transaction.request.method == "MESSAGE":
            self._report(self.texting.responded(response))
        call = response.need("Call-ID")
        entry = self._calls.get(call)
        if Action.PASS not in actions or entry is None or transaction.request.method != "INVITE":
            return
        if transaction is entry.invite:
            self._invite_response(call, entry, response, now)
        elif response.status >= 200:
            self._reinvite_response(call, entry, response)

    def _invite_response(self, call: str, entry: _Call, response: Response, now: float) -> None:
        if response.status < 200:
            self._provisional(call, entry, response, now)
        elif response.status < 300:
            self._success(call, entry, response, now)
        elif entry.state is CallState.CALLING:
            entry.state = CallState.ENDED
            self._events.append(events.Rejected(call, response.status, response.reason))

    def _provisional(self, call: str, entry: _Call, response: Response, now: float) -> None:
        if not entry.provisional:
            entry.provisional = True
            if entry.cancel_wanted:
                self._cancel(entry, now)
        if response.status > 100:
            progress = events.Progress(call, response.status, response.body or None)
            self._events.append(progress)

    def _success(self, call: str, entry: _Call, response: Response, now: float) -> None:
        first = entry.dialog is None
        if entry.dialog is None:
            entry.dialog = Dialog.of_client(entry.invite.request, response)
        self._send_ack(entry, response)
        if not first:
            return
        entry.state = CallState.UP
        if entry.cancel_wanted:
            self._bye(entry, now)
            self._events.append(events.Rejected(call, 487, "cancelled"))
        else:
            self._events.append(events.Answered(call, response.body or None))

    def _send_ack(self, entry: _Call, response: Response) -> None:
        """Acknowledge a 2xx; the same octets again for a repetition (section 13.2.2.4)."""
        if entry.dialog is None:
            return
        number = response.cseq[0]
        if entry.ack is None or entry.ack[0] != number:
            ack = entry.dialog.request("ACK", self.wire.via(), cseq=number)
            entry.ack = (number, ack.encode())
        self.wire.push(entry.ack[1], self._hop(entry))

    def _reinvite_response(self, call: str, entry: _Call, response: Response) -> None:
        repeated = entry.ack is not None and entry.ack[0] == response.cseq[0]
        if response.status < 300:
            if entry.dialog is not None and not repeated:
                self._refresh_target(entry.dialog, response)
            self._send_ack(entry, response)
        if not repeated:
            reanswered = events.Reanswered(call, response.status, response.body or None)
            self._events.append(reanswered)
