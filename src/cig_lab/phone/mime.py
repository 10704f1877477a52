# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of the phone's texts, by the standard library's parser: another one than the
gateway's, so that each is a check on the other.
"""

from __future__ import annotations

import email
import email.policy
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage, Message

_POLICY = email.policy.default.clone(linesep="\n", cte_type="8bit", max_line_length=78)

Attachment = tuple[str, str, bytes]
"""A file name, a type such as ``image/png``, and the octets."""


@dataclass(frozen=True, slots=True)
class ReceivedText:
    """A text that came; ``headers`` are those of its content."""

    from_uri: str
    to_uri: str
    text: str = field(repr=False)
    attachments: tuple[Attachment, ...] = field(repr=False)
    headers: dict[str, str] = field(repr=False)


def make_entity(text: str, attachments: Sequence[Attachment], *, auto_submitted: str) -> bytes:
    """Make the MIME entity that is sealed."""
    message = EmailMessage(policy=_POLICY)
    message["Date"] = datetime.now(UTC).strftime("%d %b %Y %H:%M:%S +0000")
    message["Auto-Submitted"] = auto_submitted
    message["X-Responder-Type"] = "tel-uri"
    message.set_content(text)
    for name, kind, octets in attachments:
        maintype, _, subtype = kind.partition("/")
        message.add_attachment(octets, maintype=maintype, subtype=subtype, filename=name)
    return message.as_bytes()


def read_entity(from_uri: str, to_uri: str, entity: bytes) -> ReceivedText:
    """Read the MIME entity of a text that was opened; raises ValueError where it cannot be read."""
    try:
        return _read(from_uri, to_uri, entity)
    except Exception:  # the library raises many things at what it does not understand
        raise ValueError("the content cannot be read") from None


def _read(from_uri: str, to_uri: str, entity: bytes) -> ReceivedText:
    message = email.message_from_bytes(entity, policy=_POLICY)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("plain",))
    text = str(body.get_content()).rstrip("\n") if body is not None else ""
    attachments = tuple(
        (part.get_filename() or "", part.get_content_type(), _octets(part))
        for part in message.iter_attachments()
    )
    headers = {name: str(value) for name, value in message.items()}
    return ReceivedText(from_uri, to_uri, text, attachments, headers)


def _octets(part: Message) -> bytes:
    octets = part.get_payload(decode=True)
    return octets if isinstance(octets, bytes) else b""
