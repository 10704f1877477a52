# SPDX-License-Identifier: GPL-3.0-or-later
"""What a text says: its header's facts, the text itself, and its attachments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class AutoSubmitted(StrEnum):
    """Whether a person wrote it (RFC 3834 section 5, RFC 5436 section 2.7.1)."""

    NO = "no"
    AUTO_GENERATED = "auto-generated"
    AUTO_REPLIED = "auto-replied"
    AUTO_NOTIFIED = "auto-notified"


class ResponderType(StrEnum):
    """The context that a reply would be in."""

    TEL_URI = "tel-uri"
    CHANNEL = "channel"
    UNKNOWN = "unknown"


class Octets(Protocol):
    """Octets that need not be in memory."""

    def chunks(self) -> Iterator[bytes]:
        """Yield them, decoded, in pieces of at most 64 KiB; may be asked for more than once."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """Octets that are in memory; ``repr`` does not show them."""

    octets: bytes = field(repr=False)

    def chunks(self) -> Iterator[bytes]:
        """Yield them in pieces of at most 64 KiB."""
        for start in range(0, len(self.octets), 1 << 16):
            yield self.octets[start : start + (1 << 16)]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that comes with a text. ``filename`` is clean: at most 255 octets, no path, no
    control characters; ``content_type`` is ``type/subtype`` without parameters. ``repr`` shows
    neither, nor the octets.
    """

    filename: str = field(repr=False)
    content_type: str = field(repr=False)
    octets: Octets


@dataclass(frozen=True, slots=True)
class TextContent:
    """A text's content. ``date`` is aware; ``text`` is UTF-8 without trailing newlines.

    ``responder_type`` is None where the sender says nothing of it.
    """

    date: datetime
    text: Octets
    attachments: tuple[Attachment, ...] = ()
    auto_submitted: AutoSubmitted = AutoSubmitted.NO
    responder_type: ResponderType | None = None
