# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealed contents that are too long for a row of the outbox: one file each, in ``out/``.

Everything here blocks: it is for worker threads.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from cig_server.texts.model import StorageError
from umsg.texts import MAX_PART

_FOLDER = "out"


class SealedFiles:
    """The folder ``out`` in the state folder; a file is named by its text's mid."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / _FOLDER

    def prepare(self, wanted: Collection[str]) -> int:
        """Make the folder, and remove what belongs to no row; gives how many. Raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        names = {_name(mid) for mid in wanted}
        stale = [path for path in self._folder.iterdir() if path.name not in names]
        for path in stale:
            path.unlink()
        return len(stale)

    def keep(self, mid: str, source: BinaryIO) -> None:
        """Copy ``source`` from its beginning; on disk when it returns. Raises StorageError."""
        path = self._path(mid)
        try:
            source.seek(0)
            with path.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 16)
                file.flush()
                os.fsync(file.fileno())
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                path.unlink()
            raise StorageError(str(self._folder), error.strerror or str(error)) from None

    def parts(self, mid: str) -> Iterator[bytes]:
        """Yield a content in pieces of `MAX_PART` octets, none where it is gone.

        Raises StorageError.
        """
        try:
            with self._path(mid).open("rb") as file:
                while piece := file.read(MAX_PART):
                    yield piece
        except FileNotFoundError:
            return  # it would never come back: whoever counts the octets sees it
        except OSError as error:
            raise StorageError(str(self._folder), error.strerror or str(error)) from None

    def drop(self, mids: Collection[str]) -> None:
        """Remove contents that are not needed any more; what cannot be removed goes at a start."""
        for mid in mids:
            with contextlib.suppress(OSError):
                self._path(mid).unlink()

    def _path(self, mid: str) -> Path:
        return self._folder / _name(mid)


def _name(mid: str) -> str:
    return mid.replace("/", "_")  # base64 has no underscore
