# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of the outbox."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterator

import pytest

from cig_server.texts import outbox_store
from cig_server.texts.model import Origin
from cig_server.texts.outbox_store import RECEIPT_SECONDS, Row, RowState
from cig_server.texts.read_mailbox import Candidate
from umsg.texts import Envelope

NOW = 1000.0


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(outbox_store.SCHEMA)
    yield connection
    connection.close()


def row(mid: str, *, since: float = NOW, state: RowState = RowState.SEALED) -> Row:
    return Row(
        mid=mid,
        state=state,
        origin=Origin.MAILBOX,
        from_uri="tel:+8888;101",
        to_uri="tel:+467",
        written=900.5,
        automatic=False,
        since=since,
        due=since,
        mikey=b"m",
        digest=b"d" * 32,
        sealed=b"sealed",
        length=6,
        source=Candidate(123, f"name-{mid}", 7, 8, "/box"),
    )


def queued(mid: str) -> Row:
    return Row(
        *(mid, RowState.QUEUED, Origin.SIP, "tel:+8888", "tel:+467"),
        written=900.0,
        automatic=True,
        since=NOW,
        due=NOW,
        content=b"entity",
    )


@pytest.mark.parametrize("kept", [row("a"), queued("b")])
def test_a_row_comes_back_as_it_went(connection: sqlite3.Connection, kept: Row) -> None:
    outbox_store.insert(connection, kept)
    assert outbox_store.find(connection, kept.mid) == kept
    assert outbox_store.find(connection, "other") is None


def test_the_envelope_of_a_row() -> None:
    assert row("a").envelope == Envelope("a", "tel:+8888;101", "tel:+467", b"m")


def test_a_row_does_not_show_its_content() -> None:
    assert "entity" not in repr(queued("b"))
    assert "octets-of-it" not in repr(dataclasses.replace(row("a"), sealed=b"octets-of-it"))


def test_a_mid_is_there_once(connection: sqlite3.Connection) -> None:
    outbox_store.insert(connection, row("a"))
    with pytest.raises(sqlite3.IntegrityError):
        outbox_store.insert(connection, row("a"))


def test_what_is_due_comes_in_order_without_the_busy(connection: sqlite3.Connection) -> None:
    for number, mid in enumerate("dbca"):
        outbox_store.insert(connection, row(mid, since=NOW + number))
    outbox_store.insert(connection, dataclasses.replace(queued("q"), since=NOW, due=NOW + 1.5))
    assert outbox_store.due(connection, NOW + 2, (), 9) == ["d", "b", "q", "c"]
    assert outbox_store.due(connection, NOW + 3, {"d", "c"}, 2) == ["b", "q"]
    assert outbox_store.next_due(connection, NOW + 2) == NOW + 3
    assert outbox_store.next_due(connection, NOW + 3) is None


def test_a_postponed_text_rests(connection: sqlite3.Connection) -> None:
    outbox_store.insert(connection, row("a"))
    outbox_store.postpone(connection, "a", NOW + 10, "no answer")
    found = outbox_store.find(connection, "a")
    assert found is not None
    assert (found.attempts, found.error, found.due) == (1, "no answer", NOW + 10)
    assert outbox_store.due(connection, NOW + 9, (), 9) == []
    assert outbox_store.due(connection, NOW + 10, (), 9) == ["a"]
    assert outbox_store.counts(connection) == (1, NOW, "no answer")


def test_a_queued_text_is_sealed(connection: sqlite3.Connection) -> None:
    outbox_store.insert(connection, queued("a"))
    outbox_store.seal(connection, "a", mikey=b"m", digest=b"d", sealed=None, length=99)
    found = outbox_store.find(connection, "a")
    assert found is not None
    assert (found.state, found.content, found.mikey, found.length) == (
        *(RowState.SEALED, None, b"m", 99),
    )
    assert outbox_store.in_files(connection) == {"a"}


def test_a_stored_text_keeps_what_its_receipt_needs(connection: sqlite3.Connection) -> None:
    outbox_store.insert(connection, row("a"))
    assert outbox_store.claimed(connection, "/box") == {("name-a", 7, 123, 8)}
    assert outbox_store.claimed(connection, "/other") == set()
    assert outbox_store.finish(connection, ["a", "gone"], NOW) == 1
    assert outbox_store.finish(connection, ["a"], NOW) == 0
    found = outbox_store.find(connection, "a")
    assert found is not None
    assert (found.state, found.sealed, found.source) == (RowState.STORED, None, None)
    assert found.digest == b"d" * 32
    assert outbox_store.claimed(connection, "/box") == set()
    assert outbox_store.due(connection, NOW + 10**9, (), 9) == []
    assert outbox_store.counts(connection) == (0, None, "")
    assert outbox_store.prune(connection, NOW + RECEIPT_SECONDS) == 0
    assert outbox_store.prune(connection, NOW + RECEIPT_SECONDS + 1) == 1


def test_a_text_that_is_given_up_is_not_sent_again(connection: sqlite3.Connection) -> None:
    outbox_store.insert(connection, row("a"))
    outbox_store.give_up(connection, "a", "not-found")
    found = outbox_store.find(connection, "a")
    assert found is not None
    assert (found.state, found.error) == (RowState.FAILED, "not-found")
    assert outbox_store.due(connection, NOW, (), 9) == ["a"]
    assert outbox_store.claimed(connection, "/box") == {("name-a", 7, 123, 8)}
    assert outbox_store.drop(connection, "a")
    assert outbox_store.find(connection, "a") is None


def test_a_text_that_is_taken_waits_for_its_message_alone(connection: sqlite3.Connection) -> None:
    outbox_store.insert(connection, row("a"))
    outbox_store.take(connection, "a", NOW + 10, "read-only")
    found = outbox_store.find(connection, "a")
    assert found is not None
    assert (found.state, found.sealed, found.source) == (RowState.TAKEN, None, row("a").source)
    assert (found.attempts, found.digest) == (1, b"d" * 32)
    assert outbox_store.due(connection, NOW, (), 9) == []
    assert outbox_store.due(connection, NOW + 10, (), 9) == ["a"]
    assert outbox_store.claimed(connection, "/box") == {("name-a", 7, 123, 8)}
    assert outbox_store.resting(connection, 9) == 1
    assert outbox_store.older(connection, NOW + 99, 9) == []
    assert outbox_store.in_files(connection) == set()
    assert outbox_store.finish(connection, ["a"], NOW) == 1
    outbox_store.take(connection, "a", NOW + 10, "late")
    found = outbox_store.find(connection, "a")
    assert found is not None
    assert found.state is RowState.STORED


def test_those_that_are_too_old(connection: sqlite3.Connection) -> None:
    for number, mid in enumerate("abc"):
        outbox_store.insert(connection, row(mid, since=NOW + number))
    assert outbox_store.older(connection, NOW + 2, 9) == ["a", "b"]
    assert outbox_store.older(connection, NOW + 2, 1) == ["a"]


def test_a_long_queue_is_not_looked_through(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    for number in range(20_000):
        outbox_store.insert(connection, dataclasses.replace(queued(f"{number}"), content=b""))
    connection.execute("COMMIT")
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(step, 100)
    assert len(outbox_store.due(connection, NOW, {"0"}, 1)) == 1
    outbox_store.next_due(connection, NOW)
    outbox_store.resting(connection, 100)
    assert steps < 100  # ten thousand instructions


def test_a_clock_that_is_set_back_has_no_text_rest_for_long(connection: sqlite3.Connection) -> None:
    outbox_store.insert(connection, row("a"))
    outbox_store.postpone(connection, "a", NOW + 900, "no")
    assert outbox_store.due(connection, NOW, (), 1) == []
    assert outbox_store.due(connection, NOW - 1, (), 1) == ["a"]
