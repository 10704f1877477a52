# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of the texts that came."""

from __future__ import annotations

import sqlite3

import pytest

from cig_server.texts import received
from cig_server.texts.model import Outcome, TextKey
from cig_server.texts.received import KEEP_SECONDS, SCHEMA, Place, State
from umsg.messages import ReceiptStatus

KEY = TextKey("tel:+4711", "0123456789abcdef")
OTHER = TextKey("tel:+4711", "fedcba9876543210")
DIGEST = bytes(range(32))
PLACES = (Place("/in", "a"), Place("/in/two", "b"))


@pytest.fixture
def journal() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.executescript(SCHEMA * 2)
    return connection


def test_a_text_is_begun_and_done(journal: sqlite3.Connection) -> None:
    assert received.find(journal, KEY) is None
    received.intend(journal, KEY, DIGEST, "", PLACES, 5.0)
    outcome = Outcome(ReceiptStatus.DELIVERED, "", DIGEST)
    row = received.find(journal, KEY)
    assert row == received.Row(KEY, State.INTENT, outcome, PLACES)
    assert received.begun(journal) == (row,)
    assert received.count_begun(journal) == {"/in": (1, 5.0), "/in/two": (1, 5.0)}
    received.finish(journal, [KEY, OTHER])
    assert received.find(journal, KEY) == received.Row(KEY, State.DONE, outcome)
    assert received.begun(journal) == ()
    assert received.count_begun(journal) == {}


def test_a_text_without_copies_is_done_at_once(journal: sqlite3.Connection) -> None:
    received.intend(journal, KEY, DIGEST, "why", (), 5.0)
    row = received.find_all(journal, [OTHER, KEY])
    assert set(row) == {KEY}
    assert (row[KEY].state, row[KEY].outcome.reason) == (State.DONE, "why")


def test_a_fate_is_never_changed(journal: sqlite3.Connection) -> None:
    assert received.refuse(journal, KEY, DIGEST, "no-mailbox", 5.0) is State.REFUSED
    assert received.refuse(journal, KEY, DIGEST, "crypto", 6.0) is State.REFUSED
    received.finish(journal, [KEY])
    row = received.find(journal, KEY)
    assert row is not None
    assert row.outcome == Outcome(ReceiptStatus.REFUSED, "no-mailbox", DIGEST)
    with pytest.raises(sqlite3.IntegrityError):
        received.intend(journal, KEY, DIGEST, "", PLACES, 7.0)
    received.intend(journal, OTHER, DIGEST, "", PLACES, 7.0)
    assert received.refuse(journal, OTHER, DIGEST, "crypto", 8.0) is State.INTENT
    received.finish(journal, [OTHER])
    assert received.refuse(journal, OTHER, DIGEST, "crypto", 8.0) is State.DONE


def test_a_receipt_is_kept(journal: sqlite3.Connection) -> None:
    received.intend(journal, KEY, DIGEST, "", (), 5.0)
    received.keep_receipt(journal, KEY, "2026-11-1", b"sig")
    received.keep_receipt(journal, OTHER, "2026-11-1", b"sig")
    row = received.find(journal, KEY)
    assert row is not None
    assert (row.outcome.period, row.outcome.sig) == ("2026-11-1", b"sig")
    assert received.find(journal, OTHER) is None


def test_old_rows_are_forgotten_but_intents(journal: sqlite3.Connection) -> None:
    for number in range(1500):
        received.intend(journal, TextKey("tel:+1", str(number)), DIGEST, "", (), 5.0)
    received.intend(journal, KEY, DIGEST, "", PLACES, 5.0)
    received.refuse(journal, OTHER, DIGEST, "crypto", 6.0)
    assert received.prune(journal, KEEP_SECONDS + 5.0) == 0
    counts = [received.prune(journal, KEEP_SECONDS + 5.5) for _ in range(3)]
    assert counts == [1000, 500, 0]
    assert received.find(journal, KEY) is not None
    assert received.find(journal, OTHER) is not None
    received.finish(journal, [KEY])
    assert received.prune(journal, KEEP_SECONDS + 7.0) == 2
    assert received.count_begun(journal) == {}


def test_the_journal_is_tried_out(journal: sqlite3.Connection) -> None:
    for now in (1.0, 2.0):
        received.try_out(journal, now)
    assert journal.execute("SELECT at FROM received_tried").fetchall() == [(2.0,)]
