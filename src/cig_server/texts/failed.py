# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages that cannot be sent, put aside: into failed/ beside new/, with the reason.

NAME goes to failed/NAME, and failed/NAME.reason says in a line when and why. The rules:

1. The reason is on disk before the message is moved, so that no message lies there without one.
2. Only the message that is meant is moved: not another that has come under its name since.
3. A name that is taken gets a number. No message there has a name that ends like a reason's, so
   neither can take the other's place.

Everything here blocks: it is for worker threads.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator

from cig_common.clock import timestamp
from cig_common.config.errors import printable
from cig_server.texts.read_mailbox import Candidate, same_file

FOLDER = "failed"
REASON = ".reason"
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o660
_FOLDER_MODE = 0o770
_MOST_REASON = 1000
_LONGEST_NAME = 255 - len(REASON) - len(".999999")

logger = logging.getLogger("Texts")


def put_aside(
    mailbox: str, name: str, reason: str, now: float, candidate: Candidate | None = None
) -> str:
    """Move new/NAME to failed/ and say why; gives the name there, empty where new/ has it no more.

    ``candidate`` is the message as it was found, None where any file of that name is meant.
    ``now`` is in seconds since 1970. Raises OSError.
    """
    with _opened(f"{mailbox}/new") as new:
        if not _is_there(new, name, candidate):
            return ""
        with _failed(mailbox) as failed:
            kept = _write_reason(failed, name, reason, now)
            os.fsync(failed)
            try:
                os.rename(name, kept, src_dir_fd=new, dst_dir_fd=failed)
            except FileNotFoundError:  # somebody has just taken it away
                os.unlink(kept + REASON, dir_fd=failed)
                return ""
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


def _is_there(new: int, name: str, candidate: Candidate | None) -> bool:
    try:
        status = os.stat(name, dir_fd=new, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return candidate is None or same_file(candidate, status)


def _write_reason(failed: int, name: str, reason: str, now: float) -> str:
    line = f"{timestamp(now)} {printable(reason)[:_MOST_REASON]}\n".encode()
    kept = _free_name(failed, name)
    try:
        descriptor = os.open(kept + REASON, _NEW, _MODE, dir_fd=failed)
    except FileExistsError:
        # Left by a run that ended before the message was moved: no message has its name.
        os.unlink(kept + REASON, dir_fd=failed)
        descriptor = os.open(kept + REASON, _NEW, _MODE, dir_fd=failed)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, _MODE)
        file.write(line)
        file.flush()
        os.fsync(descriptor)
    return kept


def _free_name(failed: int, name: str) -> str:
    base = os.fsencode(name)[:_LONGEST_NAME]
    number = 1 if base.endswith(REASON.encode()) else 0
    while True:
        kept = os.fsdecode(base + (b".%d" % number if number else b""))
        try:
            os.stat(kept, dir_fd=failed, follow_symlinks=False)
        except FileNotFoundError:
            return kept
        number += 1


@contextlib.contextmanager
def _failed(mailbox: str) -> Iterator[int]:
    """Open failed/; it is made where it is missing."""
    # With the dot: the mailbox itself may be a link, as it may be for all else.
    with _opened(f"{mailbox}/.") as box:
        made = True
        try:
            # The mailbox's setgid bit gives it its group.
            os.mkdir(FOLDER, _FOLDER_MODE, dir_fd=box)
        except FileExistsError:
            made = False
        if made:
            os.fsync(box)
    with _opened(f"{mailbox}/{FOLDER}") as folder:
        if made and os.fstat(folder).st_mode & _FOLDER_MODE != _FOLDER_MODE:
            # Not by chmod: the service may not set the setgid bit, and chmod would clear it.
            logger.warning(
                "%s/%s was made, but its group may not clear it: chmod 2770 it",
                *(mailbox, FOLDER),
            )
        yield folder


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    folder = os.open(path, _FLAGS)
    try:
        yield folder
    finally:
        os.close(folder)
