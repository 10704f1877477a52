# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts that pass through the CRS: kept until their recipient has receipted them.

The rules:

- A text is taken from the owner of its ``from`` alone, for a URI that exists; its parts come in
  order. When all of it is on disk its sender is told ``stored``. One that is sent again is told
  the same and delivered no second time.
- A recipient that is there gets its texts in the order in which they came, at most `WINDOW` that
  it has not receipted, part by part as there is room. After each ``welcome`` it gets all of them
  again, from part 0.
- A ``receipt`` is taken from a text's recipient alone. The text is dropped, and the receipt goes to
  the sender, when it is there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container
from dataclasses import dataclass, field

from cig_lab.crs.calls import Delivery, bare
from cig_lab.crs.stats import CrsStats
from cig_lab.crs.text_store import Key, StoredText, TextStore
from umsg.errors import ErrorCode
from umsg.messages import ErrorMessage, Message, Receipt, Stored, Text
from umsg.texts import Assembler, PartError, part, part_count

WINDOW = 32
"""Texts that a recipient may have without a receipt."""
MAX_COMING = 64
"""Texts of one sender whose parts have not all come."""

TextTamper = Callable[[Message], list[Message]]
"""A dishonest server for tests: what is sent in the place of a text's part, or of a receipt."""


def honest(message: Message) -> list[Message]:
    """Hand a message on as it is."""
    return [message]


@dataclass(slots=True)
class _Coming:
    assembler: Assembler
    sealed: bytearray


@dataclass(slots=True)
class _Recipient:
    """What one URI waits for, in order; ``sent`` counts those of its window."""

    waiting: dict[Key, StoredText] = field(default_factory=dict)
    queue: deque[StoredText] = field(default_factory=deque)
    unreceipted: set[Key] = field(default_factory=set)
    current: tuple[StoredText, int] | None = None
    """The text that is being sent, and its next part."""


class TextBook:
    """All texts of a CRS. ``tamper`` may be set at any time."""

    def __init__(self, store: TextStore, stats: CrsStats) -> None:
        self.tamper: TextTamper = honest
        self._store = store
        self._stats = stats
        self._coming: dict[Key, _Coming] = {}
        self._recipients: dict[str, _Recipient] = {}
        texts, self._done = store.load()
        self._number = texts[-1].number if texts else 0
        for text in texts:
            self._recipient(text.recipient).waiting[text.key] = text

    @property
    def known(self) -> Container[str]:
        """URIs that ever came in."""
        return self._store.known

    def pending(self, uri: str) -> int:
        """Tell how many texts wait for a URI."""
        return len(self._recipient(uri).waiting)

    def welcomed(self, uri: str) -> list[Delivery]:
        """Begin anew with a URI that came in; gives the receipts that it has not had."""
        self._store.add_known(uri)
        for key in [key for key in self._coming if key[0] == uri]:
            del self._coming[key]
        recipient = self._recipient(uri)
        recipient.queue = deque(recipient.waiting.values())
        recipient.unreceipted, recipient.current = set(), None
        found: list[Delivery] = []
        for key, receipt in list(self._done.items()):
            if key[0] == uri and receipt is not None:
                found += [(uri, message) for message in self.tamper(receipt)]
                self._finish(key, None)
        return found

    def receive(self, uri: str, message: Text | Receipt, online: Container[str]) -> list[Delivery]:
        """Take a part or a receipt from the client of ``uri``; gives what to send to whom."""
        if isinstance(message, Receipt):
            return self._receipt(uri, message, online)
        return self._part(uri, message, online)

    def next_parts(self, uri: str) -> list[Message]:
        """Give what is to be sent next to a recipient that has room; nothing where all is sent."""
        recipient = self._recipient(uri)
        while recipient.current is None:
            if not recipient.queue or len(recipient.unreceipted) >= WINDOW:
                return []
            text = recipient.queue.popleft()
            if text.key in recipient.waiting:
                recipient.unreceipted.add(text.key)
                recipient.current = (text, 0)
        text, seq = recipient.current
        of = part_count(len(text.sealed))
        size = -(-len(text.sealed) // of)
        recipient.current = (text, seq + 1) if seq + 1 < of else None
        data = text.sealed[seq * size : (seq + 1) * size]
        return self.tamper(part(text.envelope, seq, of, data))

    # --- from the sender ------------------------------------------------------------------------

    def _part(self, uri: str, message: Text, online: Container[str]) -> list[Delivery]:
        key = (uri, message.mid)
        if message.seq == 0 and (refusal := self._refusal(uri, message)) is not None:
            self._coming.pop(key, None)
            return [(uri, refusal)]
        if message.seq and key not in self._coming:
            return []  # what follows a text that was refused
        try:
            self._take(key, message)
        except PartError as error:
            self._coming.pop(key, None)
            return [(uri, ErrorMessage(code=error.code, text=str(error), mid=message.mid))]
        if not self._coming[key].assembler.complete:
            return []
        return self._complete(key, self._coming.pop(key), online)

    def _take(self, key: Key, message: Text) -> None:
        if message.seq == 0:
            self._coming[key] = _Coming(Assembler(message), bytearray(message.data))
        else:
            self._coming[key].assembler.add(message)
            self._coming[key].sealed += message.data

    def _refusal(self, uri: str, first: Text) -> ErrorMessage | None:
        code = None
        if first.from_uri is None or first.to_uri is None or bare(first.from_uri) != uri:
            code, text = ErrorCode.FORBIDDEN, "from is not your own"
        elif bare(first.to_uri) not in self._store.known:
            code, text = ErrorCode.NOT_FOUND, "nobody has this number"
        elif sum(key[0] == uri for key in self._coming) >= MAX_COMING:
            code, text = ErrorCode.OVERLOAD, "too many texts at once"
        if code is None:
            return None
        self._stats.forbidden += code is ErrorCode.FORBIDDEN
        return ErrorMessage(code=code, text=text, mid=first.mid)

    def _complete(self, key: Key, coming: _Coming, online: Container[str]) -> list[Delivery]:
        stored: list[Delivery] = [(key[0], Stored(mid=key[1]))]
        envelope = coming.assembler.envelope
        recipient = self._recipient(bare(envelope.to_uri))
        if key in self._done or key in recipient.waiting:
            self._stats.texts_again += 1
            return stored
        self._number += 1
        text = StoredText(self._number, envelope, bytes(coming.sealed))
        self._store.keep(text)
        self._stats.texts += 1
        recipient.waiting[key] = text
        if text.recipient in online:
            recipient.queue.append(text)
        return stored

    # --- from the recipient ---------------------------------------------------------------------

    def _receipt(self, uri: str, receipt: Receipt, online: Container[str]) -> list[Delivery]:
        recipient = self._recipient(uri)
        keys = [key for key in recipient.unreceipted if key[1] == receipt.mid]
        if not keys:
            return []  # receipted before, never sent, or nobody's
        key = keys[0]
        del recipient.waiting[key]
        recipient.unreceipted.discard(key)
        self._stats.receipts += 1
        if key[0] in online:
            self._finish(key, None)
            return [(key[0], message) for message in self.tamper(receipt)]
        self._finish(key, receipt)
        return []

    def _finish(self, key: Key, receipt: Receipt | None) -> None:
        self._store.finish(key, receipt)
        self._done[key] = receipt

    def _recipient(self, uri: str) -> _Recipient:
        return self._recipients.setdefault(uri, _Recipient())
