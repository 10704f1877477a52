# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts that the CRS keeps for their recipients. No I/O, no clock.

The rules:
- A sender's parts are put together; once whole, the text is given to the disk as a job, and
  `stored` goes out when that job is done. A `from` that is not the sender's own, a recipient that
  nobody knows, a text too large, or too much under way is refused by an `error` with its `mid`.
- A text is named by its recipient (bare) and `mid`. One that comes again is answered by `stored`
  again, and kept once; other content or another sender under that name is refused.
- After each `welcome` a recipient is sent all that it has not receipted, from part 0, in the order
  in which it came; at most 32 texts without a receipt are on their way to it.
- A receipt is taken from the recipient only. It is given to the disk before the text is dropped,
  and handed to the sender at once, or after his next `welcome`. There is no answer to a receipt:
  it counts as arrived when the connection has stood for 60 s after it; else it goes out again.
- A job that failed changes nothing: the sender is told `error internal`, and a receipt will be
  given once more when its text is sent once more.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from cig_lab.crs.calls import Delivery, bare
from cig_lab.crs.stats import CrsStats
from cig_lab.crs.text_jobs import DropReceipt, Job, Know, StoredText, StoreReceipt, StoreText
from umsg.errors import ErrorCode
from umsg.messages import ErrorMessage, Receipt, Stored, Text
from umsg.texts import Assembler, PartError, part_count

WINDOW = 32
"""Texts without a receipt that are on their way to one recipient."""
MAX_UNDER_WAY = 64
"""Texts of one sender that are not whole yet."""
MAX_UNDER_WAY_OCTETS = 64 << 20
"""Octets of those."""
MAX_WAITING = 100_000
"""Texts that wait for one recipient."""
RECEIPT_SECONDS = 60.0
"""How long a connection must stand after a receipt was sent on it."""
_REMEMBERED = 4096
"""Receipted texts, and refused ones of a sender, that are remembered."""

Name = tuple[str, str]
"""A text's name: its recipient's bare URI, and its `mid`."""


class _State(Enum):
    STORING = "on its way to the disk"
    WAITING = "on disk, without a receipt"
    RECEIPTED = "its receipt is on its way to the disk"


@dataclass(slots=True)
class _Entry:
    text: StoredText
    state: _State


@dataclass(slots=True)
class _Incoming:
    assembler: Assembler
    data: bytearray


@dataclass(slots=True)
class _Sending:
    """What goes to one recipient that is here."""

    order: deque[_Entry]
    unreceipted: set[str] = field(default_factory=set)
    current: _Entry | None = None
    seq: int = 0


@dataclass(slots=True)
class _Kept:
    receipt: Receipt
    sent_at: float | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """What is to be sent next to a recipient: part `seq` `of` a text that is on disk."""

    text: StoredText
    seq: int
    of: int


class TextBook:
    """All texts of a CRS. `jobs` are for the disk; each is reported by `done` or `failed`."""

    def __init__(self, stats: CrsStats) -> None:
        self.jobs: deque[Job] = deque()
        self._stats = stats
        self._known: set[str] = set()
        self._next_number = 1
        self._entries: dict[Name, _Entry] = {}
        self._queues: dict[str, dict[str, _Entry]] = {}
        self._sending: dict[str, _Sending] = {}
        self._incoming: dict[str, dict[str, _Incoming]] = {}
        self._refused: dict[str, set[str]] = {}
        self._receipts: dict[str, dict[int, _Kept]] = {}
        self._handed: deque[tuple[float, str, int]] = deque()
        self._past: OrderedDict[Name, tuple[StoredText, Receipt]] = OrderedDict()

    def load(
        self,
        known: Iterable[str],
        texts: Iterable[StoredText],
        receipts: Iterable[tuple[StoredText, Receipt]],
    ) -> None:
        """Take what the disk has, at the start; texts in the order in which they came."""
        self._known.update(known)
        self._stats.texts_now = 0
        for text in texts:
            self._next_number = max(self._next_number, text.number + 1)
            self._keep(_Entry(text, _State.WAITING))
        for text, receipt in receipts:
            self._next_number = max(self._next_number, text.number + 1)
            self._receipts.setdefault(bare(text.from_uri), {})[text.number] = _Kept(receipt)
            self._remember(text, receipt)

    def pending(self, uri: str) -> int:
        """Return how many texts wait for a URI."""
        return len(self._queues.get(uri, ()))

    def know(self, uri: str) -> None:
        """Let a bare URI be one that texts can be sent to, from now on and for good."""
        if uri not in self._known:
            self._known.add(uri)
            self.jobs.append(Know(uri))

    # --- connections ----------------------------------------------------------------------------

    def welcomed(self, uri: str, now: float) -> list[Delivery]:
        """Begin anew with a client that is here; return the receipts that it has missed."""
        self.gone(uri)
        self.know(uri)
        self._sending[uri] = _Sending(deque(self._queues.get(uri, {}).values()))
        return self._hand_receipts(uri, now)

    def gone(self, uri: str) -> None:
        """Forget what was half done with a client that is not here any more."""
        for table in (self._sending, self._incoming, self._refused):
            table.pop(uri, None)
        for kept in self._receipts.get(uri, {}).values():
            kept.sent_at = None

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` wants to be called, None if never."""
        return self._handed[0][0] + RECEIPT_SECONDS if self._handed else None

    def handle_timer(self, now: float) -> None:
        """Drop the receipts that have arrived for sure."""
        while self._handed and now >= self._handed[0][0] + RECEIPT_SECONDS:
            sent_at, uri, number = self._handed.popleft()
            table = self._receipts.get(uri, {})
            if number in table and table[number].sent_at == sent_at:
                del table[number]
                self.jobs.append(DropReceipt(number))
            if not table:
                self._receipts.pop(uri, None)

    # --- what clients send ----------------------------------------------------------------------

    def receive(self, uri: str, message: Text | Receipt) -> list[Delivery]:
        """Take a message of the client of `uri`; return what to send to whom."""
        if isinstance(message, Receipt):
            return self._receipt(uri, message)
        return self._part(uri, message)

    def spoilt(self, uri: str, mid: str) -> list[Delivery]:
        """Give up a text of which a part could not be read."""
        if mid not in self._incoming.get(uri, ()):
            return []
        return self._refuse(uri, mid, ErrorCode.PROTOCOL, "a part could not be read")

    def _part(self, uri: str, part: Text) -> list[Delivery]:
        under_way = self._incoming.setdefault(uri, {})
        if part.seq == 0:
            self._refused.get(uri, set()).discard(part.mid)
            under_way.pop(part.mid, None)
            return self._first_part(uri, part)
        incoming = under_way.get(part.mid)
        if incoming is None:
            if part.mid in self._refused.get(uri, ()):
                return []  # it was told already
            return self._refuse(uri, part.mid, ErrorCode.PROTOCOL, "no text of yours is under way")
        try:
            incoming.assembler.add(part)
        except PartError as error:
            return self._refuse(uri, part.mid, error.code, str(error))
        return self._more(uri, incoming, part.data)

    def _first_part(self, uri: str, part: Text) -> list[Delivery]:
        under_way = self._incoming[uri]
        try:
            assembler = Assembler(part)
        except PartError as error:
            return self._refuse(uri, part.mid, error.code, str(error))
        envelope = assembler.envelope
        to = bare(envelope.to_uri)
        if bare(envelope.from_uri) != uri:
            self._stats.forbidden += 1
            return self._refuse(uri, part.mid, ErrorCode.FORBIDDEN, "from is not your own")
        if to not in self._known:
            return self._refuse(uri, part.mid, ErrorCode.NOT_FOUND, "nobody has that number")
        if len(under_way) >= MAX_UNDER_WAY or self.pending(to) >= MAX_WAITING:
            return self._refuse(uri, part.mid, ErrorCode.OVERLOAD, "too many texts")
        incoming = under_way[part.mid] = _Incoming(assembler, bytearray())
        return self._more(uri, incoming, part.data)

    def _more(self, uri: str, incoming: _Incoming, data: bytes) -> list[Delivery]:
        incoming.data += data
        mid = incoming.assembler.envelope.mid
        under_way = self._incoming[uri]
        if sum(len(one.data) for one in under_way.values()) > MAX_UNDER_WAY_OCTETS:
            return self._refuse(uri, mid, ErrorCode.OVERLOAD, "too much is under way")
        if not incoming.assembler.complete:
            return []
        del under_way[mid]
        return self._whole(uri, incoming)

    def _whole(self, uri: str, incoming: _Incoming) -> list[Delivery]:
        envelope, digest = incoming.assembler.envelope, incoming.assembler.digest
        name = (bare(envelope.to_uri), envelope.mid)
        entry, past = self._entries.get(name), self._past.get(name)
        had = entry.text if entry is not None else past[0] if past is not None else None
        if had is not None:
            if (had.from_uri, had.digest) != (envelope.from_uri, digest):
                self._stats.forbidden += 1
                return self._refuse(uri, envelope.mid, ErrorCode.FORBIDDEN, "mid in use")
            self._stats.texts_again += 1
            if entry is not None and entry.state is _State.STORING:
                return []  # it is told when the disk has it
            stored: Delivery = (uri, Stored(mid=envelope.mid))
            return [stored] if past is None else [stored, (uri, past[1])]
        text = StoredText(
            number=self._next_number,
            from_uri=envelope.from_uri,
            to=name[0],
            mid=envelope.mid,
            digest=digest,
            length=len(incoming.data),
        )
        self._next_number += 1
        self._entries[name] = _Entry(text, _State.STORING)
        self.jobs.append(StoreText(text, envelope, bytes(incoming.data)))
        return []

    def _receipt(self, uri: str, receipt: Receipt) -> list[Delivery]:
        name = (uri, receipt.mid)
        entry = self._entries.get(name)
        if entry is None or entry.state is _State.STORING:
            if name in self._past:
                return []  # given once more, because the text was sent once more
            self._stats.forbidden += 1
            text = "no text of this name waits for you"
            return [(uri, ErrorMessage(code=ErrorCode.FORBIDDEN, text=text, mid=receipt.mid))]
        if entry.state is _State.RECEIPTED:
            return []
        entry.state = _State.RECEIPTED
        sending = self._sending.get(uri)
        if sending is not None:
            sending.unreceipted.discard(receipt.mid)
            if sending.current is entry:
                sending.current = None
        self.jobs.append(StoreReceipt(entry.text, receipt))
        return []

    def _refuse(self, uri: str, mid: str, code: ErrorCode, text: str) -> list[Delivery]:
        self._stats.texts_refused += 1
        self._incoming.get(uri, {}).pop(mid, None)
        refused = self._refused.setdefault(uri, set())
        if len(refused) >= _REMEMBERED:
            refused.clear()
        refused.add(mid)
        return [(uri, ErrorMessage(code=code, text=text, mid=mid))]

    # --- what the disk did ----------------------------------------------------------------------

    def done(self, job: Job, now: float) -> list[Delivery]:
        """Go on with a job that is on disk; return what to send to whom."""
        match job:
            case StoreText(text=text):
                entry = self._entries[text.to, text.mid]
                entry.state = _State.WAITING
                self._keep(entry)
                self._stats.texts_stored += 1
                return [(bare(text.from_uri), Stored(mid=text.mid))]
            case StoreReceipt(text=text, receipt=receipt):
                self._entries.pop((text.to, text.mid), None)
                queue = self._queues.get(text.to, {})
                queue.pop(text.mid, None)
                if not queue:
                    self._queues.pop(text.to, None)
                self._stats.texts_now -= 1
                self._stats.texts_receipted += 1
                self._remember(text, receipt)
                sender = bare(text.from_uri)
                self._receipts.setdefault(sender, {})[text.number] = _Kept(receipt)
                return self._hand_receipts(sender, now)
        return []

    def failed(self, job: Job) -> list[Delivery]:
        """Take back a job that the disk refused."""
        match job:
            case StoreText(text=text):
                del self._entries[text.to, text.mid]
                text_ = "the text could not be stored"
                error = ErrorMessage(code=ErrorCode.INTERNAL, text=text_, mid=text.mid)
                return [(bare(text.from_uri), error)]
            case StoreReceipt(text=text):
                self._entries[text.to, text.mid].state = _State.WAITING
        return []

    # --- what recipients are sent ---------------------------------------------------------------

    def next_piece(self, uri: str) -> Piece | None:
        """Return the part to send next to a client that is here; None if there is none now."""
        sending = self._sending.get(uri)
        if sending is None:
            return None
        while sending.current is None:
            if not sending.order or len(sending.unreceipted) >= WINDOW:
                return None
            entry = sending.order.popleft()
            if entry.state is _State.WAITING:
                sending.current, sending.seq = entry, 0
                sending.unreceipted.add(entry.text.mid)
        text, seq, of = sending.current.text, sending.seq, part_count(sending.current.text.length)
        sending.seq += 1
        if sending.seq == of:
            sending.current = None
        self._stats.text_parts_sent += 1
        return Piece(text, seq, of)

    def _keep(self, entry: _Entry) -> None:
        text = entry.text
        self._stats.texts_now += 1
        self._entries[text.to, text.mid] = entry
        self._queues.setdefault(text.to, {})[text.mid] = entry
        if text.to in self._sending:
            self._sending[text.to].order.append(entry)

    def _remember(self, text: StoredText, receipt: Receipt) -> None:
        self._past[text.to, text.mid] = (text, receipt)
        if len(self._past) > _REMEMBERED:
            self._past.popitem(last=False)

    def _hand_receipts(self, uri: str, now: float) -> list[Delivery]:
        if uri not in self._sending:
            return []
        found: list[Delivery] = []
        for number, kept in self._receipts.get(uri, {}).items():
            if kept.sent_at is None:
                kept.sent_at = now
                self._handed.append((now, uri, number))
                found.append((uri, kept.receipt))
        return found
