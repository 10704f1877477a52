# SPDX-License-Identifier: GPL-3.0-or-later
"""A message in a mailbox: the format of the manual's chapter Message format, read and written.

A message is a header and a body with an empty line between them, UTF-8 with LF, lines under 1000
octets. Header and body are those of `cig_common.texts`; what a mailbox adds is who it is for and
from (``<…>``), X-Sender-URI, X-Sender-Domain and X-CIG-Message-ID. It is read with tolerance:
CRLF, headers of other names and blanks before the colon are no faults. From and To are needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Self

from cig_common.texts.content import TextContent
from cig_common.texts.encode import RandomBytes, content_headers, encode_body
from cig_common.texts.entity import parse_entity
from cig_common.texts.errors import ContentError
from cig_common.texts.headers import Headers, clean_value, has_control, header

_ANGLES = str.maketrans("", "", "<>")


@dataclass(frozen=True, slots=True)
class MailboxMessage:
    """A message. ``to`` and ``from_`` are without ``<`` and ``>``.

    ``sender_uri``, ``sender_domain`` and ``message_id`` are empty where nothing is known of them:
    such headers are not written. External systems need not write them.
    """

    to: str
    from_: str
    content: TextContent = field(repr=False)
    sender_uri: str = ""
    sender_domain: str = ""
    message_id: str = ""

    @classmethod
    def parse(cls, file: IO[bytes], now: datetime) -> Self:
        """Read the whole of ``file``, which can be sought and must stay open for the content.

        ``now``, aware, is the date of a message without one. Raises ContentError.
        """
        headers, content = parse_entity(file, now)
        return cls(
            to=_address(headers, "To"),
            from_=_address(headers, "From"),
            content=content,
            sender_uri=headers.get("X-Sender-URI") or "",
            sender_domain=headers.get("X-Sender-Domain") or "",
            message_id=headers.get("X-CIG-Message-ID") or "",
        )

    def encode(self, random_bytes: RandomBytes) -> Iterator[bytes]:
        """Yield the file in pieces of at most 64 KiB; ``random_bytes`` makes the boundary.

        Control characters, and ``<`` and ``>`` in an address, do not get into the header.
        """
        body = encode_body(self.content, random_bytes)
        lines = [
            header("To", _angled(self.to)),
            header("From", _angled(self.from_)),
            content_headers(self.content),
        ]
        if self.sender_uri:
            lines.append(header("X-Sender-URI", self.sender_uri))
        if self.sender_domain:
            lines.append(header("X-Sender-Domain", self.sender_domain))
        lines.append(body.header_lines)
        if self.message_id:
            lines.append(header("X-CIG-Message-ID", self.message_id))
        yield b"".join(lines) + b"\n"
        yield from body.chunks


def _address(headers: Headers, name: str) -> str:
    """Return what stands between ``<`` and ``>`` in a header that has nothing else."""
    value = headers.get(name)
    if value is None:
        raise ContentError("header", f"it has no {name} header")
    inner = value[1:-1].strip()
    if value[:1] != "<" or value[-1:] != ">" or not inner or set(inner) & {"<", ">"}:
        raise ContentError("header", f"its {name} header is not of the form <ADDRESS>")
    if has_control(inner):
        raise ContentError("header", f"its {name} header has control characters")
    return inner


def _angled(address: str) -> str:
    return f"<{clean_value(address.translate(_ANGLES))}>"
