# SPDX-License-Identifier: GPL-3.0-or-later
"""A mailbox on disk, as the CIG writes it. Everything here blocks: it is for worker threads.

The rules:

1. Folders are held open, and every name is looked up in an open folder. Neither the mailbox nor
   what is in it may be a symbolic link: whoever swaps one in leads nothing elsewhere.
2. A message is written under a name that nobody else makes (see `Names`) to tmp/, mode 0660, and
   synced; only then is it moved to new/, which no reader sees half done.
3. A rename is taken to happen whole or not at all, also when the power fails; that it has
   happened for good is known when both folders were synced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat
from collections.abc import Callable, Collection, Iterator
from itertools import count
from types import TracebackType
from typing import BinaryIO

from cig_server.texts.model import StorageError

MODE = 0o660
"""The rights of a message: its owner and the group of the mailbox."""
STALE_SECONDS = 36 * 3600
"""A file that is this old in tmp/ was given up by its writer (the maildir rule)."""

_BUFFER = 1 << 16
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NAME = re.compile(r"[0-9]+\.M[0-9]{6}P[0-9]+Q[0-9]+R[0-9a-f]{16}\.(.+)")
_HOST_LENGTH = 64

_MAKE = "make the mailbox with create_cig_maildir"
_ADVICE = {
    errno.ENOSPC: "the disk is full: make room",
    errno.EDQUOT: "the quota is used up: make room or raise it",
    errno.EROFS: "the file system may only be read: look into the kernel's log, mount it anew",
    errno.EIO: "the disk fails: look into the kernel's log",
    errno.EACCES: "cig-server may not write here: it must be in the mailbox's group (cigmail), "
    "and the group must have all rights",
    errno.EPERM: "cig-server may not write here: look for attributes of the folder (lsattr)",
    errno.ENOENT: f"it or a folder in it is missing: {_MAKE}",
    errno.ENOTDIR: f"it or what should be a folder in it is none: {_MAKE}",
    errno.ELOOP: f"it or a folder in it is a symbolic link: {_MAKE}",
}


class _UnwrittenError(OSError):
    """A file that could not be written; ``wanted`` octets of it were asked for."""

    def __init__(self, error: OSError, wanted: int) -> None:
        super().__init__(error.errno, error.strerror)
        self.wanted = wanted


def storage_error(path: str, error: OSError) -> StorageError:
    """Return what an operator is told of a fault of the mailbox ``path``."""
    advice = _ADVICE.get(error.errno or 0)
    fault = StorageError(path, advice or error.strerror or type(error).__name__)
    if isinstance(error, _UnwrittenError):
        fault.wanted = error.wanted
    return fault


class Names:
    """Makes names that no other host, process or start makes: the maildir rule's, and 64 random
    bits.

    ``random_bytes`` gives as many octets as it is asked for; ``host`` is this host's name.
    """

    def __init__(self, random_bytes: Callable[[int], bytes], host: str = "") -> None:
        self._random_bytes = random_bytes
        self._count = count()
        host = host or socket.gethostname() or "localhost"
        host = "".join(c if c.isascii() and c.isprintable() and c != " " else "_" for c in host)
        self.host = host[:_HOST_LENGTH].replace("/", r"\057").replace(":", r"\072")

    def next(self, now: float) -> str:
        """Return a new name; ``now`` is seconds since 1970."""
        seconds, micros = divmod(max(0, int(now * 1_000_000)), 1_000_000)
        number = f"M{micros:06}P{os.getpid()}Q{next(self._count)}R{self._random_bytes(8).hex()}"
        return f"{seconds}.{number}.{self.host}"

    def is_ours(self, name: str) -> bool:
        """Tell whether a name is one that this host makes."""
        match = _NAME.fullmatch(name)
        return match is not None and match[1] == self.host


class Maildir:
    """The mailbox ``path``, its folders tmp and new held open. To be closed: ``with`` does it.

    All methods raise OSError, as does opening it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        with contextlib.ExitStack() as opened:
            top = os.open(path.rstrip("/") or "/", _FOLDER)
            opened.callback(os.close, top)
            self.tmp = os.open("tmp", _FOLDER, dir_fd=top)
            opened.callback(os.close, self.tmp)
            self.new = os.open("new", _FOLDER, dir_fd=top)
            opened.pop_all()
        os.close(top)

    def __enter__(self) -> Maildir:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folders."""
        os.close(self.tmp)
        os.close(self.new)

    def write(self, name: str, write: Callable[[BinaryIO], None]) -> None:
        """Write a file whole to tmp/ and sync it; the folder is not synced.

        Raises what ``write`` raises, too; nothing of the file is left then.
        """
        descriptor = os.open(name, _CREATE, MODE, dir_fd=self.tmp)
        wanted = 0
        try:
            with open(descriptor, "wb", buffering=_BUFFER) as file:  # noqa: PTH123
                self._right(descriptor)
                try:
                    write(file)
                    file.flush()
                    os.fsync(descriptor)
                except OSError:
                    wanted = file.tell()  # so much room will be looked for
                    raise
        except BaseException as error:
            self.drop(name)
            if isinstance(error, OSError):
                raise _UnwrittenError(error, wanted) from None
            raise

    def _right(self, descriptor: int) -> None:
        """Give a new file its mode and, where tmp/ lacks the setgid bit, its group."""
        group = os.fstat(self.new).st_gid
        if os.fstat(descriptor).st_gid != group:
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, MODE)

    def sync_tmp(self) -> None:
        """Have the names in tmp/ on disk."""
        os.fsync(self.tmp)

    def move(self, name: str) -> None:
        """Move a file from tmp/ to new/. One that is not in tmp/ was moved before."""
        try:
            os.stat(name, dir_fd=self.new, follow_symlinks=False)
        except FileNotFoundError:
            with contextlib.suppress(FileNotFoundError):
                os.rename(name, name, src_dir_fd=self.tmp, dst_dir_fd=self.new)
        else:
            self.drop(name)  # a file system that has kept one half of a rename

    def sync(self) -> None:
        """Have what was moved on disk: new/ first, so that no name is ever missing from both."""
        os.fsync(self.new)
        os.fsync(self.tmp)

    def drop(self, name: str) -> None:
        """Remove a file from tmp/, where it is there and can be removed."""
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self.tmp)

    def try_out(self, name: str, room: int) -> None:
        """Make a file of ``room`` octets (1 or more) in tmp/, sync and remove it.

        See that files may be put into new/.
        """
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=self.new, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        self.write(name, lambda file: os.posix_fallocate(file.fileno(), 0, room))
        self.drop(name)

    def clean(
        self, keep: Collection[str], now: float, ours: Callable[[str], bool] | None = None
    ) -> int:
        """Remove from tmp/ what its writers gave up; return how many files those were.

        These are files older than `STALE_SECONDS` and, where ``ours`` is given, all that it takes
        for a name of ours and that belong to our user. Those in ``keep`` stay. ``now`` is seconds
        since 1970.
        """
        removed = 0
        for entry, status in _files(self.tmp):
            own = ours is not None and status.st_uid == os.geteuid() and ours(entry.name)
            changed = max(status.st_mtime, status.st_ctime)
            if entry.name not in keep and (own or changed < now - STALE_SECONDS):
                self.drop(entry.name)
                removed += 1
        return removed

    def waiting(self) -> tuple[int, float | None]:
        """Return how many files are in new/, and when the oldest was written (since 1970)."""
        number, oldest = 0, None
        for _, status in _files(self.new):
            number += 1
            oldest = status.st_mtime if oldest is None else min(oldest, status.st_mtime)
        return number, oldest


def _files(folder: int) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
    """Yield the regular files in an open folder, those that vanish meanwhile left out."""
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    yield entry, status
