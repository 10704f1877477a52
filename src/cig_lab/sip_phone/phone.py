# SPDX-License-Identifier: GPL-3.0-or-later
"""The SIP phone: the asyncio shell around `cig_lab.sip_phone.agent.UserAgent`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from cig_lab.sip_phone import events
from cig_lab.sip_phone.address import Destination, user_of
from cig_lab.sip_phone.agent import CallError, UserAgent
from cig_lab.sip_phone.call import Ending, SipCall
from cig_lab.sip_phone.media import RtpMedia
from cig_lab.sip_phone.sdp import AudioDescription, SdpError, answer
from cig_lab.sip_phone.texting import PLAIN
from cig_lab.sip_phone.transport import SipTransport, TcpTransport, UdpTransport

DTMF = 101
"""Payload type of telephone events in our own offers."""


class SipPhone:
    """A phone with one user, 404 for any other; made by `start`, ended by `stop`."""

    def __init__(
        self, *, user: str, codecs: tuple[str, ...], random_bytes: Callable[[int], bytes]
    ) -> None:
        self.user = user
        self.codecs = codecs
        self._random = random_bytes
        self._calls: dict[str, SipCall] = {}
        self._incoming: asyncio.Queue[SipCall] = asyncio.Queue()
        self._texts: asyncio.Queue[events.IncomingText] = asyncio.Queue()
        self._sent: dict[str, asyncio.Future[int]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._transport: SipTransport
        self._agent: UserAgent

    @staticmethod
    async def start(
        *,
        user: str,
        host: str = "127.0.0.1",
        port: int = 0,
        domain: str | None = None,
        transport: str = "UDP",
        codecs: tuple[str, ...] = ("PCMA/8000", "PCMU/8000"),
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> SipPhone:
        """Bind and be ready; ``domain`` stands in From, default the address. Raises OSError."""
        phone = SipPhone(user=user, codecs=codecs, random_bytes=random_bytes)
        opener = TcpTransport.open if transport == "TCP" else UdpTransport.open
        phone._transport = await opener(host, port, phone._received)
        phone._agent = UserAgent(
            user=user,
            local=phone._transport.local,
            random_bytes=random_bytes,
            domain=domain,
            transport=transport,
        )
        return phone

    @property
    def address(self) -> Destination:
        """Where the phone takes SIP."""
        return self._transport.local

    @property
    def identity(self) -> str:
        """The URI in its From."""
        return self._agent.identity

    @property
    def agent(self) -> UserAgent:
        """The core, for its counters."""
        return self._agent

    async def stop(self) -> None:
        """Hang up everything and close the sockets."""
        for call in list(self._calls.values()):
            self.hangup(call)
            self._end(call, Ending(0, "the phone was switched off", "us"))
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._transport.close()

    # --- calls -----------------------------------------------------------------------------

    async def dial(self, uri: str, *, through: Destination | None = None) -> SipCall:
        """Send an INVITE to ``uri`` (through a proxy or gateway address) and give the call."""
        media = await RtpMedia.open(self._random, self.address[0])
        offer = self._description(media, self.codecs, "sendrecv")
        name = self._agent.invite(uri, offer.encode(), self._loop.time(), through)
        call = SipCall(self, name, media, peer=uri)
        call.ours = offer
        self._calls[name] = call
        self._flush()
        return call

    async def incoming(self) -> SipCall:
        """Wait for the next INVITE."""
        return await self._incoming.get()

    def ring(self, call: SipCall) -> None:
        """Answer 180; see `SipCall.ring`."""
        self._agent.respond(call.name, 180, self._loop.time())
        self._flush()

    def accept(self, call: SipCall) -> None:
        """Answer 200 with SDP, or 488 when nothing fits; see `SipCall.accept`."""
        if call.offer is None:
            ours: AudioDescription | None = self._description(call.media, self.codecs, "sendrecv")
        else:
            ours = self._answer(call, call.offer, "sendrecv")
        if ours is None:
            self.reject(call, 488)
            return
        call.ours = ours
        if call.offer is not None:
            call.media.start(ours, call.offer, ours.codecs[0])
        self._agent.respond(call.name, 200, self._loop.time(), ours.encode())
        self._flush()

    def reject(self, call: SipCall, status: int) -> None:
        """Answer a failure; see `SipCall.reject`."""
        self._agent.respond(call.name, status, self._loop.time())
        self._end(call, Ending(status, "rejected", "us"))
        self._flush()

    def hangup(self, call: SipCall) -> None:
        """End a call; see `SipCall.hangup`."""
        try:
            self._agent.hangup(call.name, self._loop.time())
        except CallError:
            return
        self._flush()
        if call.up.done() or call.offer is not None:
            self._end(call, Ending(0, "hung up", "us"))

    async def reoffer(self, call: SipCall, direction: str) -> int:
        """Send a re-INVITE with another direction and give its status."""
        if call.ours is None:
            raise CallError("change", None)
        call.ours = self._description(call.media, call.ours.codecs, direction)
        call.reanswered = self._loop.create_future()
        self._agent.reinvite(call.name, call.ours.encode(), self._loop.time())
        self._flush()
        return await call.reanswered

    def _description(
        self, media: RtpMedia, codecs: tuple[str, ...], direction: str
    ) -> AudioDescription:
        return AudioDescription(media.host, media.port, codecs, DTMF, direction, media.port + 1)

    def _answer(
        self, call: SipCall, offer: AudioDescription, direction: str
    ) -> AudioDescription | None:
        return answer(
            offer,
            addr=call.media.host,
            port=call.media.port,
            codecs=self.codecs,
            direction=direction,
        )

    # --- messages --------------------------------------------------------------------------

    async def send_message(
        self,
        uri: str,
        text: str | bytes,
        *,
        through: Destination | None = None,
        content_type: str = PLAIN,
    ) -> int:
        """Send a MESSAGE and give its final status; 408 after 32 s without an answer."""
        body = text.encode() if isinstance(text, str) else text
        now = self._loop.time()
        name = self._agent.texting.send(uri, body, now, peer=through, content_type=content_type)
        result: asyncio.Future[int] = self._loop.create_future()
        self._sent[name] = result
        self._flush()
        try:
            return await result
        finally:
            del self._sent[name]

    async def next_message(self) -> events.IncomingText:
        """Wait for the next MESSAGE that was taken."""
        return await self._texts.get()

    def answer_messages_with(self, status: int) -> None:
        """Answer each MESSAGE from now on with ``status``, 200 at first; 0: not at all."""
        self._agent.texting.answer = status

    # --- the wire --------------------------------------------------------------------------

    def _received(self, data: bytes, source: Destination) -> None:
        self._agent.receive(data, source, self._loop.time())
        self._flush()

    def _flush(self) -> None:
        """Send what waits, hand on what happened, set the one timer."""
        while (event := self._agent.next_event()) is not None:
            self._handle(event)
        for message in self._agent.outgoing():
            self._transport.send(message.data, message.peer)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._agent.next_deadline()
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._fired)

    def _fired(self) -> None:
        self._agent.handle_timer(self._loop.time())
        self._flush()

    def _handle(self, event: events.SipEvent) -> None:
        if isinstance(event, events.Incoming):
            task = asyncio.ensure_future(self._arrived(event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        if isinstance(event, events.IncomingText):
            self._texts.put_nowait(event)
            return
        if isinstance(event, events.TextResult):
            result = self._sent.get(event.call)
            if result is not None and not result.done():
                result.set_result(event.status)
            return
        call = self._calls.get(event.call)
        if call is None:
            return
        match event:
            case events.Progress(_, status, _):
                call.set_ringing(status)
            case events.Answered(_, sdp) | events.Acknowledged(_, sdp):
                self._connected(call, sdp)
            case events.Rejected(_, status, reason):
                self._end(call, Ending(status, reason, "peer"))
            case events.Ended(_, by):
                self._end(call, Ending(487 if by == "cancel" else 0, by, by))
            case events.Reoffered(_, sdp):
                self._reoffered(call, sdp)
            case events.Reanswered(_, status, sdp):
                self._reanswered(call, status, sdp)

    async def _arrived(self, event: events.Incoming) -> None:
        media = await RtpMedia.open(self._random, self.address[0])
        call = SipCall(self, event.call, media, peer=event.from_uri)
        self._calls[event.call] = call
        if user_of(event.to_uri) != self.user:
            self.reject(call, 404)
            return
        try:
            call.offer = AudioDescription.parse(event.sdp) if event.sdp is not None else None
        except SdpError:
            self.reject(call, 488)
            return
        self._incoming.put_nowait(call)

    def _connected(self, call: SipCall, sdp: bytes | None) -> None:
        theirs = self._parsed(sdp)
        if theirs is not None and call.ours is not None and call.media.stream is None:
            common = next((name for name in theirs.codecs if name in call.ours.codecs), None)
            if common is not None:
                call.media.start(call.ours, theirs, common)
        if call.media.stream is None:
            self.hangup(call)
            self._end(call, Ending(488, "no usable session description", "us"))
            return
        call.set_up()

    def _reoffered(self, call: SipCall, sdp: bytes | None) -> None:
        offer = self._parsed(sdp) if sdp is not None else None
        ours = self._answer(call, offer, "sendrecv") if offer is not None else call.ours
        if ours is None or (sdp is not None and offer is None):
            self._agent.respond(call.name, 488, self._loop.time())
            return
        call.ours = ours
        if offer is not None:
            call.media.start(ours, offer, ours.codecs[0])
        self._agent.respond(call.name, 200, self._loop.time(), ours.encode())

    def _reanswered(self, call: SipCall, status: int, sdp: bytes | None) -> None:
        theirs = self._parsed(sdp)
        if status < 300 and theirs is not None and call.ours is not None and theirs.codecs:
            call.media.start(call.ours, theirs, theirs.codecs[0])
        if call.reanswered is not None and not call.reanswered.done():
            call.reanswered.set_result(status)

    def _parsed(self, sdp: bytes | None) -> AudioDescription | None:
        try:
            return AudioDescription.parse(sdp) if sdp is not None else None
        except SdpError:
            return None

    def _end(self, call: SipCall, ending: Ending) -> None:
        call.set_ended(ending)
        self._calls.pop(call.name, None)
