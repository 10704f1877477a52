# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts into words what cig-relay found in key material, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from cig_common.clock import minute
from cig_common.control.keys import KeysInstalled, KeysPreview, PeriodAction, PeriodPreview

NOTHING_CHANGED = "Nothing was changed."


def sentence(error: Exception) -> str:
    """Give an error's text with a full stop, unless it ends in a question."""
    text = str(error)
    return text if text.endswith((".", "?", "!")) else f"{text}."


_LABEL_WIDTH = 20
_HEAD = ("PERIOD", "ACCEPTED FROM", "ACCEPTED UNTIL", "WHAT HAPPENS", "KMS")
_WORDS = {
    PeriodAction.ADD: "added",
    PeriodAction.HELD: "already held",
    PeriodAction.OLDER: "left out: there is a later revision",
    PeriodAction.EXPIRED: "left out: expired",
}


def old_identity(preview: KeysPreview) -> str:
    """Give the public id (or the file) of the keystore that would have to be given up."""
    return preview.replaces.partition(" ")[0]


def describe(preview: KeysPreview) -> Iterator[str]:
    """Yield the lines that show what was found."""
    crs = preview.crs or ("-",)
    rows = [
        ("Public ID", preview.public_id),
        ("Security Domain", preview.domain),
        *(("CRS Address", address) for address in crs[:1]),
        *(("", address) for address in crs[1:]),
        ("CRS trust anchor", preview.anchor),
    ]
    for label, value in rows:
        yield f"{label:<{_LABEL_WIDTH}}{value}"
    yield ""
    yield from _table([_HEAD, *map(_period_row, preview.periods)])
    yield "(times are UTC)"
    if preview.replaces:
        yield ""
        yield f"It takes the place of another keystore: {preview.replaces}"
    if preview.changes:
        yield ""
        yield "It also changes:"
        for sentence in preview.changes:
            yield f"  {sentence}"


def outcome(done: KeysInstalled) -> Iterator[str]:
    """Yield the lines that tell what was installed, and what to do next."""
    yield f"The keys are installed and in use: {done.path}"
    yield f"It holds the periods {', '.join(done.periods)}."
    yield from done.notes
    yield "What to do next:"
    yield f"  The last period is {done.periods[-1]}: have the next one before its month ends."
    yield "  `cig-cli status` shows whether the gateway has logged in with them."
    yield "  Destroy the copies that you made of the key material and of the passphrase."
    yield "  Back up cig.conf and userdata anew; guard the copy like the keys."


def facts(preview: KeysPreview) -> dict[str, Any]:
    """Give what was found as `--json` prints it."""
    found = asdict(preview)
    del found["token"]
    return found


def installed_facts(done: KeysInstalled) -> dict[str, Any]:
    """Give what was installed as `--json` prints it."""
    return {"path": done.path, "held": done.periods, "notes": done.notes}


def _period_row(period: PeriodPreview) -> tuple[str, ...]:
    words = _WORDS.get(period.action) or f"replaces {period.replaced}"
    begin, end = minute(period.accepted_from), minute(period.accepted_until, end=True)
    return period.period, begin, end, words, period.kms_uri


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()
