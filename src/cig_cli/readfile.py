# SPDX-License-Identifier: GPL-3.0-or-later
"""`cig-cli read FILE`: checks a configuration here, with the caller's rights, without a server."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from cig_common.config import ConfigError, Configuration, Diagnostic

EXIT_BAD = 1
MAX_SHOWN = 200
"""So many errors and so many warnings are shown, the rest is counted."""

PATIENCE_SECONDS = 1.5
EXPLANATIONS = "docs/warnings.md"


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in a file, and how much more of it that was not kept."""

    errors: Sequence[Diagnostic] = ()
    warnings: Sequence[Diagnostic] = ()
    untold: int = 0
    untold_warnings: int = 0

    @property
    def error_count(self) -> int:
        """All errors of the file."""
        return len(self.errors) + self.untold

    @property
    def warning_count(self) -> int:
        """All warnings of the file."""
        return len(self.warnings) + self.untold_warnings


def read_file(path: str, *, as_json: bool, say: Callable[[str], None], strict: bool = False) -> int:
    """Compile the file as a start would, say what is wrong or doubtful, return the exit code.

    `strict`: a warning counts as an error.
    """
    # Here and not above: the grammar's machinery takes longer to load than other commands run.
    from cig_common.config import ConfigError

    try:
        config = patient_load(path)
    except ConfigError as error:
        return refused(error, as_json=as_json, say=say)
    found = Found((), config.warnings, 0, config.untold_warnings)
    return _report(found, as_json, say, strict=strict)


def refused(error: ConfigError, *, as_json: bool, say: Callable[[str], None]) -> int:
    """Say why a file does not load; return the exit code."""
    found = Found(error.problems, error.warnings, error.untold, error.untold_warnings)
    return _report(found, as_json, say)


def patient_load(path: str) -> Configuration:
    """Load a file and tell a person who waits for a big one why nothing happens.

    Raises ConfigError.
    """
    from cig_common.config import load

    with note_when_slow(path, sys.stderr):
        return load(path)


def _report(
    found: Found, as_json: bool, say: Callable[[str], None], *, strict: bool = False
) -> int:
    """Say what was found in a file, at most MAX_SHOWN of each kind; return the exit code."""
    errors, warnings = found.error_count, found.warning_count
    good = not errors and not (strict and warnings)
    if as_json:
        facts = {
            "ok": good,
            "errors": [asdict(item) for item in found.errors[:MAX_SHOWN]],
            "warnings": [asdict(item) for item in found.warnings[:MAX_SHOWN]],
            "counts": {"errors": errors, "warnings": warnings},
        }
        say(json.dumps(facts))
        return 0 if good else EXIT_BAD
    for items, count, kind in (
        (found.errors, errors, "error"),
        (found.warnings, warnings, "warning"),
    ):
        for item in items[:MAX_SHOWN]:
            say(item.render())
        if count > MAX_SHOWN:
            say(f"… and {_counted(count - MAX_SHOWN, f'more {kind}')}")
    if summary := _summary(found, strict=strict):
        say(summary)
    say("OK" if good else "ERROR")
    return 0 if good else EXIT_BAD


def _summary(found: Found, *, strict: bool) -> str:
    """Return the line before the last: how many there are, and where their codes are explained."""
    parts = [_counted(found.error_count, "error")] if found.errors else []
    if found.warnings:
        codes = ", ".join(sorted({item.code for item in found.warnings if item.code}))
        taken = " counted as errors" if strict and not found.errors else ""
        count = _counted(found.warning_count, "warning")
        parts.append(f"{count}{taken}: {codes} (see {EXPLANATIONS})")
    # A single error speaks for itself.
    return ", ".join(parts) if found.warnings or found.error_count > 1 else ""


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
