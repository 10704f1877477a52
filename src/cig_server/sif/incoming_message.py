# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a MESSAGE as it came (RFC 3428) into the event that reports it."""

from __future__ import annotations

import re

from cig_server.sif.events import IncomingMessage
from cig_server.sif.headers import MalformedSipError, SipMessage

_TAG = re.compile(r";[ \t]*tag[ \t]*=[ \t]*([!-:<-~]{1,256})", re.IGNORECASE)
_CSEQ = re.compile(r"([0-9]{1,10})[ \t]+MESSAGE")
_LENGTH = re.compile(r"[0-9]{1,6}")
_TYPE = re.compile(r"[!-~]{1,80}/[!-~]{1,80}")
_CHARSET = re.compile(r'charset[ \t]*=[ \t]*"?([!#-~]{1,40})"?', re.IGNORECASE)


def read_message(name: str, text: str, source: str) -> IncomingMessage:
    """Read a MESSAGE. Raises MalformedSipError.

    ``text`` is the whole request, with octets that are no UTF-8 as surrogate escapes; ``name``
    and ``source`` go into the event as they are.
    """
    message = SipMessage.parse(text)
    kind, _, parameters = (message.first("content-type") or "").partition(";")
    charset = next(
        filter(None, map(_CHARSET.fullmatch, map(str.strip, parameters.split(";")))), None
    )
    number = _CSEQ.fullmatch(message.first("cseq") or "")
    if number is None:
        raise MalformedSipError("CSeq of a MESSAGE has a wrong form")
    return IncomingMessage(
        name=name,
        request_uri=message.request_uri(),
        from_uri=message.from_uri(),
        call_id=message.call_id(),
        cseq=int(number[1]),
        from_tag=_tag(message.first("from") or ""),
        content_type=_content_type(kind),
        charset=charset[1].lower() if charset else "",
        encoding=(message.first("content-encoding") or "").lower()[:40],
        body=_body(text, message.first("content-length")),
        source=source,
    )


def _content_type(kind: str) -> str:
    """Give type and subtype in lower case; empty for none, ``?`` for what is no type."""
    kind = kind.strip().lower()
    return kind if not kind or _TYPE.fullmatch(kind) else "?"


def _tag(value: str) -> str:
    """Give the tag of From; empty where its sender knows none (RFC 2543)."""
    found = _TAG.search(value.rpartition(">")[2])
    return found[1] if found else ""


def _body(text: str, length: str | None) -> bytes:
    """Give the octets of the body, cut to Content-Length."""
    octets = text.partition("\r\n\r\n")[2].encode("utf-8", "surrogateescape")
    if length is None:
        return octets
    if not _LENGTH.fullmatch(length) or int(length) > len(octets):
        raise MalformedSipError("Content-Length of a MESSAGE is wrong")
    return octets[: int(length)]
