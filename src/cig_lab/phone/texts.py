# SPDX-License-Identifier: GPL-3.0-or-later
"""The secure phone's texts: sealed, sent until they are stored, received once, receipted.

The rules:

- A text is sent again, the same octets from part 0, after each ``welcome`` until it is ``stored``.
- Parts are sent as there is room, so that a call's message need not wait.
- A text that comes again is receipted again, and not shown again.
- A text that opens, but whose content cannot be read, is refused.
- A text of ours is forgotten once its receipt has come, or the CRS has refused it.
- A receipt counts only when its signature is the recipient's.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field

from cig_lab.phone.link import CrsLink
from cig_lab.phone.mime import Attachment, ReceivedText, make_entity, read_entity
from cig_lab.phone.text_crypto import TextKeys
from mikey_sakke.errors import MikeySakkeError
from umsg.errors import ErrorCode, UmsgError
from umsg.messages import Message, Receipt, ReceiptStatus, Stored, Text, new_id
from umsg.texts import Assembler, Envelope, PartError, parts


class TextRefusedError(Exception):
    """The CRS did not take a text."""


@dataclass(slots=True)
class SentText:
    """A text of ours. ``stored`` is done when the CRS has it, ``receipt`` when its recipient says
    what became of it; both raise TextRefusedError where the CRS refuses it.
    """

    envelope: Envelope
    sealed: bytes = field(repr=False)
    stored: asyncio.Future[None]
    receipt: asyncio.Future[Receipt]

    @property
    def mid(self) -> str:
        """What names it."""
        return self.envelope.mid


@dataclass(slots=True)
class _Coming:
    assembler: Assembler
    sealed: bytearray


class PhoneTexts:
    """All texts of one phone. ``refuse`` may give a reason for which one is refused.

    ``duplicates`` counts texts that came again, ``forged`` what proved to be nobody's.
    """

    def __init__(self, keys: TextKeys, link: CrsLink) -> None:
        self.refuse: Callable[[ReceivedText], str | None] = lambda text: None
        self.duplicates = 0
        self.forged = 0
        self._keys = keys
        self._link = link
        self._sent: dict[str, SentText] = {}
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._coming: dict[str, _Coming] = {}
        self._receipts: dict[tuple[str, str], Receipt] = {}
        self._arrived: asyncio.Queue[ReceivedText] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    # --- what the lab asks ----------------------------------------------------------------------

    def send(
        self,
        to_uri: str,
        text: str,
        attachments: Sequence[Attachment] = (),
        *,
        auto_submitted: str = "no",
    ) -> SentText:
        """Seal a text and send it; raises MikeySakkeError for a URI that can have no keys."""
        entity = make_entity(text, attachments, auto_submitted=auto_submitted)
        return self.send_octets(to_uri, entity)

    def send_octets(self, to_uri: str, entity: bytes, *, mid: str = "") -> SentText:
        """Seal any content and send it."""
        mid = mid or new_id(secrets.token_bytes)
        envelope, sealed = self._keys.seal(mid, to_uri, entity, time.time())
        loop = asyncio.get_running_loop()
        sent = SentText(envelope, sealed, loop.create_future(), loop.create_future())
        for future in (sent.stored, sent.receipt):
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._sent[mid] = sent
        self._start(sent)
        return sent

    async def next(self) -> ReceivedText:
        """Wait for the next text that comes."""
        return await self._arrived.get()

    @property
    def unread(self) -> int:
        """How many texts have come that nobody has taken by `next`."""
        return self._arrived.qsize()

    async def stop(self) -> None:
        """Send and take nothing more."""
        tasks = {*self._sending.values(), *self._tasks}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- what the session reports ---------------------------------------------------------------

    def welcomed(self) -> None:
        """Send again what is not stored; what was coming will come again."""
        self._coming.clear()
        for sent in self._sent.values():
            if not sent.stored.done():
                self._start(sent)

    def message(self, message: Message) -> bool:
        """Take a message if it is of a text; tells whether it was."""
        match message:
            case Text():
                self._part(message)
            case Stored(mid=mid):
                if (sent := self._sent.get(mid)) is not None and not sent.stored.done():
                    sent.stored.set_result(None)
            case Receipt():
                self._receipt(message)
            case _:
                return False
        return True

    def error(self, mid: str, code: ErrorCode, text: str) -> None:
        """The CRS refuses a text of ours."""
        sent = self._forget(mid)
        if sent is None:
            return
        for future in (sent.stored, sent.receipt):
            if not future.done():
                future.set_exception(TextRefusedError(f"{code}: {text}"))

    # --- the inside -----------------------------------------------------------------------------

    def _start(self, sent: SentText) -> None:
        old = self._sending.pop(sent.mid, None)
        if old is not None:
            old.cancel()
        self._sending[sent.mid] = asyncio.ensure_future(self._send(sent))

    async def _send(self, sent: SentText) -> None:
        for part in parts(sent.envelope, sent.sealed):
            await self._link.room()
            self._link.send(part)

    def _forget(self, mid: str) -> SentText | None:
        sending = self._sending.pop(mid, None)
        if sending is not None:
            sending.cancel()
        return self._sent.pop(mid, None)

    def _receipt(self, receipt: Receipt) -> None:
        sent = self._sent.get(receipt.mid)
        if sent is None:
            return
        try:
            self._keys.check_receipt(receipt, sent.envelope.to_uri, sent.sealed, time.time())
        except MikeySakkeError:
            self.forged += 1
            return
        self._forget(sent.mid)
        if not sent.stored.done():
            sent.stored.set_result(None)
        if not sent.receipt.done():
            sent.receipt.set_result(receipt)

    def _part(self, message: Text) -> None:
        try:
            if message.seq == 0:
                coming = _Coming(Assembler(message), bytearray(message.data))
                self._coming[message.mid] = coming
            else:
                coming = self._coming[message.mid]
                coming.assembler.add(message)
                coming.sealed += message.data
        except (KeyError, PartError):
            self._coming.pop(message.mid, None)
            return
        if coming.assembler.complete:
            del self._coming[message.mid]
            self._spawn(self._whole(coming.assembler.envelope, bytes(coming.sealed)))

    async def _whole(self, envelope: Envelope, sealed: bytes) -> None:
        key = (envelope.from_uri, envelope.mid)
        if key in self._receipts:
            self.duplicates += 1
            self._link.send(self._receipts[key])
            return
        try:
            entity = self._keys.open(envelope, sealed, time.time())
        except (MikeySakkeError, UmsgError):
            self.forged += 1
            return
        text, reason = self._read(envelope, entity)
        status = ReceiptStatus.DELIVERED if reason is None else ReceiptStatus.REFUSED
        digest = hashlib.sha256(sealed).digest()
        receipt = self._keys.sign_receipt(envelope.mid, status, reason, digest, time.time())
        self._receipts[key] = receipt
        if text is not None and reason is None:
            self._arrived.put_nowait(text)
        self._link.send(receipt)

    def _read(self, envelope: Envelope, entity: bytes) -> tuple[ReceivedText | None, str | None]:
        """Give a text, and why it is refused, None where it is not."""
        try:
            text = read_entity(envelope.from_uri, envelope.to_uri, entity)
        except ValueError:
            return None, "content"
        return text, self.refuse(text)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
