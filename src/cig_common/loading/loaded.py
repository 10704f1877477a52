# SPDX-License-Identifier: GPL-3.0-or-later
"""What a daemon keeps of a cig.conf, and the digest that says which file it was."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from cig_common.config import ConfigError, Configuration, Diagnostic, load

Part = TypeVar("Part")

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Loaded(Generic[Part]):
    """The wanted part of a configuration; ``digest`` is the SHA-256 of the file it came from."""

    part: Part
    digest: bytes


def load_part(
    path: Path, take: Callable[[Configuration], Part], *, ask_host: bool = True
) -> Loaded[Part]:
    """Compile ``path`` and give what ``take`` makes of the configuration.

    ``ask_host`` False leaves out the warnings for which this host is looked at: rights on a
    mailbox, say, which mean something to the user of one daemon alone.

    Two daemons read the same file, one after the other: the digest tells them whether it was
    still the same. Raises ConfigError for whatever is wrong with the file, and where it changes
    again and again while it is read.
    """
    for _ in range(_TRIES):
        before = _digest(path)
        configuration = load(path) if ask_host else load(path, None)
        if before and _digest(path) == before:
            return Loaded(take(configuration), before)
    message = "the file changes while it is read: write it whole, then try again"
    raise ConfigError([Diagnostic(str(path), 0, 0, message)])


def _digest(path: Path) -> bytes:
    """Give the SHA-256 of a regular file; empty for what `load` will refuse in better words."""
    try:
        # Looked at before it is opened: opening a named pipe would wait for its writer.
        if not stat.S_ISREG(path.stat().st_mode):
            return b""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except (OSError, ValueError):
        return b""
