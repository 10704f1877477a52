# SPDX-License-Identifier: GPL-3.0-or-later
"""Mailboxes, texts and deliverers for tests."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from cig_common.clock import Clock, SystemClock
from cig_server.texts import received
from cig_server.texts.delivery import Deliverer
from cig_server.texts.model import Copy, TextKey
from cig_server.texts.store import TextStore

DIGEST = bytes(range(32))
PIECES = (b"To: <a>\n\n", b"the text" * 1000, b"the end\n")
WHOLE = b"".join(PIECES)


def mailbox(path: Path) -> str:
    """Make a mailbox without failed/, as an older version made them."""
    for name in ("new", "cur", "tmp"):
        (path / name).mkdir(parents=True)
    return str(path)


def key(number: int = 1) -> TextKey:
    return TextKey("tel:+12345", f"{number:016}")


def nothing() -> None:
    pass


def copy(path: str, step: Callable[[], None] = nothing, content: Sequence[bytes] = PIECES) -> Copy:
    """A copy that is written in pieces; each is a step."""

    def write(file: BinaryIO) -> None:
        for piece in content:
            step()
            file.write(piece)
            file.flush()

    return Copy(path, write)


def messages(path: str | Path, folder: str = "new") -> list[bytes]:
    """The files of a mailbox's folder, each of which must be a regular file of mode 0660."""
    found = []
    for file in sorted((Path(path) / folder).iterdir()):
        assert stat.S_IMODE(file.lstat().st_mode) == 0o660, file
        found.append(file.read_bytes())
    return found


@asynccontextmanager
async def delivering(
    folder: Path,
    boxes: Sequence[str],
    *,
    clock: Clock | None = None,
) -> AsyncIterator[Deliverer]:
    """A deliverer that has started, over a store in ``folder``."""
    folder.mkdir(exist_ok=True)
    store = TextStore(folder, [received.SCHEMA])
    await store.open()
    deliverer = Deliverer(
        store,
        clock=clock or SystemClock(),
        random_bytes=os.urandom,
        mailboxes=lambda: boxes,
    )
    try:
        await deliverer.start()
        yield deliverer
        await deliverer.stop()
    finally:
        await store.close()
