# SPDX-License-Identifier: GPL-3.0-or-later
"""The outbox on disk: texts for the secure side, from when they are accepted until receipted.

A row is ``queued`` while its content is not sealed (texts from SIP, and notices), ``sealed`` from
then until the CRS has it, and ``stored`` until its recipient's receipt has come, or for
`RECEIPT_SECONDS`. It is ``taken`` in between where the CRS has it and its message cannot be removed
yet: it is not sent again, since CRS and phone know it no more some day. One that was given up is
``failed`` until its message is put aside and its sender told: it is never sent again, whatever ends
the process in between. A message of a mailbox has a row from when it is sealed on. Sealed content
of more than `IN_ROW` octets is in a file of its own, ``out/MID``, synced before its row is written.
What is sent again is sent from here, octet by octet. The name of a message is kept as octets, since
it need not be UTF-8.

The functions run in the store's thread.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from enum import StrEnum

from cig_server.texts.model import Origin
from cig_server.texts.outbox import LONGEST_REST
from cig_server.texts.read_mailbox import Candidate
from umsg.texts import JOURNAL_SECONDS, Envelope

IN_ROW = 64 << 10
RECEIPT_SECONDS = JOURNAL_SECONDS + 86_400
"""How long a receipt is waited for: a text can come as long as this, and its receipt then."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    mid TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    origin TEXT NOT NULL,
    from_uri TEXT NOT NULL,
    to_uri TEXT NOT NULL,
    written REAL NOT NULL,
    automatic INTEGER NOT NULL,
    since REAL NOT NULL,
    due REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    content BLOB,
    mikey BLOB,
    digest BLOB,
    sealed BLOB,
    length INTEGER,
    mailbox TEXT,
    name BLOB,
    ino INTEGER,
    mtime_ns INTEGER,
    size INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS outbox_due ON outbox (state, due);
CREATE INDEX IF NOT EXISTS outbox_since ON outbox (state, since);
"""


class RowState(StrEnum):
    """How far a text is."""

    QUEUED = "queued"
    SEALED = "sealed"
    TAKEN = "taken"
    STORED = "stored"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Row:
    """A text in the outbox. Times are seconds since 1970: ``written`` is the message's Date.

    ``automatic``: no person wrote it. ``content`` is its MIME entity while it is queued; ``sealed``
    its sealed content, None where that is in a file. ``source`` is the message in a mailbox.
    """

    mid: str
    state: RowState
    origin: Origin
    from_uri: str
    to_uri: str
    written: float
    automatic: bool
    since: float
    due: float
    attempts: int = 0
    error: str = ""
    content: bytes | None = field(default=None, repr=False)
    mikey: bytes = b""
    digest: bytes = b""
    sealed: bytes | None = field(default=None, repr=False)
    length: int = 0
    source: Candidate | None = None

    @property
    def envelope(self) -> Envelope:
        """What its part 0 has beside data."""
        return Envelope(self.mid, self.from_uri, self.to_uri, self.mikey)


_UNDER_WAY = tuple(state.value for state in RowState if state is not RowState.STORED)
_COLUMNS = (
    "mid, state, origin, from_uri, to_uri, written, automatic, since, due, attempts, error, "
    "content, mikey, digest, sealed, length, mailbox, name, ino, mtime_ns, size"
)


def insert(connection: sqlite3.Connection, row: Row) -> None:
    """Add a row."""
    source = row.source
    named = (None,) * 5
    if source is not None:
        name = os.fsencode(source.name)
        named = (source.mailbox, name, source.ino, source.mtime_ns, source.size)  # type: ignore[assignment]
    marks = ", ".join("?" * 21)
    connection.execute(
        f"INSERT INTO outbox ({_COLUMNS}) VALUES ({marks})",
        (row.mid, row.state.value, row.origin.value, row.from_uri, row.to_uri, row.written,
         row.automatic, row.since, row.due, row.attempts, row.error, row.content, row.mikey,
         row.digest, row.sealed, row.length, *named),
    )  # fmt: skip


def find(connection: sqlite3.Connection, mid: str) -> Row | None:
    """Give a row, or None."""
    found = connection.execute(f"SELECT {_COLUMNS} FROM outbox WHERE mid = ?", (mid,)).fetchone()
    return None if found is None else _row(found)


def due(connection: sqlite3.Connection, now: float, busy: Collection[str], most: int) -> list[str]:
    """Give the mids of texts whose time has come, longest due first, without those that are busy.

    It costs the same however many there are. None rests for longer than `LONGEST_REST`: where that
    is what its row says, the clock was set back, and its time has come.
    """
    found: list[tuple[float, str]] = []
    for state in _UNDER_WAY:
        for when, moment in (("due <= ?", now), ("due > ?", now + LONGEST_REST)):
            found += connection.execute(
                f"SELECT due, mid FROM outbox WHERE state = ? AND {when} ORDER BY due LIMIT ?",
                (state, moment, most + len(busy)),
            )
    return [mid for _, mid in sorted(found) if mid not in busy][:most]


def next_due(connection: sqlite3.Connection, now: float) -> float | None:
    """Give when the next text's time comes after ``now``, or None."""
    found = [
        connection.execute(
            "SELECT min(due) FROM outbox WHERE state = ? AND due > ?", (state, now)
        ).fetchone()[0]
        for state in _UNDER_WAY
    ]
    return min((float(when) for when in found if when is not None), default=None)


def resting(connection: sqlite3.Connection, most: int) -> int:
    """Count the texts that are sealed or taken, up to ``most``."""
    (count,) = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM outbox WHERE state IN ('sealed', 'taken') LIMIT ?)",
        (most,),
    ).fetchone()
    return int(count)


def older(connection: sqlite3.Connection, than: float, most: int) -> list[str]:
    """Give the mids of texts that arrived before ``than`` and are not stored, oldest first."""
    rows = connection.execute(
        "SELECT mid FROM outbox WHERE state IN ('queued', 'sealed') AND since < ? "
        "ORDER BY since LIMIT ?",
        (than, most),
    )
    return [mid for (mid,) in rows]


def claimed(connection: sqlite3.Connection, mailbox: str) -> set[tuple[str, int, int, int]]:
    """Give the identities (name, inode, time, size) of a mailbox's messages that have a row."""
    rows = connection.execute(
        "SELECT name, ino, mtime_ns, size FROM outbox "
        "WHERE state IN ('sealed', 'taken', 'failed') AND mailbox = ?",
        (mailbox,),
    )
    return {(os.fsdecode(name), ino, mtime_ns, size) for name, ino, mtime_ns, size in rows}


def seal(
    connection: sqlite3.Connection,
    mid: str,
    *,
    mikey: bytes,
    digest: bytes,
    sealed: bytes | None,
    length: int,
) -> None:
    """Turn a queued row into a sealed one."""
    connection.execute(
        "UPDATE outbox SET state = 'sealed', content = NULL, mikey = ?, digest = ?, sealed = ?, "
        "length = ? WHERE mid = ?",
        (mikey, digest, sealed, length, mid),
    )


def postpone(connection: sqlite3.Connection, mid: str, due_at: float, error: str) -> None:
    """Note a failed attempt, and when the next one is due."""
    connection.execute(
        "UPDATE outbox SET due = ?, attempts = attempts + 1, error = ? WHERE mid = ?",
        (due_at, error, mid),
    )


def take(connection: sqlite3.Connection, mid: str, due_at: float, error: str) -> None:
    """Note that the CRS has a text, and when the removal of its message is tried again."""
    connection.execute(
        "UPDATE outbox SET state = 'taken', sealed = NULL, content = NULL, due = ?, "
        "attempts = attempts + 1, error = ? WHERE mid = ? AND state != 'stored'",
        (due_at, error, mid),
    )


def finish(connection: sqlite3.Connection, mids: Collection[str], now: float) -> int:
    """Note that the CRS has these texts; their content is dropped. Gives how many are new to it."""
    return connection.executemany(
        "UPDATE outbox SET state = 'stored', sealed = NULL, content = NULL, mailbox = NULL, "
        "name = NULL, due = ? WHERE mid = ? AND state != 'stored'",
        [(now + RECEIPT_SECONDS, mid) for mid in mids],
    ).rowcount


def give_up(connection: sqlite3.Connection, mid: str, error: str) -> None:
    """Note that a text is not to be sent any more, and why."""
    connection.execute("UPDATE outbox SET state = 'failed', error = ? WHERE mid = ?", (error, mid))


def drop(connection: sqlite3.Connection, mid: str) -> bool:
    """Remove a row; tells whether it was there."""
    return connection.execute("DELETE FROM outbox WHERE mid = ?", (mid,)).rowcount == 1


def prune(connection: sqlite3.Connection, now: float) -> int:
    """Remove stored texts whose receipt is not waited for any more; gives how many."""
    return connection.execute(
        "DELETE FROM outbox WHERE state = 'stored' AND due < ?", (now,)
    ).rowcount


def in_files(connection: sqlite3.Connection) -> set[str]:
    """Give the mids whose sealed content is in a file."""
    rows = connection.execute("SELECT mid FROM outbox WHERE state = 'sealed' AND sealed IS NULL")
    return {mid for (mid,) in rows}


def counts(connection: sqlite3.Connection) -> tuple[int, float | None, str]:
    """Give how many texts are not stored, since when the oldest waits, and the last error."""
    number, oldest = connection.execute(
        "SELECT count(*), min(since) FROM outbox WHERE state IN ('queued', 'sealed')"
    ).fetchone()
    error = connection.execute(
        "SELECT error FROM outbox WHERE state IN ('queued', 'sealed') AND error != '' "
        "ORDER BY due DESC LIMIT 1"
    ).fetchone()
    return number, oldest, error[0] if error else ""


def _row(found: tuple[object, ...]) -> Row:
    values = list(found)
    mailbox, name, ino, mtime_ns, size = values[16:]
    source = None
    if mailbox is not None:
        source = Candidate(mtime_ns, os.fsdecode(name), ino, size, mailbox)  # type: ignore[arg-type]
    values[1], values[2] = RowState(str(values[1])), Origin(str(values[2]))
    values[6] = bool(values[6])
    for index, empty in ((12, b""), (13, b""), (15, 0)):
        values[index] = empty if values[index] is None else values[index]
    return replace(Row(*values[:16]), source=source)  # type: ignore[arg-type]
