# SPDX-License-Identifier: GPL-3.0-or-later
"""Files without a name for a text's octets: in memory while they are few, in the state folder then.

A file has no name from the beginning, so nothing is left of it whatever ends the process. Writes
are not synced: what these files hold is still with the CRS.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from cig_server.texts.assembly import Arrival

IN_MEMORY = 256 << 10
"""Octets up to which a file is in memory."""


def _open(folder: Path) -> BinaryIO:
    return cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, dir=str(folder)))


def _close(file: BinaryIO) -> None:
    with contextlib.suppress(OSError):  # what could not be written is not wanted any more
        file.close()


@contextlib.contextmanager
def scratch_file(folder: Path) -> Iterator[BinaryIO]:
    """Give a file to write, read and seek in, for as long as the block lasts."""
    file = _open(folder)
    try:
        yield file
    finally:
        _close(file)


class Receiving:
    """A text's sealed content as far as it has come. ``begun_at`` is in seconds since 1970."""

    def __init__(self, arrival: Arrival, folder: Path, begun_at: float) -> None:
        self.arrival = arrival
        self.begun_at = begun_at
        self.spool = _open(folder)
        self.whole = asyncio.Event()
        """Set when all parts are in the spool."""
        self.task: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Give the spool's memory and disk back; may be repeated."""
        _close(self.spool)
