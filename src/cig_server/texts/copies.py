# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages that one text becomes: one for each write mailbox that it is for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol

from cig_common.config import Configuration, Mailbox
from cig_common.texts.content import TextContent
from cig_server.texts.model import Copy


class Target(Protocol):
    """A write mailbox that a text is for (`texts.mapping.Target`)."""

    @property
    def mailbox(self) -> Mailbox:
        """The mailbox."""
        ...

    @property
    def from_value(self) -> str:
        """What stands between ``<`` and ``>`` in its From header."""
        ...

    @property
    def to_value(self) -> str:
        """What stands between ``<`` and ``>`` in its To header."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """Where a text comes from: the sender's URI as in part 0, the security domain of the keys
    that proved it, and the text's ``mid``.
    """

    uri: str
    domain: str
    mid: str


class Formats(Protocol):
    """How texts are read, mapped and written: no more than what this side needs of it."""

    def parse(self, file: BinaryIO, now: datetime) -> TextContent:
        """Read the MIME entity in a seekable file; runs in a worker thread.

        ``now`` stands in for a missing Date. What is returned may read from the file later on.
        Raises ContentRefusedError.
        """
        ...

    def targets(
        self, configuration: Configuration, from_uri: str, to_uri: str
    ) -> tuple[Target, ...]:
        """Return the write mailboxes whose two maps match, in the order of the file."""
        ...

    def encode(
        self,
        target: Target,
        content: TextContent,
        source: Source,
        random_bytes: Callable[[int], bytes],
    ) -> Iterator[bytes]:
        """Yield the file for one mailbox in pieces; runs in a worker thread.

        Raises ContentRefusedError for what only shows when the content is decoded.
        """
        ...


def copies(
    formats: Formats,
    targets: Sequence[Target],
    content: TextContent,
    source: Source,
    random_bytes: Callable[[int], bytes],
) -> tuple[Copy, ...]:
    """Return a copy for each target. One is written at a time: they read from one file."""
    lock = threading.Lock()

    def copy(target: Target) -> Copy:
        def write(file: BinaryIO) -> None:
            with lock:
                for piece in formats.encode(target, content, source, random_bytes):
                    file.write(piece)

        return Copy(target.mailbox.path, write)

    return tuple(copy(target) for target in targets)
