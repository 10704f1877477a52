# SPDX-License-Identifier: GPL-3.0-or-later
"""The file cig.raw: read without trust in what lies there, wiped, or set aside.

It holds keys in clear. All functions here do blocking file work. The rules:

1. A symbolic link is not followed, and only a plain file of a size that can be is read.
2. Wiping overwrites the head first: whenever the power fails, a file whose head is zeros is one
   whose wiping was begun, and its keys are in the keystore.
3. Nothing is wiped or removed but the very file that was read, though its name may have been given
   to another one meanwhile.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cig_common.errors import LocalError
from cig_material import raw
from cig_relay.keys.files import sync_folder

NAME = "cig.raw"
BAD_NAME = "cig.raw.bad"


class RawFileError(LocalError):
    """The file cannot be read, wiped or moved; the text says why."""

    log_code = "cig-raw"


@dataclass(slots=True)
class RawFile:
    """One cig.raw, open. ``remarks`` tell what is wrong with its owner or mode."""

    path: Path
    descriptor: int
    writable: bool
    octets: bytes = field(repr=False)
    remarks: tuple[str, ...]

    @property
    def was_wiped(self) -> bool:
        """Whether its keys were installed before, and only its removal was cut short."""
        head = self.octets[: len(raw.MAGIC)]
        return len(head) == len(raw.MAGIC) and not any(head)

    @staticmethod
    def open(path: Path) -> RawFile | None:
        """Open and read it; None where there is none. Raises RawFileError."""
        flags = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            descriptor, writable = _open(path, flags)
        except FileNotFoundError:
            return None
        except PermissionError:
            raise RawFileError(_not_ours(path)) from None
        except OSError as error:
            raise RawFileError(f"it cannot be opened ({error.strerror})") from None
        try:
            return _read(path, descriptor, writable)
        except OSError as error:
            os.close(descriptor)
            raise RawFileError(f"it cannot be read ({error.strerror})") from None
        except BaseException:
            os.close(descriptor)
            raise

    def wipe_and_remove(self) -> str:
        """Overwrite, remove and close it; gives what could not be done, empty where all was.

        Raises RawFileError where it could not even be removed.
        """
        try:
            problem = self._try_to_wipe()
            if _same(self.path, self.descriptor):
                self.path.unlink()
                sync_folder(self.path.parent)
        except OSError as error:
            raise RawFileError(f"it could not be removed ({error.strerror})") from None
        finally:
            self.close()
        return problem

    def _try_to_wipe(self) -> str:
        if not self.writable:
            return "its keys were not overwritten on the disk, since it was not cig-relay's own"
        try:
            self.wipe()
        except OSError as error:
            return f"its keys could not be overwritten on the disk ({error.strerror})"
        return ""

    def wipe(self) -> None:
        """Overwrite it with zeros on the disk, the head first; raises OSError."""
        size = os.fstat(self.descriptor).st_size
        head = min(size, raw.HEAD_OCTETS)
        for offset, length in ((0, head), (head, size - head)):
            os.pwrite(self.descriptor, bytes(length), offset)
            os.fsync(self.descriptor)

    def close(self) -> None:
        """Close it."""
        os.close(self.descriptor)


def set_aside(path: Path) -> Path:
    """Rename it to cig.raw.bad, mode 0600, in place of an older one; gives the new path.

    Raises RawFileError.
    """
    bad = path.with_name(BAD_NAME)
    _forget_older(bad)
    try:
        if not path.is_symlink():
            with suppress(OSError):  # it may belong to somebody else
                path.chmod(0o600)
        path.replace(bad)
        sync_folder(path.parent)
    except OSError as error:
        raise RawFileError(f"it could not be moved to {bad} ({error.strerror})") from None
    return bad


def _forget_older(bad: Path) -> None:
    """Overwrite an older cig.raw.bad as far as that can be done: it too may hold keys."""
    with suppress(RawFileError, OSError):
        older = RawFile.open(bad)
        if older is not None:
            try:
                older.wipe()
            finally:
                older.close()


def _open(path: Path, flags: int) -> tuple[int, bool]:
    """Give the descriptor, and whether it can be written to."""
    try:
        return os.open(path, os.O_RDWR | flags), True
    except PermissionError:
        # Somebody else's that we may read can be imported, and not wiped.
        return os.open(path, os.O_RDONLY | flags), False


def _read(path: Path, descriptor: int, writable: bool) -> RawFile:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise RawFileError("it is no plain file")
    if not status.st_size:
        raise RawFileError("it is empty: pdftoraw did not come to its end, or the disk is full")
    if status.st_size > raw.MAX_OCTETS:
        raise RawFileError(f"it is longer than {raw.MAX_OCTETS} octets: it is no cig.raw")
    parts = iter(lambda: os.read(descriptor, raw.MAX_OCTETS), b"")
    return RawFile(path, descriptor, writable, b"".join(parts), tuple(_remarks(status)))


def _remarks(status: os.stat_result) -> list[str]:
    remarks = []
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.geteuid():
        remarks.append(f"it belongs to uid {status.st_uid} and not to cig-relay's {os.geteuid()}")
    if mode & 0o077:
        remarks.append(f"its mode is {mode:04o}, so that others could read the keys in it")
    return remarks


def _not_ours(path: Path) -> str:
    return (
        f"cig-relay may not read it: `chown {os.geteuid()} {path.with_name(BAD_NAME)}` gives it to "
        "cig-relay"
    )


def _same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
