# SPDX-License-Identifier: GPL-3.0-or-later
"""`cig-cli read FILE`: checks a configuration here, with the caller's rights, without a server."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from cig_common.config import ConfigError, Configuration, Diagnostic

EXIT_BAD = 1
MAX_SHOWN = 200
"""So many errors and so many warnings are shown, the rest is counted."""

PATIENCE_SECONDS = 1.5
EXPLANATIONS = "docs/warnings.md"


def read_file(path: str, *, as_json: bool, say: Callable[[str], None], strict: bool = False) -> int:
    """Compile the file as a start would, say what is wrong or doubtful, return the exit code.

    `strict`: a warning counts as an error.
    """
    config, refusal = try_load(path)
    if refusal is not None:
        return report(refusal.problems, refusal.warnings, as_json, say)
    warnings = config.warnings if config is not None else ()
    return report((), warnings, as_json, say, strict=strict)


def try_load(path: str) -> tuple[Configuration | None, ConfigError | None]:
    """Load a file and tell a person who waits for a big one why nothing happens."""
    # Here and not above: the grammar's machinery takes longer to load than other commands run.
    from cig_common.config import ConfigError, load

    try:
        with note_when_slow(path, sys.stderr):
            return load(path), None
    except ConfigError as error:
        return None, error


def report(
    errors: Sequence[Diagnostic],
    warnings: Sequence[Diagnostic],
    as_json: bool,
    say: Callable[[str], None],
    *,
    strict: bool = False,
) -> int:
    """Say what was found in a file, at most MAX_SHOWN of each kind; return the exit code."""
    good = not errors and not (strict and warnings)
    if as_json:
        facts = {
            "ok": good,
            "errors": [asdict(item) for item in errors[:MAX_SHOWN]],
            "warnings": [asdict(item) for item in warnings[:MAX_SHOWN]],
            "counts": {"errors": len(errors), "warnings": len(warnings)},
        }
        say(json.dumps(facts))
        return 0 if good else EXIT_BAD
    for found, kind in ((errors, "error"), (warnings, "warning")):
        for item in found[:MAX_SHOWN]:
            say(item.render())
        if len(found) > MAX_SHOWN:
            say(f"… and {_counted(len(found) - MAX_SHOWN, f'more {kind}')}")
    if summary := _summary(errors, warnings, strict=strict):
        say(summary)
    say("OK" if good else "ERROR")
    return 0 if good else EXIT_BAD


def _summary(errors: Sequence[Diagnostic], warnings: Sequence[Diagnostic], *, strict: bool) -> str:
    """Return the line before the last: how many there are, and where their codes are explained."""
    parts = [_counted(len(errors), "error")] if errors else []
    if warnings:
        codes = ", ".join(sorted({item.code for item in warnings if item.code}))
        counts = " counted as errors" if strict and not errors else ""
        parts.append(f"{_counted(len(warnings), 'warning')}{counts}: {codes} (see {EXPLANATIONS})")
    # A single error speaks for itself.
    return ", ".join(parts) if warnings or len(errors) > 1 else ""


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number:,} {what}s"


@contextmanager
def note_when_slow(path: str, stream: TextIO, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Say on a terminal, once, that a file takes longer than `patience` seconds to read."""
    if not stream.isatty():
        yield
        return
    note = threading.Timer(patience, print, [f"reading {path!r} …"], {"file": stream})
    note.daemon = True
    note.start()
    try:
        yield
    finally:
        note.cancel()
