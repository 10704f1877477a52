# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of the secure phone: the call machine, its keys and its media."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

from cig_lab.phone.crypto import CallSecrets
from cig_lab.phone.media import SecureMedia
from cig_lab.signals import Samples
from cig_lab.voice.stream import Format
from umsg.call import (
    CallAnswered,
    CallEnded,
    CallEvent,
    CallGrowled,
    CallMachine,
    CallRole,
    CallTried,
)
from umsg.messages import Message
from umsg.reasons import Reason

DTMF = 101
"""Payload type of the telephone events that the phone wants to get."""


class SecureCallEndedError(Exception):
    """The call ended before what was awaited; ``ending`` says why."""

    def __init__(self, ending: CallEnded) -> None:
        super().__init__(f"the call ended: {ending.reason} ({ending.text or 'no text'})")
        self.ending = ending


class SecureCall:
    """Made by `SecurePhone`. ``growled``, ``up`` and ``ended`` are futures.

    When the call ends early the first two raise `SecureCallEndedError`.
    """

    def __init__(
        self,
        machine: CallMachine,
        keys: CallSecrets,
        media: SecureMedia,
        send: Callable[[Message], None],
    ) -> None:
        self.machine = machine
        self.media = media
        self.setup_seconds: float | None = None
        self._keys = keys
        self._send = send
        self._loop = asyncio.get_running_loop()
        self.begun = self._loop.time()
        self.growled: asyncio.Future[None] = self._loop.create_future()
        self.up: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[CallEnded] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        if machine.leg is not None:
            media.set_leg(machine.leg)

    @property
    def id(self) -> str:
        """The call's id on the wire."""
        return self.machine.id

    # --- signalling ------------------------------------------------------------------------

    def bang(self, mikey: bytes) -> None:
        """Caller: send the call off."""
        self.machine.bang(mikey, self._loop.time())
        self.flush()

    def growl(self) -> None:
        """Callee: tell the caller that we are alerted."""
        self.machine.growl(self._loop.time())
        self.flush()

    async def accept(self, codec: str = "PCMA/8000") -> None:
        """Callee: answer; raises `SecureCallEndedError` when the call is over."""
        if self.ended.done():
            raise SecureCallEndedError(self.ended.result())
        mac = self._keys.mac("talk", id=self.id, codec=codec, dtmf=DTMF)
        self.machine.talk(self._loop.time(), codec=codec, dtmf=DTMF, mac=mac)
        self._start(codec, self.machine.dtmf)
        self.flush()
        await self.up

    def hangup(self, reason: Reason = Reason.NORMAL) -> None:
        """End the call in whatever state."""
        self.machine.hang_up(reason, self._loop.time())
        self.flush()

    def receive(self, message: Message) -> None:
        """Take a message of this call."""
        self.machine.receive(message, self._loop.time())
        self.flush()

    def flush(self) -> None:
        """Send what the machine wants sent, do what it tells, set its timer."""
        while (event := self.machine.next_event()) is not None:
            self._handle(event)
        for message in self.machine.messages_to_send():
            self._send(message)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.machine.next_deadline()
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._fired)

    def _fired(self) -> None:
        self.machine.handle_timer(self._loop.time())
        self.flush()

    def _handle(self, event: CallEvent) -> None:
        match event:
            case CallTried(leg):
                self.media.set_leg(leg)
            case CallGrowled(codec, dtmf, mac):
                self._growled(codec, dtmf, mac)
            case CallAnswered(codec, dtmf, mac):
                self._answered(codec, dtmf, mac)
            case CallEnded():
                self._ended(event)

    def _growled(self, codec: str | None, dtmf: int | None, mac: bytes | None) -> None:
        if codec is not None and mac is not None:
            if not self._keys.proves(mac, "growl", id=self.id, codec=codec, dtmf=dtmf):
                self.machine.hang_up(Reason.CRYPTO, self._loop.time())
                return
            self._media(codec, dtmf)
        if not self.growled.done():
            self.growled.set_result(None)

    def _answered(self, codec: str, dtmf: int | None, mac: bytes) -> None:
        now = self._loop.time()
        if not self._keys.proves(mac, "talk", id=self.id, codec=codec, dtmf=dtmf):
            self.machine.hang_up(Reason.CRYPTO, now)
            return
        self.machine.proved(now)
        self._start(codec, dtmf)

    def _start(self, codec: str, dtmf: int | None) -> None:
        self._media(codec, dtmf)
        for waiter in (self.growled, self.up):
            if not waiter.done():
                waiter.set_result(None)
        self.setup_seconds = self._loop.time() - self.begun

    def _media(self, codec: str, dtmf: int | None) -> None:
        ours = self.machine.dtmf if self.machine.role is CallRole.CALLER else DTMF
        self.media.start(self._keys, Format(codec, dtmf, ours))

    def _ended(self, ending: CallEnded) -> None:
        if self.ended.done():
            return
        self.ended.set_result(ending)
        for waiter in (self.growled, self.up):
            if not waiter.done():
                waiter.set_exception(SecureCallEndedError(ending))
                # Nobody may be waiting, and that is no fault.
                waiter.exception()
        self.media.close()

    # --- voice -----------------------------------------------------------------------------

    async def play(self, samples: Samples) -> None:
        """Play to the end, from when the media path is open; returns early at the call's end."""
        await self._path()
        if self.media.ticker is not None:
            await self.media.ticker.play(samples)

    async def send_digits(self, digits: str) -> None:
        """Send DTMF digits; raises ValueError when the peer takes none."""
        await self._path()
        if self.media.ticker is not None:
            await self.media.ticker.send_digits(digits)

    async def _path(self) -> None:
        await asyncio.wait((self.media.bound, self.ended), return_when=asyncio.FIRST_COMPLETED)

    def recorded(self) -> Samples:
        """Give what was heard so far."""
        stream = self.media.stream
        return stream.recorder.render() if stream else np.zeros(0, dtype=np.int16)

    @property
    def digits(self) -> str:
        """The digits that were seen, once each, in order."""
        return self.media.stream.detector.digits if self.media.stream else ""
