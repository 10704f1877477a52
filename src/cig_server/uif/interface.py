# SPDX-License-Identifier: GPL-3.0-or-later
"""The UMSG interface as the rest of the server sees it: calls by id, over whatever connection.

Calls outlive a broken connection: those that the CRS still knows after the next ``welcome`` are
resumed, the others end.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from cig_common.clock import Clock
from cig_common.control.key_facts import Identity
from cig_server.uif.connection import CrsConnection, Signer
from umsg.call import CallMachine, CallState
from umsg.call_events import CallAnswered, CallEnded, CallGrowled, CallTried, CallViolation
from umsg.errors import ErrorCode
from umsg.events import BadMessage, ErrorReceived, Event, MessageReceived, Resumed, Welcomed
from umsg.messages import (
    Bang,
    Growl,
    Hangup,
    Message,
    Receipt,
    Stored,
    Talk,
    Text,
    Try,
)
from umsg.reasons import Reason

ENDED_SHOWN_SECONDS = 5.0
"""How long an ended call stays in ``show umsg``."""

logger = logging.getLogger("UIF")


class UifListener(Protocol):
    """Who is told of calls; called in the event loop."""

    def bang(self, bang: Bang) -> None:
        """A secure phone calls."""

    def tel_tried(self, call_id: str, event: CallTried) -> None:
        """The CRS found the callee and named our leg."""

    def tel_growled(self, call_id: str, event: CallGrowled) -> None:
        """The callee is being alerted."""

    def tel_answered(self, call_id: str, event: CallAnswered) -> None:
        """The callee accepted; its MAC is still to be checked."""

    def tel_ended(self, call_id: str, event: CallEnded) -> None:
        """The call is over."""


class TextListener(Protocol):
    """Who is told of texts; called in the event loop."""

    def texts_connected(self) -> None:
        """A CRS has welcomed us: from now on texts can be sent, and those that wait will come."""

    def texts_lost(self) -> None:
        """The connection is gone; what was not ``stored`` is to be sent again, from part 0."""

    def text_part(self, part: Text) -> None:
        """A part of a text for us came."""

    def text_stored(self, mid: str) -> None:
        """The CRS has a text of ours on disk."""

    def text_receipt(self, receipt: Receipt) -> None:
        """A recipient says what became of a text of ours; the signature is still to be checked."""

    def text_error(self, mid: str, code: ErrorCode, text: str) -> None:
        """The CRS refuses a text, or a receipt, of ours."""


@dataclass(slots=True)
class _Entry:
    machine: CallMachine
    timer: asyncio.TimerHandle | None = None
    ended: bool = False


class UmsgInterface:
    """All UMSG calls of the gateway and the one connection that carries them."""

    def __init__(self, signer: Signer, listener: UifListener, clock: Clock) -> None:
        self._signer = signer
        self._listener = listener
        self._clock = clock
        self._calls: dict[str, _Entry] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self.connection: CrsConnection | None = None
        self.texts: TextListener | None = None
        """Who takes texts; without anybody they are left with the CRS."""
        self.counters: Counter[str] = Counter()

    @property
    def connected(self) -> bool:
        """Whether a CRS has welcomed us."""
        return self.connection is not None and self.connection.open

    @property
    def identity(self) -> Identity | None:
        """The identity that we are logged in as, or try to."""
        return self.connection.identity if self.connection is not None else None

    @property
    def complaint(self) -> str:
        """Why there is no connection; empty while there is one."""
        return self.connection.complaint if self.connection is not None else "no keys"

    def __iter__(self) -> Iterator[CallMachine]:
        """Walk the calls, those that ended within the last 5 s included."""
        return iter([entry.machine for entry in self._calls.values()])

    def set_identity(self, identity: Identity | None) -> None:
        """Log in as ``identity`` from now on; None logs out. The same one again changes nothing.

        Other periods alone need no new login while one stands: the next one will use them.
        """
        if self.connection is not None:
            held = self.connection.identity
            if held == identity:
                return
            if identity is not None and self.connected and _same_but_periods(held, identity):
                self.connection.identity = identity
                return
            task = asyncio.create_task(self.connection.stop())
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)
            self.connection = None
        if identity is not None:
            self.connection = CrsConnection(identity, self._signer, self, self._clock)
            self.connection.start()

    async def stop(self) -> None:
        """Log out, and stop every timer."""
        if self.connection is not None:
            await self.connection.stop()
        for entry in self._calls.values():
            if entry.timer is not None:
                entry.timer.cancel()

    # --- what the gateway wants -----------------------------------------------------------------

    def place(self, bang: Bang) -> None:
        """Call a secure phone with a complete ``bang`` (``leg`` absent)."""
        now = self._clock.monotonic()
        machine = CallMachine.caller(
            id=bang.id,
            from_uri=bang.from_uri,
            to_uri=bang.to_uri,
            offer=bang.offer,
            dtmf=bang.dtmf,
            now=now,
        )
        entry = self._calls[bang.id] = _Entry(machine)
        machine.bang(bang.mikey, now)
        self._advance(entry)

    def growl(
        self,
        call_id: str,
        *,
        codec: str | None = None,
        dtmf: int | None = None,
        mac: bytes | None = None,
    ) -> None:
        """Tell the caller that its callee is alerted; with a codec, that early media flows."""
        if (entry := self._calls.get(call_id)) is not None:
            entry.machine.growl(self._clock.monotonic(), codec=codec, dtmf=dtmf, mac=mac)
            self._advance(entry)

    def talk(self, call_id: str, *, codec: str, dtmf: int | None, mac: bytes) -> None:
        """Answer a secure phone's call."""
        if (entry := self._calls.get(call_id)) is not None:
            entry.machine.talk(self._clock.monotonic(), codec=codec, dtmf=dtmf, mac=mac)
            self._advance(entry)

    def proved(self, call_id: str) -> None:
        """Say that the MAC of the callee's ``talk`` is right."""
        if (entry := self._calls.get(call_id)) is not None:
            entry.machine.proved(self._clock.monotonic())
            self._advance(entry)

    def hangup(self, call_id: str, reason: Reason, text: str = "") -> None:
        """End a call; one that is unknown or over already is left alone."""
        if (entry := self._calls.get(call_id)) is not None:
            entry.machine.hang_up(reason, self._clock.monotonic(), text[:200] or None)
            self._advance(entry)

    async def send_part(self, part: Text) -> bool:
        """Send a part of a text as soon as there is room; tells whether the way was open."""
        return self.connection is not None and await self.connection.send_part(part)

    def send_receipt(self, receipt: Receipt) -> bool:
        """Send a receipt; tells whether the way was open."""
        return self.connection is not None and self.connection.send(receipt)

    def ask_again(self) -> None:
        """Have the CRS send once more what was not receipted: by a new connection."""
        if self.connection is not None:
            self.connection.reconnect()

    # --- what the connection reports ------------------------------------------------------------

    def session_event(self, event: Event) -> None:
        """Take an event of the UMSG session."""
        match event:
            case MessageReceived(message=message):
                self._receive(message)
            case Welcomed():
                if self.connection is not None:
                    self.connection.resume([k for k, e in self._calls.items() if not e.ended])
                if self.texts is not None:
                    self.texts.texts_connected()
            case Resumed(alive=alive, lost=lost):
                self._resumed(alive, lost)
            case ErrorReceived(code=code, text=text, id=call_id, mid=mid):
                self.counters[f"error-{code.value}"] += 1
                logger.warning("the CRS says %s: %s", code.value, text)
                if mid is not None and self.texts is not None:
                    self.texts.text_error(mid, code, text)
                if call_id is not None and (entry := self._calls.get(call_id)) is not None:
                    entry.machine.refused(code, text, self._clock.monotonic())
                    self._advance(entry)
            case BadMessage(type=kind, id=call_id, text=text):
                self.counters["bad-messages"] += 1
                logger.warning("bad %s from the CRS: %s", kind, text)
                if call_id is not None:
                    self.hangup(call_id, Reason.ERROR, "protocol error")
            case _:
                pass

    def session_lost(self) -> None:
        """Take the end of a connection that was welcomed."""
        if self.texts is not None:
            self.texts.texts_lost()

    def _receive(self, message: Message) -> None:
        now = self._clock.monotonic()
        match message:
            case Bang(id=call_id) if call_id not in self._calls:
                self._calls[call_id] = entry = _Entry(CallMachine.callee(message, now))
                self._advance(entry)
                self._listener.bang(message)
            case (
                Bang(id=call_id)
                | Try(id=call_id)
                | Growl(id=call_id)
                | Talk(id=call_id)
                | Hangup(id=call_id)
            ):
                known = self._calls.get(call_id)
                if known is None:
                    self.counters["unknown-call"] += 1
                    return
                known.machine.receive(message, now)
                self._advance(known)
            case Text() if self.texts is not None:
                self.texts.text_part(message)
            case Stored(mid=mid) if self.texts is not None:
                self.texts.text_stored(mid)
            case Receipt() if self.texts is not None:
                self.texts.text_receipt(message)
            case _:
                self.counters[f"left-{message.TYPE}"] += 1

    def _resumed(self, alive: frozenset[str], lost: frozenset[str]) -> None:
        for call_id in alive:
            if (entry := self._calls.get(call_id)) is not None:
                entry.machine.resume()
                self._advance(entry)
        for call_id in lost:
            if (entry := self._calls.get(call_id)) is not None:
                entry.machine.dropped(self._clock.monotonic())
                self._advance(entry)

    def _advance(self, entry: _Entry) -> None:
        """Send what the call has to say, tell its events, arm its timer."""
        machine = entry.machine
        for message in machine.messages_to_send():
            if self.connection is not None:
                self.connection.send(message)
        while (event := machine.next_event()) is not None:
            match event:
                case CallTried():
                    self._listener.tel_tried(machine.id, event)
                case CallGrowled():
                    self._listener.tel_growled(machine.id, event)
                case CallAnswered():
                    self._listener.tel_answered(machine.id, event)
                case CallViolation():
                    self.counters["violations"] += 1
                    logger.warning("%s: protocol error: %s", machine.id, event)
                case CallEnded():
                    self._listener.tel_ended(machine.id, event)
        self._arm(entry)
        if machine.state is CallState.HANGUP and not entry.ended:
            entry.ended = True
            loop = asyncio.get_running_loop()
            loop.call_later(ENDED_SHOWN_SECONDS, self._calls.pop, machine.id, None)

    def _arm(self, entry: _Entry) -> None:
        if entry.timer is not None:
            entry.timer.cancel()
            entry.timer = None
        deadline = entry.machine.next_deadline()
        if deadline is not None:
            delay = max(0.0, deadline - self._clock.monotonic())
            entry.timer = asyncio.get_running_loop().call_later(delay, self._timer, entry)

    def _timer(self, entry: _Entry) -> None:
        entry.timer = None
        entry.machine.handle_timer(self._clock.monotonic())
        self._advance(entry)


def _same_but_periods(held: Identity, new: Identity) -> bool:
    return replace(held, periods=new.periods) == new
