# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done with a text that is whole: opened, read, and handed on to mailboxes and to SIP.

The order matters:

1. SIP is offered a text before the mailboxes get it. Once the journal has a text nothing of it is
   done again, so whatever is lost when the process dies must come before that.
2. A text that a mailbox takes is delivered when it is there, whatever SIP will answer. One that
   SIP alone takes is not settled until SIP has answered; the CRS keeps it meanwhile.
3. What cannot be taken ever is journalled as refused. What raises anything else is not settled.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections import Counter
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from cig_common.clock import Clock
from cig_common.config import Configuration
from cig_common.errors import CryptoError
from cig_common.texts.content import TextContent
from cig_server.texts.copies import Formats, Source, Target, copies
from cig_server.texts.model import ContentRefusedError, Outcome, TextKey
from cig_server.texts.ports import Deliverer, SipSink, TextOpening
from cig_server.texts.receipts import reason_word
from cig_server.texts.spool import Receiving, scratch_file
from umsg.messages import ReceiptStatus

_NOTICE = "notice:"
"""Before the ``mid`` of a notice, so that no text from the CRS has its key."""
_NO_DIGEST = bytes(32)

logger = logging.getLogger("Texts")


class Handing:
    """Settles texts. ``slots`` are the crypto engines that texts may have at once."""

    def __init__(
        self,
        *,
        config: Callable[[], Configuration],
        crypto: TextOpening,
        deliverer: Deliverer,
        formats: Formats,
        sip: SipSink | None,
        slots: asyncio.Semaphore,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        folder: Path,
        counters: Counter[str],
    ) -> None:
        self._config = config
        self._crypto = crypto
        self._deliverer = deliverer
        self._formats = formats
        self._sip = sip
        self._slots = slots
        self._clock = clock
        self._random_bytes = random_bytes
        self._folder = folder
        self._counters = counters
        self._awaited: dict[TextKey, bytes] = {}

    @property
    def awaited(self) -> Collection[TextKey]:
        """The texts that SIP has and has not answered yet."""
        return self._awaited.keys()

    async def settle(self, receiving: Receiving) -> Outcome | None:
        """Hand a whole text on; None where SIP's answer is awaited.

        What is returned is in the journal. Raises what is in the way for now.
        """
        key, digest = receiving.arrival.key, receiving.arrival.assembler.digest
        try:
            with scratch_file(self._folder) as opened:
                return await self._hand_on(receiving, digest, opened)
        except Exception as error:
            word = _refusal(error)
            if word is None:
                raise
            logger.warning("text %s from %s is refused: %s", key.mid, key.from_uri, error)
        return await self._refuse(key, digest, word)

    async def answered(self, key: TextKey, *, ok: bool, reason: str) -> Outcome | None:
        """Settle a text by SIP's answer; None where that was not awaited."""
        digest = self._awaited.pop(key, None)
        if digest is None:
            self._counters["sip-results-left"] += 1
            return None
        if not ok:
            return await self._refuse(key, digest, reason)
        await self._deliverer.deliver(key, digest, ())
        self._counters["delivered"] += 1
        return Outcome(ReceiptStatus.DELIVERED, "", digest)

    async def deliver_local(
        self, *, from_uri: str, to_uri: str, mid: str, domain: str, content: TextContent
    ) -> bool:
        """Deliver a text of our own; see `texts.incoming.Incoming.deliver_local`."""
        key = TextKey(from_uri, _NOTICE + mid)
        targets = self._formats.targets(self._config(), from_uri, to_uri)
        if targets:
            source = Source(from_uri, domain, mid)
            written = copies(self._formats, targets, content, source, self._random_bytes)
            await self._deliverer.deliver(key, _NO_DIGEST, written)
        elif self._sip is None or not await self._sip.offer(key, from_uri, to_uri, content):
            return False
        return True

    async def _hand_on(
        self, receiving: Receiving, digest: bytes, opened: BinaryIO
    ) -> Outcome | None:
        envelope = receiving.arrival.assembler.envelope
        async with self._slots:
            receiving.spool.seek(0)
            proved = await self._crypto.open(envelope, receiving.spool, opened)
        receiving.close()
        opened.seek(0)
        now = datetime.fromtimestamp(self._clock.utc(), UTC)
        content = await asyncio.to_thread(self._formats.parse, opened, now)
        key, to_uri = receiving.arrival.key, envelope.to_uri
        source = Source(envelope.from_uri, proved.domain, envelope.mid)
        targets = self._formats.targets(self._config(), source.uri, to_uri)
        if targets:
            return await self._to_mailboxes(key, digest, to_uri, content, source, targets)
        if await self._to_sip_alone(key, digest, to_uri, content):
            return None
        logger.warning("text %s from %s to %s is refused: no mailbox takes it",
                       key.mid, key.from_uri, to_uri)  # fmt: skip
        return await self._refuse(key, digest, "no-mailbox")

    async def _to_mailboxes(
        self,
        key: TextKey,
        digest: bytes,
        to_uri: str,
        content: TextContent,
        source: Source,
        targets: tuple[Target, ...],
    ) -> Outcome:
        if self._sip is not None:
            # The mailboxes have the attachments: nobody need be told that SIP leaves them out.
            plain = dataclasses.replace(content, attachments=())
            try:
                await self._sip.offer(key, key.from_uri, to_uri, plain)
            except ContentRefusedError:
                self._counters["unfit-for-sip"] += 1
        written = copies(self._formats, targets, content, source, self._random_bytes)
        await self._deliverer.deliver(key, digest, written)
        self._counters["delivered"] += 1
        logger.info("text %s from %s to %s is in %d mailboxes",
                    key.mid, key.from_uri, to_uri, len(written))  # fmt: skip
        return Outcome(ReceiptStatus.DELIVERED, "", digest)

    async def _to_sip_alone(
        self, key: TextKey, digest: bytes, to_uri: str, content: TextContent
    ) -> bool:
        if self._sip is None:
            return False
        self._awaited[key] = digest  # before the offer: the answer may come before it returns
        offered = False
        try:
            offered = await self._sip.offer(key, key.from_uri, to_uri, content)
        finally:
            if not offered:
                self._awaited.pop(key, None)
        return offered

    async def _refuse(self, key: TextKey, digest: bytes, word: str) -> Outcome:
        word = reason_word(word)
        await self._deliverer.refuse(key, digest, word)
        self._counters["refused"] += 1
        return Outcome(ReceiptStatus.REFUSED, word, digest)


def _refusal(error: Exception) -> str | None:
    """Return the receipt's word for what makes a text impossible for good, None for the rest."""
    if isinstance(error, ContentRefusedError):
        return error.word
    if isinstance(error, CryptoError) and not error.retryable:
        return "crypto"
    return None
