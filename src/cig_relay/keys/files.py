# SPDX-License-Identifier: GPL-3.0-or-later
"""Replaces a secret file as a whole or not at all, whenever the power fails."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

TEMPORARY = ".new."


def replace_durably(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` with mode 0600: temporary file, fsync, rename, fsync of folder.

    Temporary files that an earlier crash left of the same name are removed, since they may hold
    keys. Raises OSError; the old file is then untouched.
    """
    for stale in path.parent.glob(f"{TEMPORARY}{path.name}.*"):
        stale.unlink(missing_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600)
    try:
        with open(descriptor, "wb") as stream:  # noqa: PTH123 - of a descriptor, not a path
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.rename(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename or a new name in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
