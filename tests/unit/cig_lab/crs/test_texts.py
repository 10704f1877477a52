# SPDX-License-Identifier: GPL-3.0-or-later
"""The CRS's texts: the book without I/O, and the folder that outlives it."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cig_lab.crs.stats import CrsStats
from cig_lab.crs.text_jobs import DropReceipt, StoredText, StoreReceipt, StoreText
from cig_lab.crs.text_store import TextStore
from cig_lab.crs.texts import MAX_UNDER_WAY, RECEIPT_SECONDS, WINDOW, TextBook
from umsg.errors import ErrorCode
from umsg.messages import ErrorMessage, Message, Receipt, ReceiptStatus, Stored, Text
from umsg.texts import MAX_PART, Envelope, parts

ALICE, BOB, EVE = "tel:+46701111111", "tel:+46702222222", "tel:+46703333333"


def mid(number: int) -> str:
    return f"{number:016d}"


def text(number: int, *, size: int = 20, **changes: str) -> list[Text]:
    fields = {"from_uri": ALICE, "to_uri": BOB, **changes}
    return list(parts(Envelope(mid=mid(number), mikey=b"mikey", **fields), bytes(size)))


def receipt(number: int) -> Receipt:
    return Receipt(
        mid=mid(number), status=ReceiptStatus.DELIVERED, period="2026-11-1", sig=bytes(129)
    )


class Desk:
    """A book whose jobs are done as soon as they come."""

    def __init__(self, *here: str) -> None:
        self.stats = CrsStats()
        self.book = TextBook(self.stats)
        self.now = 0.0
        self.sent: list[tuple[str, Message]] = []
        for uri in here:
            self.sent += self.book.welcomed(uri, self.now)
        self.work()

    def give(self, uri: str, *messages: Text | Receipt) -> list[tuple[str, Message]]:
        self.sent = []
        for message in messages:
            self.sent += self.book.receive(uri, message)
        return self.work()

    def work(self) -> list[tuple[str, Message]]:
        while self.book.jobs:
            self.sent += self.book.done(self.book.jobs.popleft(), self.now)
        return self.sent

    def pieces(self, uri: str) -> list[tuple[str, int]]:
        found = []
        while (piece := self.book.next_piece(uri)) is not None:
            found.append((piece.text.mid, piece.seq))
        return found


def codes(deliveries: list[tuple[str, Message]]) -> list[ErrorCode]:
    return [message.code for _, message in deliveries if isinstance(message, ErrorMessage)]


def test_a_text_is_stored_sent_receipted_and_forgotten() -> None:
    desk = Desk(ALICE, BOB)
    assert desk.give(ALICE, *text(1, size=MAX_PART + 1)) == [(ALICE, Stored(mid=mid(1)))]
    assert desk.book.pending(BOB) == 1
    assert desk.pieces(BOB) == [(mid(1), 0), (mid(1), 1)]
    assert desk.give(BOB, receipt(1)) == [(ALICE, receipt(1))]
    assert (desk.book.pending(BOB), desk.stats.texts_now) == (0, 0)
    assert desk.give(BOB, receipt(1)) == []
    assert desk.give(ALICE, *text(1, size=MAX_PART + 1)) == [
        (ALICE, Stored(mid=mid(1))),
        (ALICE, receipt(1)),
    ]


def test_the_window() -> None:
    desk = Desk(ALICE, BOB)
    for number in range(WINDOW + 3):
        desk.give(ALICE, *text(number))
    assert desk.pieces(BOB) == [(mid(number), 0) for number in range(WINDOW)]
    desk.give(BOB, receipt(5))
    assert desk.pieces(BOB) == [(mid(WINDOW), 0)]
    desk.book.welcomed(BOB, 1.0)
    again = [m for m, _ in desk.pieces(BOB)]
    assert again == [mid(n) for n in range(WINDOW + 1) if n != 5]


def test_what_is_receipted_early_is_sent_no_further() -> None:
    desk = Desk(ALICE, BOB)
    desk.give(ALICE, *text(1, size=3 * MAX_PART))
    desk.give(ALICE, *text(2))
    assert desk.book.next_piece(BOB) is not None
    desk.give(BOB, receipt(1))
    assert desk.pieces(BOB) == [(mid(2), 0)]


def test_refusals() -> None:
    desk = Desk(ALICE, BOB, EVE)
    assert codes(desk.give(ALICE, *text(1, from_uri=BOB))) == [ErrorCode.FORBIDDEN]
    assert codes(desk.give(ALICE, *text(2, to_uri="tel:+4799"))) == [ErrorCode.NOT_FOUND]
    first, second, third = text(3, size=3 * MAX_PART)
    assert codes(desk.give(ALICE, first, third, second)) == [ErrorCode.PROTOCOL]  # told once
    assert codes(desk.give(ALICE, second)) == []
    assert codes(desk.give(BOB, second)) == [ErrorCode.PROTOCOL]
    desk.give(ALICE, *text(4))
    assert codes(desk.give(EVE, receipt(4))) == [ErrorCode.FORBIDDEN]
    assert codes(desk.give(EVE, *text(4, from_uri=EVE))) == [ErrorCode.FORBIDDEN]
    assert codes(desk.give(ALICE, *text(4, size=21))) == [ErrorCode.FORBIDDEN]
    for number in range(MAX_UNDER_WAY):
        assert codes(desk.give(ALICE, text(100 + number, size=2 * MAX_PART)[0])) == []
    assert codes(desk.give(ALICE, text(99, size=2 * MAX_PART)[0])) == [ErrorCode.OVERLOAD]
    assert codes(desk.book.spoilt(ALICE, mid(100))) == [ErrorCode.PROTOCOL]
    assert desk.book.spoilt(ALICE, mid(100)) == []
    assert desk.stats.texts_now == 1


def test_receipt_is_handed_over_again_unless_the_connection_stood() -> None:
    desk = Desk(ALICE, BOB)
    for number in (1, 2):
        desk.give(ALICE, *text(number))
    desk.book.gone(ALICE)
    assert desk.give(BOB, receipt(1), receipt(2)) == []
    assert desk.book.next_deadline() is None
    both = [(ALICE, receipt(1)), (ALICE, receipt(2))]
    assert desk.book.welcomed(ALICE, 10.0) == both
    assert desk.book.next_deadline() == 10.0 + RECEIPT_SECONDS
    assert desk.book.welcomed(ALICE, 20.0) == both
    desk.book.handle_timer(10.0 + RECEIPT_SECONDS)
    assert not desk.book.jobs
    desk.book.handle_timer(20.0 + RECEIPT_SECONDS)
    assert list(desk.book.jobs) == [DropReceipt(1), DropReceipt(2)]
    assert desk.book.welcomed(ALICE, 100.0) == []


def test_jobs_that_fail_change_nothing() -> None:
    desk = Desk(ALICE, BOB)
    assert desk.book.receive(ALICE, text(1)[0]) == []
    assert desk.book.receive(ALICE, text(1)[0]) == []  # it is told when the disk has it
    assert codes(desk.book.failed(desk.book.jobs.popleft())) == [ErrorCode.INTERNAL]
    assert desk.give(ALICE, *text(1)) == [(ALICE, Stored(mid=mid(1)))]
    desk.book.receive(BOB, receipt(1))
    assert desk.book.failed(desk.book.jobs.popleft()) == []
    desk.book.welcomed(BOB, 1.0)
    assert desk.pieces(BOB) == [(mid(1), 0)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 3), st.integers(1, 3), st.integers(0, 40)),
        max_size=30,
    )
)
def test_no_parts_upset_the_book(sent: list[tuple[int, int, int, int]]) -> None:
    desk = Desk(ALICE, BOB)
    for number, seq, of, size in sent:
        if seq >= of:
            desk.give(BOB, receipt(number))
            continue
        first = {"from_uri": ALICE, "to_uri": BOB, "mikey": b"m"} if seq == 0 else {}
        desk.give(ALICE, Text(mid=mid(number), seq=seq, of=of, data=bytes(size), **first))
    assert desk.stats.texts_now == desk.book.pending(BOB) <= 3


# --- the folder -----------------------------------------------------------------------------------


def stored(number: int, size: int = 20) -> StoreText:
    envelope = Envelope(mid(number), f"{ALICE};1", f"{BOB};2", b"mikey")
    record = StoredText(number, f"{ALICE};1", BOB, mid(number), bytes(32), size)
    return StoreText(record, envelope, bytes(size - 1) + b"\n")


def test_the_folder_is_found_again_and_what_was_not_done_is_cleared(tmp_path: Path) -> None:
    store = TextStore(tmp_path / "crs")
    jobs = [stored(number, MAX_PART + 7) for number in (1, 2, 3)]
    given = replace(receipt(2), reason="no-mailbox", status=ReceiptStatus.REFUSED)
    assert store.perform([*jobs, StoreReceipt(jobs[1].text, given)]) == [None] * 4
    (store.folder / f"{9:012d}.text.tmp").write_bytes(b"half")
    # The process died between the receipt and the text's removal.
    (store.folder / f"{2:012d}.text").write_bytes(b"{}\n")
    (store.folder / "known").write_text(f"{ALICE}\n{BOB}\ntel:+4")
    found = TextStore(store.folder).load()
    assert found.known == [ALICE, BOB]
    assert found.texts == [jobs[0].text, jobs[2].text]
    assert found.receipts == [(jobs[1].text, given)]
    assert sorted(path.name for path in store.folder.iterdir()) == [
        f"{1:012d}.text", f"{2:012d}.receipt", f"{3:012d}.text", "known",
    ]  # fmt: skip
    first, last = (store.read(jobs[0].text, seq, 2) for seq in (0, 1))
    assert [first, last] == list(parts(jobs[0].envelope, jobs[0].sealed))
    assert store.perform([DropReceipt(2)]) == [None]
    assert TextStore(store.folder).load().receipts == []


def test_a_full_disk_is_told_for_each_job(tmp_path: Path) -> None:
    store = TextStore(tmp_path / "crs")
    (store.folder / f"{1:012d}.text.tmp").mkdir()  # stands in the way of the first
    results = store.perform([stored(1), stored(2)])
    assert isinstance(results[0], OSError)
    assert results[1] is None
    with pytest.raises(FileNotFoundError):
        store.read(stored(1).text, 0, 1)
