# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the MIME entity that a text is.

The rules:

1. It is ``text/plain``, or ``multipart/mixed`` whose first part is that; all further parts are
   attachments, at most `MAX_ATTACHMENTS`.
2. The header alone, and a list of the parts' places, is in memory. Text and attachments are
   decoded from the file whenever they are asked for: it must stay open and as it is until then.
   All that can be wrong with them is found beforehand.
3. Headers of a text that are missing or unreadable are taken as if they said nothing: the date is
   then that of reading, and a person wrote it.
4. An attachment without a usable name is ``attachment-N``, N from 1. Several parts in
   one, and a message in a part, are an attachment of octets: they are not looked into.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import IO

from cig_common.texts.boundaries import find_parts
from cig_common.texts.content import Attachment, AutoSubmitted, Octets, ResponderType, TextContent
from cig_common.texts.dates import parse_date
from cig_common.texts.errors import ContentError
from cig_common.texts.filenames import from_headers
from cig_common.texts.headers import Headers, read_headers
from cig_common.texts.parameters import parameter, split_parameters
from cig_common.texts.plain import TYPE, read_plain
from cig_common.texts.transfer import IDENTITY, Region, decoded, encoding_name

MAX_ATTACHMENTS = 100
OCTETS_TYPE = "application/octet-stream"
_MULTIPART = "multipart/mixed"
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")
_COMPOSITE = ("multipart/", "message/")


def parse_entity(file: IO[bytes], now: datetime) -> tuple[Headers, TextContent]:
    """Read the whole of ``file``, which can be sought, as a text; ``now`` is aware.

    Gives all headers too. Raises ContentError with any of its words.
    """
    end = file.seek(0, 2)
    headers, start = read_headers(file, 0, end, whole=True)
    text, attachments = _body(headers, Region(file, start, end))
    return headers, TextContent(
        date=parse_date(headers.get("Date") or "") or now,
        text=text,
        attachments=attachments,
        auto_submitted=_auto_submitted(headers.get("Auto-Submitted")),
        responder_type=_responder_type(headers.get("X-Responder-Type")),
    )


def _body(headers: Headers, body: Region) -> tuple[Octets, tuple[Attachment, ...]]:
    content_type = headers.get("Content-Type") or TYPE
    encoding = headers.get("Content-Transfer-Encoding")
    kind, parameters = split_parameters(content_type)
    if kind.lower() != _MULTIPART:
        return read_plain(body, content_type, encoding), ()
    if encoding_name(encoding) not in IDENTITY:
        raise ContentError("encoding", "it has several parts that are encoded as a whole")
    text: Octets | None = None
    attachments: list[Attachment] = []
    # As it stands where it can be: an encoded word would be none here.
    boundary = parameters.get("boundary") or parameter(parameters, "boundary") or ""
    for part in find_parts(body.file, body.start, body.end, boundary):
        inner, start = read_headers(part.file, part.start, part.end, whole=False)
        rest = Region(part.file, start, part.end)
        if text is None:
            text = read_plain(
                rest, inner.get("Content-Type"), inner.get("Content-Transfer-Encoding")
            )
            continue
        if len(attachments) == MAX_ATTACHMENTS:
            raise ContentError("attachments", f"it has more than {MAX_ATTACHMENTS} attachments")
        attachments.append(_attachment(inner, rest, len(attachments) + 1))
    if text is None:
        raise ContentError("boundary", "it says that it has several parts but has none")
    return text, tuple(attachments)


def _attachment(headers: Headers, body: Region, number: int) -> Attachment:
    kind, _ = split_parameters(headers.get("Content-Type") or TYPE)
    return Attachment(
        filename=from_headers(headers) or f"attachment-{number}",
        content_type=attachment_type(kind),
        octets=decoded(body, headers.get("Content-Transfer-Encoding")),
    )


def attachment_type(kind: str) -> str:
    """Return a media type as an attachment has it: in lower case, without parameters.

    What is none is `OCTETS_TYPE`, and so are the types that RFC 2046 lets have no base64.
    """
    kind = kind.strip().lower()
    if not _MEDIA_TYPE.fullmatch(kind) or kind.startswith(_COMPOSITE):
        return OCTETS_TYPE
    return kind


def _auto_submitted(value: str | None) -> AutoSubmitted:
    try:
        return AutoSubmitted(_keyword(value))
    except ValueError:
        return AutoSubmitted.NO


def _responder_type(value: str | None) -> ResponderType | None:
    if value is None:
        return None
    try:
        return ResponderType(_keyword(value))
    except ValueError:
        return ResponderType.UNKNOWN


def _keyword(value: str | None) -> str:
    """Return the first word of a value, in lower case; parameters and comments may follow."""
    words = re.split(r"[ \t;(]", (value or "").strip().lower(), maxsplit=1)
    return words[0]
