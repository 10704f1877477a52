# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends a process by SIGKILL in the midst of what it does to disks and connections.

On PYTHONPATH of a child, Python imports this first. While the file that CIG_KILL_FILE names is
there, each step is counted: a file made, an fsync, a rename, an unlink, a commit of SQLite that
writes (before it and after it), a part of a text or a receipt sent. The file names one: before the
second unlink, for ``2 unlink``, the process removes the file, and is gone.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

_FILE = os.environ.get("CIG_KILL_FILE", "")
_taken: Counter[str] = Counter()


def _step(what: str) -> bool:
    """Count a step; tells whether steps are counted at present."""
    try:
        number, _, wanted = Path(_FILE).read_text().partition(" ")
    except OSError:
        _taken.clear()
        return False
    _taken[what] += 1
    if what == wanted and _taken[what] >= int(number):
        _unlink(_FILE)
        os.kill(os.getpid(), signal.SIGKILL)
    return True


def _before(name: str, function: Any) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        _step(name)
        return function(*args, **kwargs)

    return wrapper


class _Connection(sqlite3.Connection):
    _changes = 0

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        if sql.startswith("BEGIN"):
            self._changes = self.total_changes
        if sql != "COMMIT" or self.total_changes == self._changes:
            return super().execute(sql, *args)
        counted = _step("commit")
        cursor = super().execute(sql, *args)
        if counted:  # or it was the last step of what came before
            _step("after the commit")
        return cursor


def _patch_sessions() -> None:
    from umsg.messages import Receipt, Text
    from umsg.session import ClientSession

    send = ClientSession.send

    def watched(session: Any, message: Any, now: float) -> None:
        named = isinstance(message, (Text, Receipt))
        if named:
            _step(f"send {message.TYPE}")
        send(session, message, now)

    ClientSession.send = watched  # type: ignore[method-assign]


_unlink = os.unlink
if _FILE:
    _open = os.open

    def _opened(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & os.O_CREAT:
            _step("create")
        return _open(path, flags, *args, **kwargs)

    os.open = _opened
    for _name in ("fsync", "fdatasync", "rename", "replace", "link", "unlink", "remove"):
        setattr(os, _name, _before(_name, getattr(os, _name)))
    _connect = sqlite3.connect
    sqlite3.connect = lambda *args, **kwargs: _connect(  # type: ignore[assignment]
        *args, **{"factory": _Connection, **kwargs}
    )
    _patch_sessions()
