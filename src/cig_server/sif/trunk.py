# SPDX-License-Identifier: GPL-3.0-or-later
"""The trunk's calls: what commands, callbacks of the SIP stack and timers do to them.

Runs in the SIP stack's one thread and knows nothing of pjsua2: a call of the stack is anything
that has the methods of `StackCall`. Callbacks of the stack only look and report; whatever starts
something new on a call is put off to the end of the turn (``put_off``), because the stack is not
to be entered again out of its own callback.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from cig_common.errors import CigError, CodecError, OverloadError
from cig_server.sif.commands import (
    Answer,
    CallCommand,
    Dial,
    HangUp,
    Headers,
    Reject,
    Ring,
    SendProgress,
)
from cig_server.sif.events import (
    Answered,
    Dialled,
    Ended,
    MediaChanged,
    Progress,
    Refused,
    SipEvent,
)
from cig_server.sif.invites import end_by_peer, read_invite, refused
from cig_server.sif.leg import Action, Leg, Phase, Request
from cig_server.sif.offer_answer import read_offer
from cig_server.sif.settings import SipSettings

logger = logging.getLogger("Sif")

GLARE = 2.5
"""Seconds before a re-INVITE of ours that crossed another is tried again (RFC 3261, 14.1)."""
RETRY_AFTER = ("Retry-After", "5")

_REQUESTS: dict[type, Request] = {
    Ring: Request.RING,
    SendProgress: Request.PROGRESS,
    Answer: Request.ANSWER,
    Reject: Request.REJECT,
    HangUp: Request.HANG_UP,
}


class StackError(CigError):
    """The SIP stack refused to do something; its words are in the text."""

    log_code = "sip-stack"


class StackCall(Protocol):
    """One call of the SIP stack.

    ``announced`` tells whether the rest of the gateway has heard of the call, ``heard`` whether
    the PBX has responded at all, ``refreshing`` whether a re-INVITE of ours is under way. The
    methods raise StackError.
    """

    leg: Leg
    announced: bool
    heard: bool
    refreshing: bool

    def dial(self, to_uri: str, from_uri: str, headers: Headers) -> str:
        """Send the INVITE, give its Call-ID; the stack asks the leg for the offer."""

    def respond(self, status: int, sdp: str | None) -> None:
        """Send 180, 183 or 200."""

    def hang_up(self, status: int, headers: Headers) -> None:
        """Send CANCEL, BYE or the final response ``status``; reports the end at once."""

    def send_reinvite(self) -> None:
        """Send a re-INVITE with an offer of ours."""


class Trunk:
    """All calls of the trunk. ``make_call`` makes a call of the stack for an outgoing leg."""

    def __init__(
        self,
        settings: SipSettings,
        post: Callable[[SipEvent | Refused], None],
        random_bytes: Callable[[int], bytes],
        make_call: Callable[[Leg], StackCall],
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.calls: dict[str, StackCall] = {}
        self.ended: list[StackCall] = []
        self.unacknowledged: dict[str, tuple[StackCall, Headers]] = {}
        self.stopping = False
        self._settings = settings
        self._post = post
        self._random_bytes = random_bytes
        self._make_call = make_call
        self._numbers = itertools.count(1)
        self._put_off: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._now = 0.0

    # --- turns ----------------------------------------------------------------------------------

    def turn(self, now: float) -> None:
        """Do what is due at ``now`` (seconds), then forget the calls that are over."""
        self._now = now
        while self._timers and self._timers[0][0] <= now:
            self._put_off.append(heapq.heappop(self._timers)[2])
        while self._put_off:
            self.attempt(self._put_off.popleft())
        self.ended.clear()

    def attempt(self, action: Callable[[], Any]) -> None:
        """Do something of which no fault may end the loop."""
        try:
            action()
        except Exception as error:
            self.counters["faults"] += 1
            logger.error("a step of the SIP trunk failed: %s: %s", type(error).__name__, error)

    def put_off(self, action: Callable[[], None]) -> None:
        """Do something at the end of this turn."""
        self._put_off.append(action)

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (self._now + seconds, next(self._numbers), action))

    # --- commands -------------------------------------------------------------------------------

    def carry_out(self, command: CallCommand, now: float) -> None:
        """Carry out a command; whatever fails ends that call."""
        self._now = now
        if isinstance(command, Dial):
            self._dial(command)
            return
        call = self.calls.get(command.call)
        if call is None:
            self.counters["commands-too-late"] += 1  # it crossed the call's end
            return
        phase = call.leg.phase
        action = call.leg.command(_REQUESTS[type(command)])
        if action is None:
            self.counters["commands-out-of-turn"] += 1
            logger.warning("%s: %s does not fit phase %s", command.call, type(command), phase.name)
            return
        try:
            self._act(call, action, command)
        except CigError as error:
            logger.warning("%s: %s", command.call, error)
            call.leg.phase = phase  # a 200 that was not sent has no ACK to wait for
            self.fail(call, error)

    def _act(self, call: StackCall, action: Action, command: CallCommand) -> None:
        leg = call.leg
        if isinstance(command, SendProgress | Answer) and leg.relay is None:
            leg.relay = command.relay
        headers = command.headers if isinstance(command, Reject | HangUp) else ()
        match action:
            case Action.SEND_180:
                call.respond(180, None)
            case Action.SEND_183:
                call.respond(183, leg.initial_answer())
            case Action.SEND_200:
                call.respond(200, leg.initial_answer())
            case Action.SEND_FINAL:
                status = command.status if isinstance(command, Reject) else 480
                leg.closing = (status, "refused")
                call.hang_up(status, headers)
            case Action.SEND_CANCEL:
                leg.closing = (487, "cancelled")
                call.hang_up(0, headers)
            case Action.SEND_BYE:
                leg.closing = (0, "")
                call.hang_up(0, headers)
            case Action.WAIT_FOR_ACK:
                leg.closing = (0, "")
                self._bye_after_ack(call, headers)
            case Action.NOTHING:
                self.counters["commands-repeated"] += 1

    def _bye_after_ack(self, call: StackCall, headers: Headers) -> None:
        """Report the end now; keep the stack's call until its ACK has come, or is overdue."""
        self.unacknowledged[call.leg.name] = (call, headers)
        self.over(call, Ended(call.leg.name, *(call.leg.closing or (0, "")), "us"))

    def _dial(self, command: Dial) -> None:
        leg = Leg(command.call, Phase.CALLING, self._session_id(), relay=command.relay)
        try:
            self._admit()
            call = self._make_call(leg)
        except CigError as error:
            self._post(Ended(command.call, error.sip_status, str(error), "us"))
            return
        self.calls[command.call] = call
        self._later(self._settings.first_response_timeout, partial(self._give_up, call))
        try:
            call_id = call.dial(command.to_uri, command.from_uri, command.headers)
            self._post(Dialled(command.call, call_id))
        except CigError as error:
            # The PBX's host does not take the connection, has no route or no address.
            logger.warning("%s: no INVITE to %s: %s", command.call, command.to_uri, error)
            self.over(call, Ended(command.call, 503, str(error), "peer"))

    def _give_up(self, call: StackCall) -> None:
        """No response at all has come to an INVITE."""
        if call.heard or call.leg.name not in self.calls or call.leg.phase is not Phase.CALLING:
            return
        self.counters["no-response"] += 1
        seconds = self._settings.first_response_timeout
        ended = Ended(call.leg.name, 503, f"no response to INVITE within {seconds:g} s", "peer")
        self.over(call, ended)
        call.hang_up(0, ())

    def _admit(self) -> None:
        if self.stopping:
            raise OverloadError("the gateway stops")
        if len(self.calls) >= self._settings.max_calls:
            self.counters["calls-over-limit"] += 1
            raise OverloadError(f"{self._settings.max_calls} SIP calls are up already")

    def _session_id(self) -> int:
        # 31 bits: the stack's SDP negotiator keeps the id in 32.
        return int.from_bytes(self._random_bytes(4), "big") >> 1

    # --- reports of the stack -------------------------------------------------------------------

    def incoming(self, make_call: Callable[[Leg], StackCall], text: str, source: str) -> None:
        """An INVITE that begins a call has come; the stack has sent 100."""
        name = f"sip-{next(self._numbers)}"
        try:
            invite = read_invite(name, text, source, self._settings.families)
            self._admit()
        except CigError as error:
            call = make_call(Leg(name, Phase.INVITED, 0))
            call.announced = False
            self.calls[name] = call
            self.put_off(partial(self._refuse, call, error, text, source))
            return
        leg = Leg(name, Phase.INVITED, self._session_id(), offer=invite.offer)
        self.calls[name] = make_call(leg)
        self._post(invite)

    def _refuse(self, call: StackCall, error: CigError, text: str, source: str) -> None:
        self.counters["invites-refused"] += 1
        headers = (RETRY_AFTER,) if error.retryable else ()
        call.leg.closing = (error.sip_status, str(error))
        call.hang_up(error.sip_status, headers)
        self._post(refused(text, error.sip_status, str(error), source))

    def provisional(self, call: StackCall, status: int, sdp: str | None) -> None:
        """A provisional response to our INVITE has come; SDP in it that does not suit is left."""
        call.leg.take_answer(sdp)
        refused_codec, call.leg.codec_refused = call.leg.codec_refused, None
        media = call.leg.media if sdp is not None and refused_codec is None else None
        self._post(Progress(call.leg.name, status, media))

    def connecting(self, call: StackCall, sdp: str | None) -> None:
        """The 200 to our INVITE has come; its SDP counts whatever a 183 had said."""
        call.leg.codec_refused = None
        call.leg.take_answer(sdp)

    def confirmed(self, call: StackCall, sdp: str | None) -> None:
        """The ACK was sent (outgoing call) or has come, with ``sdp`` (incoming call)."""
        leg = call.leg
        outgoing = leg.phase is Phase.CALLING
        leg.phase = Phase.TALKING
        waiting = self.unacknowledged.get(leg.name)
        if waiting is not None:
            self.put_off(partial(call.hang_up, 0, waiting[1]))
            return
        changed = None
        if not outgoing and leg.answer_wanted:
            changed = leg.take_answer(sdp)
            if sdp is None:
                leg.codec_refused = CodecError("the ACK lacks the answer to our offer")
        if leg.codec_refused is not None:
            self.put_off(partial(self.fail, call, leg.codec_refused))
        elif outgoing:
            self._post(Answered(leg.name, leg.media))
        elif changed is not None:
            self._post(MediaChanged(leg.name, changed))

    def media_settled(self, call: StackCall) -> None:
        """An exchange of offer and answer is complete."""
        media = call.leg.media_settled()
        if media is not None:
            self._post(MediaChanged(call.leg.name, media))
        elif call.leg.phase is Phase.TALKING and call.leg.answer_wanted and not call.refreshing:
            # The answer came in the ACK of a re-INVITE without SDP, and the stack shows that ACK
            # to nobody. So the PBX is asked once more, by a re-INVITE whose 200 can be read.
            self.put_off(partial(self._refresh, call))

    def _refresh(self, call: StackCall) -> None:
        if call.leg.name in self.calls and not call.refreshing:
            call.refreshing = True
            try:
                call.send_reinvite()
            except StackError:
                self._refresh_later(call)

    def _refresh_later(self, call: StackCall) -> None:
        call.refreshing = False
        self._later(GLARE, partial(self._refresh, call))

    def reinvite_done(self, call: StackCall, status: int, sdp: str | None) -> None:
        """A re-INVITE of ours got its final response."""
        if status == 491 and call.refreshing:
            self._refresh_later(call)
            return
        call.refreshing = False
        if status < 300:
            changed = call.leg.take_answer(sdp)
            if changed is not None:
                self._post(MediaChanged(call.leg.name, changed))

    def check_offer(self, call: StackCall, text: str) -> bool:
        """Tell whether an offer inside a call can be answered; otherwise it gets 488."""
        try:
            read_offer(text, call.leg.families)
        except CigError as error:
            self.counters["offers-refused"] += 1
            logger.warning("%s: a new offer is refused: %s", call.leg.name, error)
            return False
        return True

    def disconnected(self, call: StackCall, status: int, words: str, text: str | None) -> None:
        """The call is over for the stack; ``text`` is the message that ended it, if one did."""
        leg = call.leg
        if self.unacknowledged.pop(leg.name, None) is not None:
            self.ended.append(call)
            return
        if leg.closing is None and leg.codec_refused is not None:
            leg.closing = (leg.codec_refused.sip_status, str(leg.codec_refused))
        if leg.closing is not None:
            self.over(call, Ended(leg.name, *leg.closing, "us"))
            return
        self.over(call, Ended(leg.name, *end_by_peer(leg.phase, status, words, text), "peer"))

    def callback_failed(self, call: StackCall | None, error: Exception) -> None:
        """A callback broke: its call ends, all others go on."""
        self.counters["callback-errors"] += 1
        logger.error("a report of the SIP stack broke: %s: %s", type(error).__name__, error)
        if call is not None:
            self.put_off(partial(self.fail, call, CigError("internal error")))

    # --- ends -----------------------------------------------------------------------------------

    def fail(self, call: StackCall, error: CigError) -> None:
        """End a call for a fault of ours or of its SDP."""
        if call.leg.name not in self.calls:
            return
        call.leg.closing = (error.sip_status, str(error))
        action = call.leg.command(Request.HANG_UP)
        if action is Action.WAIT_FOR_ACK and not self.stopping:
            self._bye_after_ack(call, ())
            return
        try:
            call.hang_up(error.sip_status if action is Action.SEND_FINAL else 0, ())
        except StackError as stuck:
            logger.warning("%s: cannot be hung up: %s", call.leg.name, stuck)
        self.over(call, Ended(call.leg.name, *call.leg.closing, "us"))

    def stop(self) -> None:
        """End every call in the way of its phase."""
        self.stopping = True
        for call in list(self.calls.values()):
            self.fail(call, OverloadError("the gateway stops"))
        for call, headers in list(self.unacknowledged.values()):
            self.attempt(partial(call.hang_up, 0, headers))

    def abandon(self) -> list[StackCall]:
        """Let go of everything; give the calls that the stack has not ended."""
        left = [*self.calls.values(), *(call for call, _ in self.unacknowledged.values())]
        for kept in (self.calls, self.unacknowledged, self.ended, self._put_off, self._timers):
            kept.clear()
        return left

    def over(self, call: StackCall, ended: Ended) -> None:
        """Forget a call; the first of several reports counts."""
        if self.calls.get(call.leg.name) is not call:
            return
        del self.calls[call.leg.name]
        if call.leg.name not in self.unacknowledged:
            self.ended.append(call)
        if call.announced:
            self._post(ended)
