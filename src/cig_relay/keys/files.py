# SPDX-License-Identifier: GPL-3.0-or-later
"""Replaces a secret file as a whole or not at all, whenever the power fails."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY = ".new."


def replace_durably(path: Path, content: bytes, *, modified: int | None = None) -> None:
    """Write ``content`` to ``path`` with mode 0600: temporary file, fsync, rename, fsync of folder.

    ``modified`` (nanoseconds since 1970) is what the new file's time of modification shall be.
    Temporary files that an earlier crash left of the same name are removed, since they may hold
    keys. Raises OSError; the file is then the old or the new one, whole.
    """
    with prepared(path, content) as temporary:
        if modified is not None:
            os.utime(temporary, ns=(modified, modified))
        temporary.rename(path)
    sync_folder(path.parent)


@contextmanager
def prepared(path: Path, content: bytes) -> Iterator[Path]:
    """Give a synced file of mode 0600 with ``content``, to be renamed to ``path``.

    It lies in the same folder. If it is still there in the end, it is removed. Raises OSError.
    """
    remove_stale(path.parent, path.name)
    temporary = _temporary(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600)
    try:
        with open(descriptor, "wb") as stream:  # noqa: PTH123 - of a descriptor, not a path
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        yield temporary
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def keep_durably(path: Path, copy: Path) -> None:
    """Give the file ``path`` the second name ``copy``; what had that name before is replaced.

    Where the file system knows no second names, its octets are copied. Raises OSError.
    """
    temporary = _temporary(copy)
    try:
        os.link(path, temporary, follow_symlinks=False)
    except OSError:
        replace_durably(copy, path.read_bytes())
        return
    try:
        temporary.rename(copy)
    finally:
        # Where `copy` was the same file before, rename does nothing and leaves both names.
        temporary.unlink(missing_ok=True)
    sync_folder(copy.parent)


def remove_stale(folder: Path, name: str) -> None:
    """Remove what a crash left of files that were written as ``name``; it may be a pattern."""
    for stale in folder.glob(f"{TEMPORARY}{name}.*"):
        stale.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a rename or a new name in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _temporary(path: Path) -> Path:
    return path.with_name(f"{TEMPORARY}{path.name}.{secrets.token_hex(8)}")
