# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages that cannot be sent, put aside: into failed/ beside new/, with the reason.

NAME goes to failed/NAME, and failed/NAME.reason says in a line when and why. The reason is on disk
before the message is moved, so that no message lies there without one; a name that is taken gets a
number. Everything here blocks: it is for worker threads.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from cig_common.clock import timestamp
from cig_common.config.errors import printable

FOLDER = "failed"
REASON = ".reason"
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o660
_FOLDER_MODE = 0o770
_MOST_REASON = 1000
_LONGEST_NAME = 255 - len(REASON) - len(".999999")


def put_aside(mailbox: str, name: str, reason: str, now: float, ino: int | None = None) -> str:
    """Move new/NAME to failed/ and say why; gives the name there, empty where new/ has it no more.

    With ``ino`` it must still be the file of that inode. ``now`` is in seconds since 1970. Raises
    OSError.
    """
    with _folder(mailbox, "new") as new, _folder(mailbox, FOLDER) as failed:
        try:
            status = os.stat(name, dir_fd=new, follow_symlinks=False)
        except FileNotFoundError:
            return ""
        if ino is not None and status.st_ino != ino:
            return ""
        kept = _write_reason(failed, name, reason, now)
        os.fsync(failed)
        os.rename(name, kept, src_dir_fd=new, dst_dir_fd=failed)
        os.fsync(failed)
        os.fsync(new)
        return kept


def count(mailbox: str) -> int:
    """Count the messages in failed/, without their reasons; 0 where it cannot be read."""
    try:
        with os.scandir(f"{mailbox}/{FOLDER}") as entries:
            return sum(not entry.name.endswith(REASON) for entry in entries)
    except OSError:
        return 0


def _write_reason(failed: int, name: str, reason: str, now: float) -> str:
    line = f"{timestamp(now)} {printable(reason)[:_MOST_REASON]}\n".encode()
    base, number = name.encode(errors="surrogateescape")[:_LONGEST_NAME], 0
    while True:
        kept = os.fsdecode(base + (b".%d" % number if number else b""))
        number += 1
        if _exists(failed, kept):
            continue
        try:
            descriptor = os.open(kept + REASON, _NEW, _MODE, dir_fd=failed)
        except FileExistsError:
            # Left by a run that ended before the message was moved, unless the message is there.
            os.unlink(kept + REASON, dir_fd=failed)
            descriptor = os.open(kept + REASON, _NEW, _MODE, dir_fd=failed)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, _MODE)
            file.write(line)
            file.flush()
            os.fsync(descriptor)
        return kept


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


@contextlib.contextmanager
def _folder(mailbox: str, name: str) -> Iterator[int]:
    if name == FOLDER:
        # The mailbox's own setgid bit gives it the right group.
        with contextlib.suppress(FileExistsError):
            Path(mailbox, name).mkdir(_FOLDER_MODE)
    folder = os.open(f"{mailbox}/{name}", _FLAGS)
    try:
        yield folder
    finally:
        os.close(folder)
