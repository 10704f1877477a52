# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a secret file only if nobody else could have read or written it.

A symbolic link, a pipe, a file of another user or one that others may open is refused, and so is
a folder in which others could put another file in its place.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cig_relay.keys.errors import KeystoreAccessError

ROOT = 0
_MODE_BITS = 0o077
_SYSTEMD_MODE_BITS = 0o037
"""In a folder of credentials the group's right to read is the mask of an access control list."""


def read_own_file(path: Path, limit: int, *, of_systemd: bool = False) -> bytes:
    """Give at most ``limit + 1`` octets of a file that belongs to us with mode 0600 or less.

    ``of_systemd`` stands for a file that systemd itself made for this service: it may be root's.
    Raises FileNotFoundError, or KeystoreAccessError that says what to do.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as stream:  # noqa: PTH123 - of a descriptor, not a path
            _check_owner_and_mode(path, os.fstat(descriptor), of_systemd)
            return stream.read(limit + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise KeystoreAccessError(
            path,
            f"it cannot be opened or read ({error.strerror})",
            f"make it a plain file that belongs to uid {os.geteuid()} with mode 0600",
        ) from error


def _check_owner_and_mode(path: Path, status: os.stat_result, of_systemd: bool) -> None:
    uid = os.geteuid()
    if not stat.S_ISREG(status.st_mode):
        raise KeystoreAccessError(path, "it is no plain file", "restore it from a back-up")
    if status.st_uid not in ((uid, ROOT) if of_systemd else (uid,)):
        raise KeystoreAccessError(
            path,
            f"it belongs to uid {status.st_uid}, cig-relay runs as uid {uid}",
            f"chown it to uid {uid} if you know where it comes from",
        )
    if status.st_mode & (_SYSTEMD_MODE_BITS if of_systemd else _MODE_BITS):
        raise KeystoreAccessError(
            path,
            f"its mode is {_mode(status)}, so others may have read the keys",
            "chmod it to 0600, and have new keys issued if others use this host",
        )


def check_folder(folder: Path, *, or_of_root: bool = False) -> None:
    """Raise KeystoreAccessError if others could put a file in the place of one in ``folder``."""
    uid = os.geteuid()
    try:
        status = folder.stat()
    except OSError as error:
        raise unreadable_folder(folder, error) from error
    if status.st_uid in ((uid, ROOT) if or_of_root else (uid,)) and not status.st_mode & 0o022:
        return
    raise KeystoreAccessError(
        folder,
        f"the folder belongs to uid {status.st_uid} with mode {_mode(status)}, so that others "
        "can replace what is in it",
        f"chown it to uid {uid} and chmod it to 0700",
    )


def unreadable_folder(folder: Path, error: OSError) -> KeystoreAccessError:
    """Give the error for a folder that is missing or cannot be read."""
    return KeystoreAccessError(
        folder,
        f"the folder cannot be read ({error.strerror})",
        "create it, owned by the relay's user and with mode 0700",
    )


def _mode(status: os.stat_result) -> str:
    return f"{stat.S_IMODE(status.st_mode):04o}"
