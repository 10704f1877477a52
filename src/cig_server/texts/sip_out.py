# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts that leave the gateway as SIP MESSAGE (RFC 3428).

The rules:

1. `SipOut.offer` takes a text only where the maps of cig.conf lead it to SIP and ``messaging`` is
   on; it is on disk then. Of one key there is one text, within the journal's time.
2. At most `WINDOW` are under way, of each recipient one; in the order in which they came, as long
   as nothing fails. Each attempt asks the maps anew.
3. 2xx: it has arrived. A status of `_AGAIN`, no response, or no route any more: it is tried again
   after 10 s, doubling up to 15 min; given up once it is older than ``retry_seconds``, when an
   attempt fails and we have been running for `_GRACE`. Any other status refuses it for good. The
   end is on disk before it is told.
4. Attachments are left out. The sender hears of it, durably, when the text has arrived.
5. When the gateway stops, what is under way stays as it is and is sent again at the next start:
   the PBX may get that one twice, for SIP has no word for "the same one again".
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Protocol

from cig_common.config.model import Configuration
from cig_common.config.routing import Interface, Route, RouteRejected, route
from cig_common.errors import CigError
from cig_common.texts.content import TextContent
from cig_server.sif.commands import Headers
from cig_server.sif.events import MessageResult
from cig_server.texts.model import ContentRefusedError, QueueFacts, StorageError, TextKey
from cig_server.texts.sip_out_store import SCHEMA, Final, SipOutStore, Waiting
from cig_server.texts.store import TextStore

__all__ = ["MAX_TEXT", "SCHEMA", "SipOut"]

logger = logging.getLogger("Texts")

MAX_TEXT = 6_000
"""Octets of UTF-8: with its header it fits in the 8,000 that the SIP stack can send."""
WINDOW = 16
_FIRST_WAIT, _LONGEST_WAIT = 10.0, 900.0
_TROUBLE_WAIT = 10.0
_RESULT_LIMIT = 60.0
"""Above timer F, 32 s, after which the stack itself gives up."""
_PRUNE_EVERY = 3_600.0
_GRACE = 600.0
"""Seconds of our own running before a text is given up: the PBX may be starting too."""

_AGAIN = frozenset({408, 480, 486, 500, 502, 503, 504, 600})
"""Final statuses that may be another one later; 486 and 600, busy, are of calls."""

OnResult = Callable[[TextKey, bool, str], None]
NotifyAttachments = Callable[[TextKey, str, str, int], Awaitable[None]]


class MessageSender(Protocol):
    """The SIP trunk, as far as it sends MESSAGE (`sif.interface.SipInterface`)."""

    def send_message(
        self, name: str, *, to_uri: str, from_uri: str, text: str, headers: Headers = ()
    ) -> None:
        """Send one; a `MessageResult` comes for ``name``."""
        ...


class SipOut:
    """The way out to SIP.

    ``config`` and ``retry_seconds`` are asked anew each time. ``on_result`` gets (key, ok, reason)
    of each text once; ``reason`` is a stable word, ``sip-404`` for a status. ``notify_attachments``
    gets (key, from_uri, to_uri, how many); what it raises has it called again later. ``clock``
    gives seconds since 1970.
    """

    def __init__(
        self,
        *,
        config: Callable[[], Configuration],
        store: TextStore,
        sif: MessageSender,
        on_result: OnResult,
        notify_attachments: NotifyAttachments,
        clock: Callable[[], float],
        retry_seconds: Callable[[], float],
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.trouble = ""
        self._config, self._sif, self._clock = config, sif, clock
        self._store = SipOutStore(store)
        self._on_result, self._notify = on_result, notify_attachments
        self._retry_seconds = retry_seconds
        self._numbers = itertools.count(1)
        self._results: dict[str, asyncio.Future[MessageResult]] = {}
        self._under_way: dict[int, str] = {}
        """By row, the recipient."""
        self._attempts: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._pruned_at = 0.0
        self._began = 0.0

    async def start(self) -> None:
        """Begin to send, with what is on disk first."""
        self._began = self._clock()
        self._worker = asyncio.create_task(self._work(), name="sip-out")

    async def stop(self) -> None:
        """Begin nothing more; what is under way stays on disk."""
        tasks = [task for task in (self._worker, *self._attempts) if task is not None]
        self._worker = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def offer(self, key: TextKey, from_uri: str, to_uri: str, content: TextContent) -> bool:
        """Take a text to send, on disk when it returns; False where no route leads to SIP.

        ``content`` is read within the call only. A key that is known is not sent again; its final
        answer, where there is one, is told once more. Raises StorageError, and ContentRefusedError
        ``too-large`` for a text of more than `MAX_TEXT` octets.
        """
        if self._route(from_uri, to_uri) is None:
            return False
        text = await asyncio.to_thread(_text_of, content)
        now = self._clock()
        waiting = Waiting(
            key, from_uri, to_uri, content.date.timestamp(), text, len(content.attachments), now
        )
        final = await self._store.add(waiting)
        if final is not None:
            self.counters["sip-out-repeated"] += 1
            asyncio.get_running_loop().call_soon(self._tell, key, final)
        self._wake.set()
        return True

    def result(self, event: MessageResult) -> None:
        """Take what became of a MESSAGE."""
        future = self._results.pop(event.name, None)
        if future is not None and not future.done():
            future.set_result(event)

    def look(self) -> None:
        """Look at once for what is due, where ``clock`` may have jumped."""
        self._wake.set()

    async def facts(self) -> list[QueueFacts]:
        """Tell of the queue; StorageError."""
        return [await self._store.facts()]

    # --- the worker -----------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            try:
                seconds = await self._turn()
                self.trouble = ""
            except StorageError as error:
                self.trouble = str(error)
                seconds = _TROUBLE_WAIT
            except Exception as error:
                self.counters["sip-out-faults"] += 1
                logger.error("sending texts by SIP failed: %s", type(error).__name__)
                seconds = _TROUBLE_WAIT
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()

    async def _turn(self) -> float:
        """Begin what is due and has room; give the seconds until something else is."""
        now = self._clock()
        if now - self._pruned_at >= _PRUNE_EVERY:
            await self._store.prune(now)
            self._pruned_at = now
        owing = await self._notify_owed()
        # More than fit, so that one recipient with many texts does not hide the others.
        for text in await self._store.due(now, WINDOW * 16):
            if len(self._under_way) >= WINDOW:
                break
            if text.seq not in self._under_way and text.to_uri not in self._under_way.values():
                self._begin(text)
        # What is due and found no room is begun when an attempt ends, which wakes this up.
        longest = _TROUBLE_WAIT if owing else _PRUNE_EVERY
        next_at = await self._store.next_at(now)
        return longest if next_at is None else min(max(next_at - now, 0.0), longest)

    async def _notify_owed(self) -> bool:
        """Tell senders of their attachments; whether some are still to hear."""
        for text in await self._store.owed(WINDOW):
            try:
                await self._notify(text.key, text.from_uri, text.to_uri, text.attachments)
            except CigError as error:
                logger.warning("a notice of attachments must wait: %s", error)
                return True
            await self._store.told(text.seq)
        return False

    def _begin(self, text: Waiting) -> None:
        self._under_way[text.seq] = text.to_uri
        task = asyncio.create_task(self._attempt(text), name=f"sip-out-{text.seq}")
        self._attempts.add(task)
        task.add_done_callback(self._attempts.discard)

    async def _attempt(self, text: Waiting) -> None:
        try:
            result = await self._send(text)
            while not await self._noted(text, result):
                await asyncio.sleep(_TROUBLE_WAIT)
        except Exception as error:
            self.counters["sip-out-faults"] += 1
            logger.error("text %s: sending it failed: %s", text.key.mid, type(error).__name__)
            await asyncio.sleep(_TROUBLE_WAIT)
        finally:
            del self._under_way[text.seq]
            self._wake.set()

    async def _noted(self, text: Waiting, result: MessageResult) -> bool:
        """Write down what became of an attempt; False where that fails for now."""
        try:
            await self._conclude(text, result)
        except StorageError as error:
            # Not sent again meanwhile: it may have arrived.
            self.trouble = str(error)
            return False
        return True

    async def _send(self, text: Waiting) -> MessageResult:
        name = f"text-{next(self._numbers)}"
        found = self._route(text.from_uri, text.to_uri)
        if found is None:
            return MessageResult(name, 503, "no route leads to SIP any more", heard=False)
        date = format_datetime(datetime.fromtimestamp(text.date, UTC), usegmt=True)
        future: asyncio.Future[MessageResult] = asyncio.get_running_loop().create_future()
        self._results[name] = future
        try:
            self._sif.send_message(
                name,
                to_uri=found.to_uri,
                from_uri=found.from_uri,
                text=text.text,
                headers=(("Date", date),),
            )
            async with asyncio.timeout(_RESULT_LIMIT):
                return await future
        except TimeoutError:
            return MessageResult(name, 408, "the SIP stack did not tell", heard=False)
        finally:
            self._results.pop(name, None)

    async def _conclude(self, text: Waiting, result: MessageResult) -> None:
        now = self._clock()
        if 200 <= result.status < 300:
            await self._settle(text, Final(True, ""), now)
            return
        reason = f"{result.status} {result.reason}"
        passing = not result.heard or result.status in _AGAIN
        old = now - text.arrived >= self._retry_seconds() and now - self._began >= _GRACE
        if passing and not old:
            self.counters["sip-out-retries"] += 1
            logger.warning("text %s was not taken by SIP: %s", text.key.mid, reason)
            wait = min(_FIRST_WAIT * 2 ** min(text.attempts, 16), _LONGEST_WAIT)
            await self._store.put_off(text.seq, now + wait, reason, now)
            return
        logger.warning("text %s is refused by SIP: %s", text.key.mid, reason)
        word = "sip-unreachable" if not result.heard else f"sip-{result.status}"
        await self._settle(text, Final(False, word), now)

    async def _settle(self, text: Waiting, final: Final, now: float) -> None:
        await self._store.settle(text.seq, final, now)
        self.counters["sip-out-sent" if final.ok else "sip-out-refused"] += 1
        self._tell(text.key, final)

    def _tell(self, key: TextKey, final: Final) -> None:
        try:
            self._on_result(key, final.ok, final.reason)
        except Exception:
            self.counters["sip-out-faults"] += 1
            logger.exception("the end of text %s could not be told", key.mid)

    def _route(self, from_uri: str, to_uri: str) -> Route | None:
        config = self._config()
        if not config.sip.messaging:
            return None
        try:
            return route(config, Interface.TEL, to_uri, from_uri)
        except RouteRejected:
            return None


def _text_of(content: TextContent) -> str:
    """Read the text; for one of attachments only, say so in its place."""
    octets = bytearray()
    for chunk in content.text.chunks():
        octets += chunk
        if len(octets) > MAX_TEXT:
            raise ContentRefusedError("too-large", f"a text over {MAX_TEXT} octets, for SIP")
    if not octets and content.attachments:
        return f"[{len(content.attachments)} attachments, which cannot be sent by SIP]"
    return octets.decode("utf-8", "replace")
