# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts that come as SIP MESSAGE (RFC 3428): refused with the status that fits, or kept and 202.

The rules:

1. ``messaging`` off: 405 with Allow. Anything but unencoded text/plain in UTF-8 or US-ASCII: 415
   with Accept. No text, or octets that are not of that charset: 400; more than `MAX_BODY`: 413.
   No route: what the maps say, 404, with a Reason.
2. 202 is sent once the text is on disk, so that nothing that was accepted is lost. That it was
   taken is on disk by the same commit, so that it is not taken twice, whenever we die.
3. A client whose 202 was lost sends its MESSAGE anew: what has the Call-ID, CSeq and From tag of
   one that was taken within `REPEAT_SECONDS` gets 202 and is left. While the first is being taken,
   the second waits for the same answer.
4. Where the gateway itself is at fault: 503 with Retry-After, if a later try may do, else 500.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from cig_common.config.model import Configuration
from cig_common.config.routing import Interface, RouteRejected, route
from cig_common.errors import CigError
from cig_common.texts.content import Held, ResponderType, TextContent
from cig_server.sif.commands import Headers
from cig_server.sif.events import IncomingMessage
from cig_server.sif.interface import NO_MESSAGES
from cig_server.texts.model import Origin
from cig_server.texts.store import TextStore, Work

__all__ = ["MAX_BODY", "SCHEMA", "SipIn"]

logger = logging.getLogger("Texts")

SCHEMA = """
CREATE TABLE IF NOT EXISTS sip_in (
    call_id TEXT NOT NULL,
    cseq INTEGER NOT NULL,
    from_tag TEXT NOT NULL,
    taken REAL NOT NULL,
    PRIMARY KEY (call_id, cseq, from_tag)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sip_in_taken ON sip_in (taken);
"""
MAX_BODY = 16_384
REPEAT_SECONDS = 600.0

_RETRY_AFTER = ("Retry-After", "5")
_ACCEPT = ("Accept", "text/plain")
_CHARSETS = {"": "utf-8", "utf-8": "utf-8", "us-ascii": "ascii"}
"""RFC 3261 section 7.4.1: UTF-8 where the sender says nothing."""

_Key = tuple[str, int, str]
Answer = tuple[int, Headers]


class Accepting(Protocol):
    """The way out to the CRS (`texts.sending.Sending`)."""

    async def accept(
        self,
        *,
        from_uri: str,
        to_uri: str,
        content: TextContent,
        origin: Origin,
        also: Work[None] | None = None,
    ) -> str:
        """Take a text, on disk when it returns its mid, and ``also`` with it. Raises CigError."""
        ...


class MessageAnswerer(Protocol):
    """The SIP trunk, as far as it answers MESSAGE (`sif.interface.SipInterface`)."""

    def answer_message(self, name: str, status: int, headers: Headers = ()) -> None:
        """Send the final response."""
        ...


class SipIn:
    """The way in from SIP. ``config`` is asked anew each time; ``clock``: seconds since 1970."""

    def __init__(
        self,
        *,
        config: Callable[[], Configuration],
        store: TextStore,
        sending: Accepting,
        sif: MessageAnswerer,
        clock: Callable[[], float],
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._config, self._store, self._sending = config, store, sending
        self._sif, self._clock = sif, clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._taking: dict[_Key, asyncio.Future[Answer]] = {}
        self._stopping = False

    def message(self, event: IncomingMessage) -> None:
        """Take a MESSAGE; its answer follows."""
        task = asyncio.create_task(self._handle(event), name=f"sip-in-{event.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Answer what comes with 503 from now on; wait for what is being taken."""
        self._stopping = True
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- one message ----------------------------------------------------------------------------

    async def _handle(self, event: IncomingMessage) -> None:
        answer: Answer = (503, (_RETRY_AFTER,))
        try:
            answer = await self._answer(event)
        except Exception as error:
            # Its words are left out: they could hold some of the text.
            logger.error("MESSAGE %s could not be taken: %s", event.call_id, type(error).__name__)
        finally:
            self.counters[f"sip-in-{answer[0]}"] += 1
            self._sif.answer_message(event.name, *answer)

    async def _answer(self, event: IncomingMessage) -> Answer:
        if self._stopping:
            return 503, (_RETRY_AFTER,)
        config = self._config()
        if not config.sip.messaging:
            return 405, NO_MESSAGES
        if event.content_type not in ("", "text/plain") or event.encoding not in ("", "identity"):
            return self._refused(event, 415, _ACCEPT, f"type {event.content_type!r}")
        if event.charset not in _CHARSETS:
            return self._refused(event, 415, _ACCEPT, f"charset {event.charset!r}")
        if len(event.body) > MAX_BODY:
            return self._refused(event, 413, None, f"{len(event.body)} octets")
        text = _text_of(event)
        if text is None:
            return self._refused(event, 400, None, "no text in that charset")
        try:
            found = route(config, Interface.SIP, event.request_uri, event.from_uri)
        except RouteRejected as error:
            return self._refused(event, error.sip_status, _reason(error), str(error))
        try:
            return await self._once(event, found.to_uri, found.from_uri, text)
        except CigError as error:
            status = 503 if error.retryable else error.sip_status
            headers = (_reason(error), *((_RETRY_AFTER,) if error.retryable else ()))
            logger.warning("MESSAGE %s is not taken: %s", event.call_id, error)
            return status, headers

    def _refused(
        self, event: IncomingMessage, status: int, header: tuple[str, str] | None, why: str
    ) -> Answer:
        logger.warning("MESSAGE for %s from %s refused with %d: %s",
                       event.request_uri, event.source, status, why)  # fmt: skip
        return status, () if header is None else (header,)

    async def _once(
        self, event: IncomingMessage, to_uri: str, from_uri: str, text: bytes
    ) -> Answer:
        """Take a text, unless it was taken before, or is being taken just now."""
        key = (event.call_id, event.cseq, event.from_tag)
        first = self._taking.get(key)
        if first is not None:
            self.counters["sip-in-repeated"] += 1
            return await asyncio.shield(first)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._taking[key] = future
        answer: Answer = (503, (_RETRY_AFTER,))
        try:
            answer = await self._take(key, to_uri, from_uri, text)
        finally:
            del self._taking[key]
            future.set_result(answer)
        return answer

    async def _take(self, key: _Key, to_uri: str, from_uri: str, text: bytes) -> Answer:
        now = self._clock()
        if await self._store.run(lambda db: _known(db, key, now)):
            self.counters["sip-in-repeated"] += 1
            return 202, ()
        content = TextContent(
            date=datetime.fromtimestamp(now, UTC),
            text=Held(text),
            responder_type=ResponderType.TEL_URI,
        )
        mid = await self._sending.accept(
            from_uri=from_uri,
            to_uri=to_uri,
            content=content,
            origin=Origin.SIP,
            also=lambda db: _note(db, key, now),
        )
        logger.info("MESSAGE %s is text %s from %s to %s", key[0], mid, from_uri, to_uri)
        return 202, ()


def _known(db: sqlite3.Connection, key: _Key, now: float) -> bool:
    found = db.execute(
        "SELECT 1 FROM sip_in WHERE call_id = ? AND cseq = ? AND from_tag = ? AND taken > ?",
        (*key, now - REPEAT_SECONDS),
    )
    return found.fetchone() is not None


def _note(db: sqlite3.Connection, key: _Key, now: float) -> None:
    db.execute("DELETE FROM sip_in WHERE taken <= ?", (now - REPEAT_SECONDS,))
    db.execute("INSERT OR REPLACE INTO sip_in VALUES (?, ?, ?, ?)", (*key, now))


def _text_of(event: IncomingMessage) -> bytes | None:
    """Give the text in UTF-8, with line feeds and without those at its end; None for none."""
    try:
        text = event.body.decode(_CHARSETS[event.charset])
    except UnicodeDecodeError:
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    return text.encode() if text.strip() and "\0" not in text else None


def _reason(error: CigError) -> tuple[str, str]:
    """Give a Reason header (RFC 3326) with the error's words, as far as they are plain ASCII."""
    words = "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in str(error))
    return "Reason", f'SIP;cause={error.sip_status};text="{words[:120]}"'
