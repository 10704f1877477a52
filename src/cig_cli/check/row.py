# SPDX-License-Identifier: GPL-3.0-or-later
"""One row of the table that `cig-cli check` prints."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

AS_ROOT = "run it as root to see this too: sudo cig-cli check"


class State(StrEnum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"
    """The gateway runs, but not as well or as safely as it should."""
    FAIL = "fail"
    """The gateway does not start, or calls fail."""
    SKIP = "skip"
    """It could not be looked at."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was looked at, what was found and, unless all is well, what to do about it."""

    name: str
    state: State
    found: str
    advice: str = ""


def ok(name: str, found: str) -> Row:
    """Give a row in which all is well."""
    return Row(name, State.OK, found)


def warn(name: str, found: str, advice: str) -> Row:
    """Give a row of something that should be better."""
    return Row(name, State.WARN, found, advice)


def fail(name: str, found: str, advice: str) -> Row:
    """Give a row of something that keeps the gateway from working."""
    return Row(name, State.FAIL, found, advice)


def skip(name: str, found: str, advice: str) -> Row:
    """Give a row of what could not be looked at."""
    return Row(name, State.SKIP, found, advice)
