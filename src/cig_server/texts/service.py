# SPDX-License-Identifier: GPL-3.0-or-later
"""The text service: joins what receives texts, what delivers them, what sends them, and SIP.

The rules:

1. It works while its folder can be used. Where that fails at the start, calls go on without it: no
   text is taken, so that the CRS and the mailboxes keep theirs, ``status`` says why, and it is
   tried again every `RETRY_SECONDS`.
2. It hears of the CRS only once what earlier runs left half done is whole again.
3. A MESSAGE that comes before it has begun is answered then, for it may be one that an earlier run
   has taken, and 503 would say that it was not.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypedDict

from cig_common.clock import Clock
from cig_common.config import Configuration, MailboxKind
from cig_common.errors import CigError, OverloadError
from cig_common.texts.content import TextContent
from cig_server.relay.client import RelayClient
from cig_server.sif.events import IncomingMessage, MessageEvent, MessageResult
from cig_server.sif.interface import SipInterface
from cig_server.texts import outbox_store, received, sip_in, sip_out
from cig_server.texts.crypto import TextCrypto
from cig_server.texts.delivery import Deliverer
from cig_server.texts.formats import MailboxFormats
from cig_server.texts.incoming import Incoming
from cig_server.texts.model import Origin, QueueFacts, StorageError, TextKey
from cig_server.texts.notices import attachments_notice
from cig_server.texts.sending import Sending
from cig_server.texts.sip_in import SipIn
from cig_server.texts.sip_out import SipOut
from cig_server.texts.store import TextStore
from cig_server.uif.interface import UmsgInterface
from umsg.errors import ErrorCode
from umsg.messages import Receipt, Text

RETRY_SECONDS = 10.0
MAX_EARLY = 1_024
"""SIP messages that may wait for the start."""
_SCHEMAS = (received.SCHEMA, outbox_store.SCHEMA, sip_in.SCHEMA, sip_out.SCHEMA)
_HOUR = 3600.0

logger = logging.getLogger("Texts")


class _Given(TypedDict):
    config: Callable[[], Configuration]
    clock: Clock
    random_bytes: Callable[[int], bytes]


class TextService:
    """All about texts, behind one face: a `cig_server.uif.interface.TextListener`.

    ``folder`` is its state folder, made where it is missing; ``config`` gives the configuration in
    use.
    """

    def __init__(
        self,
        *,
        folder: Path,
        config: Callable[[], Configuration],
        relay: RelayClient,
        uif: UmsgInterface,
        sif: SipInterface,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._folder = folder
        self._uif = uif
        self._sif = sif
        self._clock = clock
        self._problem = "the text service is not started yet"
        self._task: asyncio.Task[None] | None = None
        self._running = False
        self._early: list[IncomingMessage] | None = []
        self._store = store = TextStore(folder, _SCHEMAS)
        crypto = TextCrypto(relay)
        given: _Given = {"config": config, "clock": clock, "random_bytes": random_bytes}
        retry_seconds = partial(_retry_seconds, config)
        self._deliverer = Deliverer(
            store, mailboxes=lambda: _written(config()), clock=clock, random_bytes=random_bytes
        )
        self._sip_out = SipOut(
            config=config,
            store=store,
            sif=sif,
            on_result=self._sip_result,
            notify_attachments=self._attachments_left,
            clock=clock.utc,
            retry_seconds=retry_seconds,
        )
        self._incoming = Incoming(
            crypto=crypto,
            deliverer=self._deliverer,
            formats=MailboxFormats(),
            sip=self._sip_out,
            link=uif,
            relay_ready=lambda: relay.connected and uif.identity is not None,
            folder=folder,
            **given,
        )
        self._sending = Sending(
            store=store,
            crypto=crypto,
            link=uif,
            own_uri=lambda: uif.identity.public_id if uif.identity is not None else None,
            notify=self._incoming,
            folder=folder,
            retry_seconds=retry_seconds,
            **given,
        )
        self._sip_in = SipIn(
            config=config, store=store, sending=self._sending, sif=sif, clock=clock.utc
        )
        sif.message_listener = self._message

    async def start(self) -> None:
        """Begin; where the folder cannot be used yet, go on trying."""
        begun = await self._begin()
        early, self._early = self._early or [], None
        for event in early:
            self._sip_in.message(event)
        if not begun:
            self._task = asyncio.create_task(self._try_again(), name="texts-start")

    async def stop(self) -> None:
        """Take and send nothing more; what is under way stays on disk."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._uif.texts = None
        if not self._running:
            return
        self._running = False
        for part in (self._sip_in, self._sending, self._sip_out, self._incoming, self._deliverer):
            await part.stop()
        await self._store.close()

    def reconfigured(self) -> None:
        """Another configuration is in use: its mailboxes are watched from now on."""
        if self._running:
            self._sending.reconfigured()
            self._sip_out.look()

    async def _begin(self) -> bool:
        try:
            await asyncio.to_thread(_make, self._folder)
            await self._store.open()
            try:
                await self._sending.prepare()
                await self._deliverer.start()
            except BaseException:
                await self._store.close()
                raise
        except (CigError, OSError) as error:
            told = f"no text is taken or sent: {error}"
            if told != self._problem:
                self._problem = told
                logger.warning("%s; trying again every %g s", told, RETRY_SECONDS)
            return False
        for part in (self._incoming, self._sip_out, self._sending):
            await part.start()
        self._running, self._problem = True, ""
        self._uif.texts = self
        if self._uif.connected:
            self.texts_connected()
            self._uif.ask_again()  # what came before was left
        return True

    async def _try_again(self) -> None:
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            if await self._begin():
                logger.info("texts are taken and sent now")
                return

    # --- the CRS --------------------------------------------------------------------------------

    def texts_connected(self) -> None:
        """A CRS has welcomed us."""
        self._incoming.connected()
        self._sending.connected()

    def texts_lost(self) -> None:
        """The connection is gone."""
        self._incoming.lost()
        self._sending.lost()

    def text_part(self, part: Text) -> None:
        """A part of a text for us came."""
        self._incoming.part(part)

    def text_stored(self, mid: str) -> None:
        """The CRS has a text of ours on disk."""
        self._sending.stored(mid)

    def text_receipt(self, receipt: Receipt) -> None:
        """A recipient says what became of a text of ours."""
        self._sending.receipt(receipt)

    def text_error(self, mid: str, code: ErrorCode, text: str) -> None:
        """The CRS refuses a text of ours."""
        self._sending.error(mid, code, text)

    # --- SIP ------------------------------------------------------------------------------------

    def _message(self, event: MessageEvent) -> None:
        if isinstance(event, MessageResult):
            self._sip_out.result(event)
        elif self._early is not None and len(self._early) < MAX_EARLY:
            self._early.append(event)
        else:
            self._sip_in.message(event)  # 503 while our folder cannot be used

    def _sip_result(self, key: TextKey, ok: bool, reason: str) -> None:
        self._incoming.sip_result(key, ok, reason)

    async def _attachments_left(self, key: TextKey, from_uri: str, to_uri: str, count: int) -> None:
        if not self._running:
            raise OverloadError("the gateway is being stopped")
        content: TextContent = attachments_notice(count, to_uri=to_uri, now=_moment(self._clock))
        await self._sending.accept(
            from_uri=to_uri, to_uri=from_uri, content=content, origin=Origin.GATEWAY
        )

    # --- what is shown --------------------------------------------------------------------------

    @property
    def trouble(self) -> str:
        """What keeps texts from being taken or sent at present; empty where all is well."""
        return (
            self._problem
            or self._deliverer.trouble
            or self._incoming.trouble
            or self._sending.trouble
            or self._sip_out.trouble
        )

    @property
    def counters(self) -> Counter[str]:
        """What was counted since the start."""
        total: Counter[str] = Counter()
        for part in (self._deliverer, self._incoming, self._sending, self._sip_in, self._sip_out):
            total.update(part.counters)
        return total

    async def facts(self) -> list[QueueFacts]:
        """Give the queues as they are now."""
        if not self._running:
            return []
        found: list[QueueFacts] = []
        for part in (self._incoming, self._sending, self._deliverer, self._sip_out):
            found += await part.facts()
        return found


def _retry_seconds(config: Callable[[], Configuration]) -> float:
    return config().retry_hours * _HOUR


def _written(config: Configuration) -> list[str]:
    return [box.path for box in config.mailboxes if box.kind is MailboxKind.WRITE]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        raise StorageError(
            str(folder), "the folder above it does not exist: make it, or choose --texts"
        ) from None
    except OSError as error:
        raise StorageError(str(folder), f"it cannot be made ({error.strerror})") from None


def _moment(clock: Clock) -> datetime:
    return datetime.fromtimestamp(clock.utc(), UTC)
