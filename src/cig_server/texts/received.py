# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of the texts that came: what became of each, and what is still to be done for it.

A row per text, by its key. The rules:

1. ``intent``: every copy lies whole in its mailbox's tmp folder, under the name that
   `received_copy` has. From then on no copy is ever written again: it is only moved to new/.
2. ``done``: every copy was moved, and its mailbox's folders are on disk. A text that is in no
   mailbox (SIP took it) is done from the start.
3. ``refused``: nobody gets it; ``reason`` is what its receipt says.
4. A row is never overwritten by a later fate: what the receipt said first stays so.
5. Rows are forgotten after `KEEP_SECONDS`; never those of ``intent``.

The functions are `Work` for `TextStore.run`: they are given the connection, inside a transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cig_server.texts.model import Outcome, TextKey
from umsg.messages import ReceiptStatus
from umsg.texts import JOURNAL_SECONDS

KEEP_SECONDS = JOURNAL_SECONDS + 86_400
"""How long a row is kept: a day longer than anybody may send its text again."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS received (
    from_uri TEXT NOT NULL,
    mid TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('intent', 'done', 'refused')),
    reason TEXT NOT NULL,
    digest BLOB NOT NULL,
    at REAL NOT NULL,
    period TEXT NOT NULL DEFAULT '',
    sig BLOB NOT NULL DEFAULT x'',
    PRIMARY KEY (from_uri, mid)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS received_at ON received (at);
CREATE INDEX IF NOT EXISTS received_intent ON received (state) WHERE state = 'intent';
CREATE TABLE IF NOT EXISTS received_copy (
    from_uri TEXT NOT NULL,
    mid TEXT NOT NULL,
    mailbox TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (from_uri, mid, mailbox, name),
    FOREIGN KEY (from_uri, mid) REFERENCES received ON DELETE CASCADE
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS received_tried (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    at REAL NOT NULL
);
"""


class State(StrEnum):
    """How far a text is; see the rules above."""

    INTENT = "intent"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Place:
    """A copy: the path of its mailbox, and its name in tmp/ and later in new/."""

    mailbox: str
    name: str


@dataclass(frozen=True, slots=True)
class Row:
    """A text in the journal; ``places`` are those of an `State.INTENT`, otherwise there are none.

    The outcome of an intent is what its receipt will say once it is done.
    """

    key: TextKey
    state: State
    outcome: Outcome
    places: tuple[Place, ...] = ()


def find(connection: sqlite3.Connection, key: TextKey) -> Row | None:
    """Return the row of a text, or None."""
    row = connection.execute(
        "SELECT state, reason, digest, period, sig FROM received WHERE from_uri = ? AND mid = ?",
        (key.from_uri, key.mid),
    ).fetchone()
    if row is None:
        return None
    state, reason, digest, period, sig = row
    refused = state == State.REFUSED
    status = ReceiptStatus.REFUSED if refused else ReceiptStatus.DELIVERED
    places = connection.execute(
        "SELECT mailbox, name FROM received_copy WHERE from_uri = ? AND mid = ?",
        (key.from_uri, key.mid),
    )
    return Row(
        key,
        State(state),
        Outcome(status, reason, bytes(digest), period, bytes(sig)),
        tuple(Place(mailbox, name) for mailbox, name in places),
    )


def find_all(connection: sqlite3.Connection, keys: Iterable[TextKey]) -> Mapping[TextKey, Row]:
    """Return the rows that there are of these texts."""
    rows = (find(connection, key) for key in keys)
    return {row.key: row for row in rows if row is not None}


def begun(connection: sqlite3.Connection) -> tuple[Row, ...]:
    """Return all rows of `State.INTENT`, oldest first."""
    keys = connection.execute(
        "SELECT from_uri, mid FROM received WHERE state = 'intent' ORDER BY at"
    ).fetchall()
    return tuple(find_all(connection, (TextKey(*key) for key in keys)).values())


def intend(
    connection: sqlite3.Connection,
    key: TextKey,
    digest: bytes,
    reason: str,
    places: Sequence[Place],
    now: float,
) -> None:
    """Note that a text's copies lie in tmp/; without any copy it is done at once.

    ``digest`` is the SHA-256 of its sealed content (32 octets), ``now`` seconds since 1970. The
    text must not have a row.
    """
    state = State.INTENT if places else State.DONE
    connection.execute(
        "INSERT INTO received (from_uri, mid, state, reason, digest, at) VALUES (?, ?, ?, ?, ?, ?)",
        (key.from_uri, key.mid, state, reason, digest, now),
    )
    connection.executemany(
        "INSERT INTO received_copy (from_uri, mid, mailbox, name) VALUES (?, ?, ?, ?)",
        [(key.from_uri, key.mid, place.mailbox, place.name) for place in places],
    )


def finish(connection: sqlite3.Connection, keys: Iterable[TextKey]) -> None:
    """Note that these texts' copies are in new/, on disk."""
    for key in keys:
        connection.execute(
            "UPDATE received SET state = 'done' "
            "WHERE from_uri = ? AND mid = ? AND state = 'intent'",
            (key.from_uri, key.mid),
        )
        connection.execute(
            "DELETE FROM received_copy WHERE from_uri = ? AND mid = ?", (key.from_uri, key.mid)
        )


def refuse(
    connection: sqlite3.Connection, key: TextKey, digest: bytes, reason: str, now: float
) -> State:
    """Note that nobody gets a text, unless it has a row; return the state that it has then."""
    connection.execute(
        "INSERT OR IGNORE INTO received (from_uri, mid, state, reason, digest, at) "
        "VALUES (?, ?, 'refused', ?, ?, ?)",
        (key.from_uri, key.mid, reason, digest, now),
    )
    row = find(connection, key)
    return State.REFUSED if row is None else row.state


def keep_receipt(connection: sqlite3.Connection, key: TextKey, period: str, sig: bytes) -> None:
    """Keep the period and the signature (129 octets) of a text's receipt with its row."""
    connection.execute(
        "UPDATE received SET period = ?, sig = ? WHERE from_uri = ? AND mid = ?",
        (period, sig, key.from_uri, key.mid),
    )


def prune(connection: sqlite3.Connection, now: float) -> int:
    """Forget the rows older than `KEEP_SECONDS`, at most a thousand; return how many those were."""
    old = connection.execute(
        "SELECT from_uri, mid FROM received WHERE at < ? AND state != 'intent' LIMIT 1000",
        (now - KEEP_SECONDS,),
    ).fetchall()
    connection.executemany("DELETE FROM received WHERE from_uri = ? AND mid = ?", old)
    return len(old)


def count_begun(connection: sqlite3.Connection) -> Mapping[str, tuple[int, float]]:
    """Return, by mailbox, how many copies are still to be moved, and since when (since 1970)."""
    rows = connection.execute(
        "SELECT mailbox, COUNT(*), MIN(at) FROM received_copy JOIN received USING (from_uri, mid) "
        "GROUP BY mailbox"
    )
    return {mailbox: (count, oldest) for mailbox, count, oldest in rows}


def try_out(connection: sqlite3.Connection, now: float) -> None:
    """Write something that nobody reads, to see that the journal can be written."""
    connection.execute("INSERT OR REPLACE INTO received_tried VALUES (1, ?)", (now,))
