# SPDX-License-Identifier: GPL-3.0-or-later
"""A mailbox that is read: what lies in its new/, and how a message there is opened.

Everything here blocks: it is for worker threads. The rules:

1. A scan keeps the oldest `MOST` messages, by the time of their last change and then by name, and
   no more of the others than it looks at: new/ may hold any number. Names that begin with a dot
   are nobody's messages (maildir's rule).
2. A message is named by its identity, not by its name alone: another file under the same name is
   another message.
3. A file that was moved into new/ is whole. Any other is taken once nobody was seen writing it and
   it has not changed for `QUIET_SECONDS`, and not while it is as empty as it was made; one that
   changes while it is read is left for later.
4. What is no message is told apart: links, fifos, sockets and devices, files of another group than
   new/ itself, files that cannot be read, files that are too large. Nothing is followed, and
   nothing is opened that could block.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

MOST = 1024
"""Messages that one scan gives."""
QUIET_SECONDS = 2.0
MAX_OCTETS = 24 << 20
"""A larger file cannot become a text of 16 MiB, however it is encoded."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NANO = 1_000_000_000
_HALF = 1 << 63

Identity = tuple[str, int, int, int]
"""Name, inode, time in nanoseconds, size."""


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A message in new/ of ``mailbox``: the order of arrival, and its identity."""

    mtime_ns: int
    name: str
    ino: int
    size: int
    mailbox: str

    @property
    def identity(self) -> Identity:
        """What tells it from any other file of its mailbox."""
        return self.name, self.ino, self.mtime_ns, self.size

    @property
    def since(self) -> float:
        """When it arrived, seconds since 1970."""
        return self.mtime_ns / _NANO


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan found. ``more`` tells that new/ holds more than was kept; ``later`` that some
    may not be taken yet. ``total`` counts the messages, ``odd`` are names of what is no file,
    ``folders`` those of folders.
    """

    candidates: list[Candidate] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    total: int = 0
    more: bool = False
    later: bool = False
    oldest: float | None = None


class NoMessageError(Exception):
    """A file in new/ that can be no message; the text says why, for the operator."""


class NotYetError(Exception):
    """A file in new/ is gone, or still being written: it is left for another time."""


def scan(
    mailbox: str,
    *,
    now: float,
    moved: Collection[str] = (),
    writing: Collection[str] = (),
    made: Collection[str] = (),
    leave_out: Collection[Identity] = frozenset(),
    most: int = MOST,
) -> Scan:
    """Look into new/. ``moved`` are names that are known to be whole, ``writing`` that are not,
    ``made`` of files that were made there, perhaps to be written.

    ``leave_out`` are under way already. ``now`` is in seconds since 1970. Raises OSError where
    new/ cannot be read.
    """
    found = Scan()
    counts = {"total": 0, "later": 0, "ready": 0}
    folder = os.open(f"{mailbox}/new", _FOLDER)
    try:
        with os.scandir(folder) as entries:
            ready = _ready(mailbox, entries, found, counts, now, moved, writing, made, leave_out)
            oldest = heapq.nsmallest(most, ready)
    finally:
        os.close(folder)
    return Scan(
        candidates=oldest,
        odd=found.odd,
        folders=found.folders,
        total=counts["total"],
        more=counts["ready"] > len(oldest),
        later=bool(counts["later"]),
        oldest=oldest[0].since if oldest else None,
    )


def _ready(
    mailbox: str,
    entries: Iterator[os.DirEntry[str]],
    found: Scan,
    counts: dict[str, int],
    now: float,
    moved: Collection[str],
    writing: Collection[str],
    made: Collection[str],
    leave_out: Collection[Identity],
) -> Iterator[Candidate]:
    for entry in entries:
        name = entry.name
        if name.startswith("."):
            continue
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if stat.S_ISDIR(status.st_mode):
            _add(found.folders, name)
            continue
        counts["total"] += 1
        if not stat.S_ISREG(status.st_mode):
            _add(found.odd, name)
            continue
        age = now - status.st_mtime_ns / _NANO
        # A time in the future says nothing of when it was written.
        quiet = age >= QUIET_SECONDS or age < -QUIET_SECONDS
        unfinished = name in writing or (name in made and not status.st_size)
        if unfinished or (name not in moved and not quiet):
            counts["later"] += 1
            continue
        ino, mtime_ns, size = identity_of(status)
        candidate = Candidate(mtime_ns, name, ino, size, mailbox)
        if candidate.identity not in leave_out:
            counts["ready"] += 1
            yield candidate


def _add(names: list[str], name: str) -> None:
    if len(names) < MOST:
        names.append(name)


@contextlib.contextmanager
def opened(candidate: Candidate) -> Iterator[BinaryIO]:
    """Open a message. Raises NoMessageError, NotYetError or OSError."""
    folder = os.open(f"{candidate.mailbox}/new", _FOLDER)
    try:
        group = os.fstat(folder).st_gid
        descriptor = _open(candidate.name, folder)
    finally:
        os.close(folder)
    try:
        _check(candidate, os.fstat(descriptor), group)
        file = os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
    with file:
        yield file


def _check(candidate: Candidate, status: os.stat_result, group: int) -> None:
    """Raise where an open file is not the message that was found, or may not be taken."""
    if not stat.S_ISREG(status.st_mode):
        raise NoMessageError("it is no file")
    if not same_file(candidate, status):
        raise NotYetError
    if status.st_gid != group:
        raise NoMessageError(
            f"it belongs to group {status.st_gid} and not, like its folder, to group {group}: "
            "write it into tmp/ of the mailbox and move it to new/"
        )
    if status.st_size > MAX_OCTETS:
        raise NoMessageError(f"it is larger than {MAX_OCTETS >> 20} MiB")


def _open(name: str, folder: int) -> int:
    try:
        return os.open(name, _FILE, dir_fd=folder)
    except FileNotFoundError:
        raise NotYetError from None
    except PermissionError:
        raise NoMessageError(
            "cig-server may not read it: its group must be that of the mailbox, with mode 0660"
        ) from None
    except OSError as error:
        raise NoMessageError(f"it cannot be opened ({error.strerror})") from None


def unchanged(candidate: Candidate, file: BinaryIO) -> bool:
    """Tell whether a message is still what it was when it was found."""
    return same_file(candidate, os.fstat(file.fileno()))


def remove(candidates: Collection[Candidate]) -> None:
    """Remove messages of one mailbox that are done, and sync new/; what is another by now stays.

    Raises OSError.
    """
    if not candidates:
        return
    mailbox = next(iter(candidates)).mailbox
    folder = os.open(f"{mailbox}/new", _FOLDER)
    try:
        for candidate in candidates:
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(candidate.name, dir_fd=folder, follow_symlinks=False)
                if same_file(candidate, status):
                    os.unlink(candidate.name, dir_fd=folder)
        os.fsync(folder)
    finally:
        os.close(folder)


def same_file(candidate: Candidate, status: os.stat_result) -> bool:
    """Tell whether a file, by what it is now, is the message that was found."""
    return identity_of(status) == (candidate.ino, candidate.mtime_ns, candidate.size)


def identity_of(status: os.stat_result) -> tuple[int, int, int]:
    """Give inode, time in nanoseconds and size, each as a signed number of 64 bits.

    The outbox holds no others. An inode may have all 64 bits; a time beyond the year 2262 is taken
    for the last that fits.
    """
    ino = (status.st_ino + _HALF) % (2 * _HALF) - _HALF
    return ino, max(-_HALF, min(status.st_mtime_ns, _HALF - 1)), status.st_size
