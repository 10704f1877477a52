# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts that go out as SIP MESSAGE, on disk: table ``sip_out`` of the `TextStore`.

A row is ``waiting`` until its final answer; then it is ``ok`` or ``refused`` and has lost its
text. It stays for `KEPT_SECONDS`, so that a text that comes once more is not sent once more.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from cig_server.texts.model import QueueFacts, TextKey
from cig_server.texts.store import TextStore
from umsg.texts import JOURNAL_SECONDS

SCHEMA = """
CREATE TABLE IF NOT EXISTS sip_out (
    seq INTEGER PRIMARY KEY,
    key_from TEXT NOT NULL,
    key_mid TEXT NOT NULL,
    from_uri TEXT NOT NULL,
    to_uri TEXT NOT NULL,
    date REAL NOT NULL,
    text TEXT NOT NULL,
    attachments INTEGER NOT NULL,
    arrived REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    reason TEXT NOT NULL DEFAULT '',
    reason_at REAL,
    UNIQUE (key_from, key_mid)
);
CREATE INDEX IF NOT EXISTS sip_out_due ON sip_out (state, next_at);
"""
KEPT_SECONDS = JOURNAL_SECONDS + 86_400.0
"""Longer than the CRS may send a text again."""

WAITING, OK, REFUSED = "waiting", "ok", "refused"
_COLUMNS = "key_from, key_mid, from_uri, to_uri, date, text, attachments, arrived, attempts, seq"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A text that waits. ``date``, ``arrived``: seconds since 1970; ``attempts`` failed so far."""

    key: TextKey
    from_uri: str
    to_uri: str
    date: float
    text: str = field(repr=False)
    attachments: int
    arrived: float
    attempts: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Final:
    """What became of a text; ``reason`` says why not."""

    ok: bool
    reason: str


class SipOutStore:
    """The table. All methods raise StorageError."""

    def __init__(self, store: TextStore) -> None:
        self._store = store

    async def add(self, text: Waiting) -> Final | None:
        """Add a text, due at once; one that is there is left, and its final answer returned."""

        def work(db: sqlite3.Connection) -> Final | None:
            key = (text.key.from_uri, text.key.mid)
            found = db.execute(
                "SELECT state, reason FROM sip_out WHERE key_from = ? AND key_mid = ?", key
            ).fetchone()
            if found is not None:
                return None if found[0] == WAITING else Final(found[0] == OK, found[1])
            db.execute(
                "INSERT INTO sip_out (key_from, key_mid, from_uri, to_uri, date, text,"
                " attachments, arrived, next_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*key, text.from_uri, text.to_uri, text.date, text.text, text.attachments,
                 text.arrived, text.arrived),
            )  # fmt: skip
            return None

        return await self._store.run(work)

    async def due(self, now: float, most: int) -> list[Waiting]:
        """Give at most ``most`` texts that are due at ``now``, those that came first before."""

        def work(db: sqlite3.Connection) -> list[Waiting]:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM sip_out WHERE state = ? AND next_at <= ?"
                " ORDER BY seq LIMIT ?",
                (WAITING, now, most),
            )
            return [Waiting(TextKey(*row[:2]), *row[2:]) for row in rows]

        return await self._store.run(work)

    async def next_at(self, now: float) -> float | None:
        """Give when, after ``now``, the next text is due; None if none is."""

        def work(db: sqlite3.Connection) -> float | None:
            row = db.execute(
                "SELECT min(next_at) FROM sip_out WHERE state = ? AND next_at > ?", (WAITING, now)
            )
            found: float | None = row.fetchone()[0]
            return found

        return await self._store.run(work)

    async def put_off(self, seq: int, next_at: float, reason: str, now: float) -> None:
        """Note a failed attempt, and when the next one is due."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE sip_out SET attempts = attempts + 1, next_at = ?, reason = ?,"
                " reason_at = ? WHERE seq = ?",
                (next_at, reason, now, seq),
            )

        await self._store.run(work)

    async def settle(self, seq: int, final: Final, now: float) -> None:
        """Note the final answer, and drop the text."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE sip_out SET state = ?, text = '', reason = ?, reason_at = ?,"
                " next_at = ? WHERE seq = ?",
                (OK if final.ok else REFUSED, final.reason, now, now, seq),
            )

        await self._store.run(work)

    async def owed(self, most: int) -> list[Waiting]:
        """Give texts that arrived, whose senders are yet to hear of their attachments."""

        def work(db: sqlite3.Connection) -> list[Waiting]:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM sip_out WHERE state = ? AND attachments > 0"
                " ORDER BY seq LIMIT ?",
                (OK, most),
            )
            return [Waiting(TextKey(*row[:2]), *row[2:]) for row in rows]

        return await self._store.run(work)

    async def told(self, seq: int) -> None:
        """Note that a sender has heard of the attachments."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("UPDATE sip_out SET attachments = 0 WHERE seq = ?", (seq,))

        await self._store.run(work)

    async def prune(self, now: float) -> None:
        """Forget what was settled `KEPT_SECONDS` ago."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "DELETE FROM sip_out WHERE state != ? AND next_at < ?",
                (WAITING, now - KEPT_SECONDS),
            )

        await self._store.run(work)

    async def facts(self) -> QueueFacts:
        """Tell how many texts wait, since when, and what went wrong last with one of them."""

        def work(db: sqlite3.Connection) -> QueueFacts:
            count, oldest = db.execute(
                "SELECT count(*), min(arrived) FROM sip_out WHERE state = ?", (WAITING,)
            ).fetchone()
            error, at = db.execute(
                "SELECT reason, max(reason_at) FROM sip_out WHERE state = ?", (WAITING,)
            ).fetchone()
            return QueueFacts("sip", "MESSAGE", count, oldest, error=error or "", error_at=at)

        return await self._store.run(work)
