# SPDX-License-Identifier: GPL-3.0-or-later
"""The text itself: any known charset becomes UTF-8, newlines at its end are left out."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass

from cig_common.texts.content import Octets
from cig_common.texts.errors import ContentError
from cig_common.texts.headers import MAX_LINE
from cig_common.texts.parameters import CODECS, split_parameters
from cig_common.texts.transfer import Region, UnixLines, decoded, encoding_name, pieces

TYPE = "text/plain"
_CONTROLS = bytes(octet for octet in range(32) if octet not in b"\t\n") + b"\x7f"


@dataclass(frozen=True, slots=True)
class _Utf8:
    """``source`` as UTF-8; what its charset does not have becomes U+FFFD."""

    source: Octets
    codec: str

    def chunks(self) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder(self.codec)("replace")
        for piece in self.source.chunks():
            yield from pieces(decoder.decode(piece).encode())
        yield from pieces(decoder.decode(b"", final=True).encode())


@dataclass(frozen=True, slots=True)
class _First:
    """The first ``length`` octets of ``source``."""

    source: Octets
    length: int

    def chunks(self) -> Iterator[bytes]:
        left = self.length
        for piece in self.source.chunks():
            if left <= 0:
                return
            yield piece[:left]
            left -= len(piece)


def read_plain(region: Region, content_type: str | None, encoding: str | None) -> Octets:
    """Return the text of a region, by the values of its Content-Type and transfer encoding.

    Lines end with LF: a CRLF that is written as such becomes one; one inside base64 stays.
    Raises ContentError: ``type``, ``charset``, ``encoding``.
    """
    kind, parameters = split_parameters(content_type or TYPE)
    if kind.lower() != TYPE:
        raise ContentError("type", "its text is not of the type text/plain")
    words = parameters.get("charset", "").split()
    charset = words[0].lower() if words else "utf-8"
    if charset not in CODECS:
        raise ContentError(
            "charset",
            "its text is in none of the charsets UTF-8, US-ASCII, ISO-8859-1 and Windows-1252",
        )
    octets: Octets = _Utf8(decoded(region, encoding), CODECS[charset])
    if encoding_name(encoding) != "base64":
        octets = UnixLines(octets)
    length = end = 0
    for piece in octets.chunks():
        kept = len(piece.rstrip(b"\r\n"))
        if kept:
            end = length + kept
        length += len(piece)
    return _First(octets, end)


def fits_8bit(text: Octets) -> bool:
    """Return whether a text can be written without an encoding.

    Then it is UTF-8 without controls but tab and LF, in lines of at most `MAX_LINE` octets.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    line = 0
    try:
        for piece in text.chunks():
            decoder.decode(piece)
            lines = piece.split(b"\n")
            longest = max(line + len(lines[0]), *map(len, lines))
            line = len(lines[-1]) + (line if len(lines) == 1 else 0)
            if longest > MAX_LINE or piece.translate(None, _CONTROLS) != piece:
                return False
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def holds(text: Octets, wanted: bytes) -> bool:
    """Return whether the octets ``wanted`` are anywhere in a text."""
    tail = b""
    for piece in text.chunks():
        whole = tail + piece
        if wanted in whole:
            return True
        tail = whole[-len(wanted) + 1 :] if len(wanted) > 1 else b""
    return False
