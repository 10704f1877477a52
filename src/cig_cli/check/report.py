# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints the rows of `cig-cli check`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from cig_cli.check.row import Row, State

_HEAD = ("CHECK", "STATE", "FOUND")
_ARROW = "  -> "


def failures(rows: Sequence[Row]) -> int:
    """Count the failed rows."""
    return sum(row.state is State.FAIL for row in rows)


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the table, what to do under each row that is not well."""
    name = max(len(_HEAD[0]), *(len(row.name) for row in rows))
    state = max(len(_HEAD[1]), *(len(row.state) for row in rows))
    yield f"{_HEAD[0]:<{name}}  {_HEAD[1]:<{state}}  {_HEAD[2]}"
    for row in rows:
        yield f"{_plain(row.name):<{name}}  {row.state:<{state}}  {_plain(row.found)}"
        if row.advice:
            yield f"{_ARROW}{_plain(row.advice)}"


def summary(rows: Sequence[Row]) -> str:
    """Return the line before the last: how many rows are how, but for those that failed."""
    counts = Counter(row.state for row in rows)
    words = ((State.WARN, "warning"), (State.SKIP, "not looked at"))
    parts = []
    for state, word in words:
        if count := counts[state]:
            plural = "s" if count > 1 and state is State.WARN else ""
            parts.append(f"{count} {word}{plural}")
    return ", ".join(parts)


def verdict(rows: Sequence[Row]) -> str:
    """Return the last line."""
    failed = failures(rows)
    if not failed:
        return "OK"
    return f"ERROR: {failed} check{'s' if failed > 1 else ''} failed"


def as_json(rows: Sequence[Row]) -> str:
    """Return all of it as one JSON object."""
    return json.dumps({"ok": not failures(rows), "checks": [asdict(row) for row in rows]})


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
