# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of the SIP phone as its user sees it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cig_lab.signals import Samples
from cig_lab.sip_phone.media import RtpMedia
from cig_lab.sip_phone.sdp import AudioDescription
from cig_lab.voice.digits import SeenEvent


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended: a failed INVITE's ``status`` or 0; ``by`` us, peer, cancel or timeout."""

    status: int
    reason: str
    by: str


class Signalling(Protocol):
    """What a call needs of its phone; `cig_lab.sip_phone.phone.SipPhone` has it."""

    def ring(self, call: SipCall) -> None:
        """Answer 180."""

    def accept(self, call: SipCall) -> None:
        """Answer 200 with SDP, or 488 when nothing fits."""

    def reject(self, call: SipCall, status: int) -> None:
        """Answer a failure."""

    def hangup(self, call: SipCall) -> None:
        """End the call in whatever state."""

    async def reoffer(self, call: SipCall, direction: str) -> int:
        """Send a re-INVITE with another direction and give its status."""
        ...


class SipCall:
    """Made by `SipPhone.dial` and `SipPhone.incoming`; only this package sets its public fields.

    ``ringing``, ``up`` and ``ended`` are futures; awaiting one that can no longer come raises
    `CallEndedError`, except ``ended`` itself.
    """

    def __init__(self, phone: Signalling, name: str, media: RtpMedia, *, peer: str) -> None:
        loop = asyncio.get_running_loop()
        self.name = name
        self.peer = peer
        self.media = media
        self.offer: AudioDescription | None = None
        self.ours: AudioDescription | None = None
        self.begun = loop.time()
        self.setup_seconds: float | None = None
        self.ringing: asyncio.Future[int] = loop.create_future()
        self.up: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[Ending] = loop.create_future()
        self.reanswered: asyncio.Future[int] | None = None
        self._phone = phone

    # --- signalling ------------------------------------------------------------------------

    def ring(self) -> None:
        """Tell the caller that the phone rings (180)."""
        self._phone.ring(self)

    async def accept(self) -> None:
        """Answer with 200 and wait for the ACK; raises `CallEndedError`."""
        self._phone.accept(self)
        await self.up

    def reject(self, status: int = 486) -> None:
        """Refuse the call."""
        self._phone.reject(self, status)

    def hangup(self) -> None:
        """End the call in whatever state; one that is over stays as it is."""
        self._phone.hangup(self)

    async def hold(self) -> int:
        """Offer ``sendonly``; gives the status of the answer."""
        return await self._phone.reoffer(self, "sendonly")

    async def resume(self) -> int:
        """Offer ``sendrecv`` again; gives the status of the answer."""
        return await self._phone.reoffer(self, "sendrecv")

    # --- voice -----------------------------------------------------------------------------

    async def play(self, samples: Samples) -> None:
        """Play to the end; returns early when the call ends."""
        if self.media.ticker is not None:
            await self.media.ticker.play(samples)

    async def send_digits(self, digits: str) -> None:
        """Send DTMF digits; raises ValueError when the peer takes none."""
        if self.media.ticker is not None:
            await self.media.ticker.send_digits(digits)

    def recorded(self) -> Samples:
        """Give what was heard so far."""
        stream = self.media.stream
        return stream.recorder.render() if stream else np.zeros(0, dtype=np.int16)

    @property
    def digits(self) -> str:
        """The digits that were seen, once each, in order."""
        return self.media.stream.detector.digits if self.media.stream else ""

    @property
    def digit_events(self) -> tuple[SeenEvent, ...]:
        """Every RFC 4733 event with what was counted of it."""
        return self.media.stream.detector.events if self.media.stream else ()

    # --- for the phone ---------------------------------------------------------------------

    def set_ringing(self, status: int) -> None:
        """Note a provisional response."""
        if not self.ringing.done():
            self.ringing.set_result(status)

    def set_up(self) -> None:
        """Note that the call is answered and acknowledged."""
        self.set_ringing(200)
        if not self.up.done():
            self.setup_seconds = asyncio.get_running_loop().time() - self.begun
            self.up.set_result(None)

    def set_ended(self, ending: Ending) -> None:
        """Note the end, release everybody who waits, close the sockets."""
        if self.ended.done():
            return
        self.ended.set_result(ending)
        for waiter in (self.ringing, self.up, self.reanswered):
            if waiter is not None and not waiter.done():
                waiter.set_exception(CallEndedError(ending))
                # Nobody may be waiting, and that is no fault.
                waiter.exception()
        self.media.close()


class CallEndedError(Exception):
    """The call ended before what was awaited; ``ending`` tells how."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(f"the call ended: {ending.status or ''} {ending.reason} by {ending.by}")
        self.ending = ending
