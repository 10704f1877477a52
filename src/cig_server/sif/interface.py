# SPDX-License-Identifier: GPL-3.0-or-later
"""The SIP interface as the rest of the gateway uses it: asyncio in front, the stack behind."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable

from cig_common.errors import CigError
from cig_server.sif.commands import (
    Answer,
    AnswerMessage,
    Command,
    Dial,
    HangUp,
    Headers,
    Reject,
    Ring,
    SendMessage,
    SendProgress,
)
from cig_server.sif.events import (
    Ended,
    IncomingInvite,
    IncomingMessage,
    MessageEvent,
    MessageListener,
    MessageResult,
    Refused,
    SipEvent,
    SipListener,
)
from cig_server.sif.outgoing import check_reach, checked_header, checked_uri
from cig_server.sif.pjsua import PjStack
from cig_server.sif.settings import SipSettings, SipStartError

logger = logging.getLogger("Sif")

_JOIN_LIMIT = 0.5
"""Seconds that the stack's thread may take for its last steps, all work being done."""
NO_MESSAGES: Headers = (("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO, PRACK"),)
"""Goes with 405 while no MESSAGE is wanted."""
_STOP_LIMIT = 4.0
"""Seconds after which a stack that does not end is left behind."""


class SipInterface:
    """A SIP trunk; one at a time in a process, for the stack below is a singleton.

    ``listener`` gets every event in the event loop's thread; ``on_refused`` what never became a
    call. All commands return at once, and what goes wrong with them comes as `Ended`, or as
    `MessageResult`. `message_listener` gets what comes of MESSAGE; without one it is refused.
    """

    def __init__(
        self,
        settings: SipSettings,
        listener: SipListener,
        *,
        on_refused: Callable[[Refused], None] | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self.message_listener: MessageListener | None = None
        self._on_refused = on_refused
        self._stack = PjStack(settings, self._post, random_bytes)
        self._live: set[str] = set()
        self._counters: Counter[str] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running = False

    @property
    def live_calls(self) -> int:
        """The calls that were begun and have not ended."""
        return len(self._live)

    def counters(self) -> dict[str, int]:
        """Give the counters since the start, by name; ``stack-lines`` counts its complaints."""
        total = self._counters + self._stack.counters()
        return {**total, "stack-lines": self._stack.log.lines}

    async def start(self) -> None:
        """Listen on UDP and TCP; raises SipStartError."""
        self._loop = asyncio.get_running_loop()
        self._stack.start()
        try:
            await asyncio.wrap_future(self._stack.started)
        except SipStartError:
            await self._joined()
            raise
        self._running = True
        logger.info("SIP over UDP and TCP on %s", self._settings.where())

    async def stop(self) -> None:
        """End every call with BYE, CANCEL or 503, and the stack; takes less than 5 s."""
        if not self._running:
            return
        self._running = False
        self._stack.submit(None)
        finished = asyncio.wrap_future(self._stack.finished)
        done, _ = await asyncio.wait([finished], timeout=_STOP_LIMIT)
        if done:
            await self._joined()
        else:
            logger.error("the SIP stack did not end within %g s", _STOP_LIMIT)
        await asyncio.sleep(0)  # events that the stack posted last stand in the loop's queue
        for call in list(self._live):
            self._deliver(Ended(call, 503, "the gateway stops", "us"))

    async def _joined(self) -> None:
        await asyncio.to_thread(self._stack.join, _JOIN_LIMIT)

    # --- commands -------------------------------------------------------------------------------

    def dial(
        self,
        call: str,
        *,
        to_uri: str,
        from_uri: str,
        relay_addr: str,
        relay_port: int,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Call ``to_uri`` in the name of ``from_uri``; our SDP names ``relay_addr``:``relay_port``.

        ``call`` is the name of the call in all that follows; ValueError if it is in use. A URI or
        header that cannot be sent ends the call with 500, an address of a family on which SIP is
        not open with 503.
        """
        if call in self._live:
            raise ValueError(f"call {call!r} is up already")
        self._live.add(call)
        try:
            check_reach(to_uri, self._settings.families)
            command = Dial(
                call,
                checked_uri(to_uri),
                checked_uri(from_uri),
                (relay_addr, relay_port),
                tuple(checked_header(name, value) for name, value in headers),
            )
        except CigError as error:
            logger.warning("%s: %s", call, error)
            self._post(Ended(call, error.sip_status, str(error), "us"))
            return
        self._submit(command)

    def ring(self, call: str) -> None:
        """Send 180 to the caller."""
        self._submit(Ring(call))

    def progress(self, call: str, relay_addr: str, relay_port: int) -> None:
        """Send 183 with SDP: the caller hears what the relay sends from now on."""
        self._submit(SendProgress(call, (relay_addr, relay_port)))

    def answer(self, call: str, relay_addr: str, relay_port: int) -> None:
        """Send 200 with SDP."""
        self._submit(Answer(call, (relay_addr, relay_port)))

    def reject(self, call: str, status: int, reason_header: str | None) -> None:
        """Refuse an incoming call with a final status (300 to 699; another one becomes 500)."""
        if not 300 <= status <= 699:
            status = 500
        self._submit(Reject(call, status, self._reason(reason_header)))

    def hangup(self, call: str, reason_header: str | None) -> None:
        """End a call whatever its state; ``reason_header`` is a value as in RFC 3326."""
        self._submit(HangUp(call, self._reason(reason_header)))

    def send_message(
        self, name: str, *, to_uri: str, from_uri: str, text: str, headers: Headers = ()
    ) -> None:
        """Send a MESSAGE of type text/plain; `MessageResult` tells with ``name`` how it ended.

        That comes at the latest after 32 s, timer F of RFC 3261.
        """
        try:
            check_reach(to_uri, self._settings.families)
            checked = tuple(checked_header(key, value) for key, value in headers)
            command = SendMessage(name, checked_uri(to_uri), checked_uri(from_uri), text, checked)
        except CigError as error:
            self._post(MessageResult(name, error.sip_status, str(error), heard=False))
            return
        self._submit(command)

    def answer_message(self, name: str, status: int, headers: Headers = ()) -> None:
        """Send the final response to a MESSAGE; one that is over by now stays without."""
        checked = []
        for key, value in headers:
            try:
                checked.append(checked_header(key, value))
            except CigError as error:
                self._counters["headers-left-out"] += 1
                logger.warning("%s", error)
        self._submit(AnswerMessage(name, status, tuple(checked)))

    def _reason(self, value: str | None) -> tuple[tuple[str, str], ...]:
        if value is None:
            return ()
        try:
            return (checked_header("Reason", value),)
        except CigError as error:
            self._counters["headers-left-out"] += 1
            logger.warning("%s", error)
            return ()

    def _submit(self, command: Command) -> None:
        if self._running:
            self._stack.submit(command)
        elif isinstance(command, Dial):
            self._post(Ended(command.call, 503, "the SIP trunk is not running", "us"))
        elif isinstance(command, SendMessage):
            self._post(MessageResult(command.name, 503, "the SIP trunk is not running", False))

    # --- events ---------------------------------------------------------------------------------

    def _post(self, event: SipEvent | MessageEvent | Refused) -> None:
        """Bring an event into the event loop; called in the stack's thread."""
        try:
            if self._loop is None:
                raise RuntimeError("the SIP trunk was never started")
            self._loop.call_soon_threadsafe(self._deliver, event)
        except RuntimeError:
            self._counters["events-lost"] += 1  # the loop is closed already

    def _deliver(self, event: SipEvent | MessageEvent | Refused) -> None:
        try:
            if isinstance(event, Refused):
                self._refused(event)
                return
            if isinstance(event, IncomingMessage | MessageResult):
                self._message(event)
                return
            if isinstance(event, IncomingInvite):
                self._live.add(event.call)
            elif event.call not in self._live:
                return
            if isinstance(event, Ended):
                self._live.discard(event.call)
            self._listener(event)
        except Exception:
            self._counters["listener-errors"] += 1
            logger.exception("an event of the SIP trunk could not be handled")

    def _message(self, event: MessageEvent) -> None:
        if self.message_listener is not None:
            self.message_listener(event)
        elif isinstance(event, IncomingMessage):
            self.answer_message(event.name, 405, NO_MESSAGES)

    def _refused(self, event: Refused) -> None:
        logger.warning(
            "INVITE for %s from %s refused with %d: %s",
            event.request_uri or "?",
            event.source,
            event.status,
            event.reason,
        )
        if self._on_refused is not None:
            self._on_refused(event)
