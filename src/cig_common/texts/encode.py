# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the MIME entity that a text is: what `entity` reads, in pieces.

The rules:

1. A text without attachments is ``text/plain``, another one ``multipart/mixed``.
2. A text is written as it is (8bit) where it can be: see `plain.fits_8bit`. Otherwise it is
   base64, and an attachment always is.
3. The boundary is random and is in no part: base64 has no ``-``, and a text is searched.
4. Lines end with LF and are under 1000 octets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cig_common.texts.content import Attachment, TextContent
from cig_common.texts.dates import format_date
from cig_common.texts.entity import attachment_type
from cig_common.texts.filenames import disposition
from cig_common.texts.headers import header
from cig_common.texts.plain import fits_8bit, holds
from cig_common.texts.transfer import base64_lines

RandomBytes = Callable[[int], bytes]
"""Gives that many random octets, as `os.urandom` does."""
BOUNDARY_LENGTH = 32
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_PLAIN = b'Content-Type: text/plain; charset="UTF-8"\n'
_AS_IT_IS = b"Content-Transfer-Encoding: 8bit\n"
_BASE64 = b"Content-Transfer-Encoding: base64\n"


@dataclass(frozen=True, slots=True)
class Body:
    """A body and the headers that say what it is.

    ``header_lines`` end with LF each; after them and all other headers comes an empty line, then
    what ``chunks`` yields, once, in pieces of at most 64 KiB.
    """

    header_lines: bytes
    chunks: Iterator[bytes]


def encode_body(content: TextContent, random_bytes: RandomBytes) -> Body:
    """Write the text and the attachments of ``content``; the text is read twice or more."""
    as_it_is = fits_8bit(content.text)
    if not content.attachments:
        encoding = _AS_IT_IS if as_it_is else _BASE64
        return Body(_PLAIN + encoding, _text(content, as_it_is=as_it_is))
    boundary = make_boundary(random_bytes)
    while holds(content.text, boundary):
        boundary = make_boundary(random_bytes)
    lines = _AS_IT_IS + b"Content-Type: multipart/mixed;\n boundary=" + boundary + b"\n"
    return Body(lines, _parts(content, boundary, as_it_is=as_it_is))


def make_boundary(random_bytes: RandomBytes) -> bytes:
    """Return a boundary of `BOUNDARY_LENGTH` letters and digits, one of each random octet."""
    octets = random_bytes(BOUNDARY_LENGTH)
    return "".join(_LETTERS[octet % len(_LETTERS)] for octet in octets).encode()


def _text(content: TextContent, *, as_it_is: bool) -> Iterator[bytes]:
    if not as_it_is:
        yield from base64_lines(content.text)
        return
    yield from content.text.chunks()
    yield b"\n"


def _parts(content: TextContent, boundary: bytes, *, as_it_is: bool) -> Iterator[bytes]:
    delimiter = b"--" + boundary
    yield delimiter + b"\n" + _PLAIN + (b"" if as_it_is else _BASE64) + b"\n"
    yield from _text(content, as_it_is=as_it_is)
    for attachment in content.attachments:
        yield delimiter + b"\n" + _attachment_header(attachment) + b"\n"
        yield from base64_lines(attachment.octets)
    yield delimiter + b"--\n"


def _attachment_header(attachment: Attachment) -> bytes:
    return (
        header("Content-Type", attachment_type(attachment.content_type))
        + _BASE64
        + disposition(attachment.filename)
    )


def content_headers(content: TextContent) -> bytes:
    """Write Date, Auto-Submitted and, where it is known, X-Responder-Type."""
    lines = header("Date", format_date(content.date))
    lines += header("Auto-Submitted", content.auto_submitted)
    if content.responder_type is not None:
        lines += header("X-Responder-Type", content.responder_type)
    return lines


def entity_chunks(content: TextContent, random_bytes: RandomBytes) -> Iterator[bytes]:
    """Yield the entity that is sealed for its recipient, in pieces of at most 64 KiB."""
    body = encode_body(content, random_bytes)
    yield content_headers(content) + body.header_lines + b"\n"
    yield from body.chunks
