# SPDX-License-Identifier: GPL-3.0-or-later
"""Transfer encodings (RFC 2045 section 6), read from a file and written, in pieces.

What is read never is in memory as a whole: a `Region` says where it is, and the classes here
decode it anew each time that it is asked for. Those who ask at the same time may take turns, but
not in several threads. Base64 is checked beforehand by `check_base64`.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from cig_common.texts.content import Octets
from cig_common.texts.errors import ContentError

PIECE = 64 << 10
"""Octets of a piece, at most."""
IDENTITY = frozenset({"7bit", "8bit", "binary"})
"""Encodings that change nothing."""
_SPACE = b" \t\r\n\v\f"
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_LINE = 57
"""Octets that make a line of 76 characters of base64."""
_LINES = 800
"""Lines of base64 in a piece: 61,600 octets."""


@dataclass(frozen=True, slots=True)
class Region:
    """The octets of ``file`` from ``start`` to before ``end``, as they are."""

    file: IO[bytes] = field(repr=False)
    start: int
    end: int

    def chunks(self) -> Iterator[bytes]:
        """Yield them in pieces; raises ContentError where the file has become shorter."""
        position = self.start
        while position < self.end:
            self.file.seek(position)
            piece = self.file.read(min(PIECE, self.end - position))
            if not piece:
                raise ContentError("cut-off", "the file has become shorter while it was read")
            position += len(piece)
            yield piece


@dataclass(frozen=True, slots=True)
class UnixLines:
    """``source`` with LF instead of CRLF."""

    source: Octets

    def chunks(self) -> Iterator[bytes]:
        """Yield the octets in pieces."""
        held = b""
        for piece in self.source.chunks():
            whole = held + piece
            held = whole[-1:] if whole.endswith(b"\r") else b""
            whole = whole[: len(whole) - len(held)].replace(b"\r\n", b"\n")
            yield from pieces(whole)
        if held:
            yield held


@dataclass(frozen=True, slots=True)
class FromBase64:
    """``source`` decoded; it must have passed `check_base64`."""

    source: Octets

    def chunks(self) -> Iterator[bytes]:
        """Yield the octets in pieces."""
        held = b""
        for piece in self.source.chunks():
            whole = held + piece.translate(None, _SPACE)
            padding = whole.find(b"=")
            if padding >= 0:
                held = whole[:padding]
                break
            usable = len(whole) - len(whole) % 4
            held = whole[usable:]
            if usable:
                yield from pieces(_a2b(whole[:usable]))
        if held:
            yield from pieces(_a2b(held + b"=" * (-len(held) % 4)))


def _a2b(octets: bytes) -> bytes:
    try:
        return binascii.a2b_base64(octets)
    except binascii.Error:
        raise ContentError("encoding", "its base64 was changed while it was read") from None


def check_base64(source: Octets) -> None:
    """Raise ContentError (``encoding``) where these octets are not base64.

    White space may be anywhere, padding may be missing.
    """
    length = padding = 0
    for piece in source.chunks():
        data = piece.translate(None, _SPACE)
        cut = 0 if padding else data.find(b"=")
        if cut >= 0:
            padding += len(data) - cut
            if data[cut:].strip(b"=") or padding > 2:
                raise ContentError("encoding", "there is something after the end of its base64")
            data = data[:cut]
        if data.translate(None, _ALPHABET):
            raise ContentError("encoding", "its base64 has characters that do not belong there")
        length += len(data)
    if length % 4 == 1:
        raise ContentError("encoding", "its base64 ends in the middle of an octet")


@dataclass(frozen=True, slots=True)
class FromQuotedPrintable:
    """``source`` decoded. What is no escape stays as it is."""

    source: Octets

    def chunks(self) -> Iterator[bytes]:
        """Yield the octets in pieces."""
        held = b""
        for piece in self.source.chunks():
            whole = held + piece
            cut = _safe_cut(whole)
            held = whole[cut:]
            yield from pieces(_unescape(whole[:cut]))
        if held:
            yield from pieces(_unescape(held))


def _safe_cut(octets: bytes) -> int:
    """Return where octets may be cut with no escape on both sides: near their end."""
    escape = octets.rfind(b"=", max(0, len(octets) - 2))
    return escape if escape >= 0 else len(octets)


def _unescape(octets: bytes) -> bytes:
    # a2b_qp drops what stands between a soft line break's CR and the next LF.
    octets = octets.replace(b"=\r\n", b"=\n").replace(b"=\r", b"=3D\r")
    return binascii.a2b_qp(octets)


def encoding_name(value: str | None) -> str:
    """Return the name, in lower case, in a value of Content-Transfer-Encoding (None: 7bit)."""
    return (value or "").partition(";")[0].strip().lower() or "7bit"


def decoded(region: Region, encoding: str | None) -> Octets:
    """Return what a region holds, by the value of its Content-Transfer-Encoding.

    Raises ContentError (``encoding``) for one that is not known, and for wrong base64.
    """
    name = encoding_name(encoding)
    if name in IDENTITY:
        return region
    if name == "quoted-printable":
        return FromQuotedPrintable(region)
    if name == "base64":
        check_base64(region)
        return FromBase64(region)
    raise ContentError("encoding", "it has a transfer encoding that is not known here")


def base64_lines(source: Octets) -> Iterator[bytes]:
    """Encode ``source`` in lines of 76 characters that end with LF; no octets are an empty line."""
    held, empty = b"", True
    for piece in source.chunks():
        whole = held + piece
        usable = len(whole) - len(whole) % _LINE
        held = whole[usable:]
        empty = empty and not piece
        yield from _lines(whole[:usable])
    yield from [b"\n"] if empty else _lines(held)


def _lines(octets: bytes) -> Iterator[bytes]:
    for start in range(0, len(octets), _LINE * _LINES):
        block = octets[start : start + _LINE * _LINES]
        yield b"".join(
            binascii.b2a_base64(block[at : at + _LINE]) for at in range(0, len(block), _LINE)
        )


def pieces(octets: bytes) -> Iterator[bytes]:
    """Cut octets into pieces of at most `PIECE`; nothing for none."""
    if len(octets) <= PIECE:
        if octets:
            yield octets
        return
    for start in range(0, len(octets), PIECE):
        yield octets[start : start + PIECE]
