# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a multipart body (RFC 2046 section 5.1.1), found in a file piece by piece.

The rules:

1. A delimiter is a line of ``--``, the boundary and, after the last part, ``--``; blanks may
   follow. The line end before it belongs to it.
2. What stands before the first delimiter and after the last one does not count.
3. A body without its last delimiter has been cut off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

from cig_common.texts.errors import ContentError
from cig_common.texts.transfer import PIECE, Region

MAX_BOUNDARY = 200
"""Characters of a boundary that is read; RFC 2046 allows 70."""
_MAX_BLANKS = 100
_MAX_LOOKALIKES = 10_000
"""Lines that begin with the boundary and go on with something else."""


def find_parts(file: IO[bytes], start: int, end: int, boundary: str) -> Iterator[Region]:
    """Yield the parts of the body, headers included, in order.

    The octet before ``start`` must be the LF that ends the header's empty line. Raises
    ContentError: ``boundary`` where it is none or is hidden among thousands like it, ``cut-off``.
    """
    if not 0 < len(boundary) <= MAX_BOUNDARY or not boundary.isprintable():
        raise ContentError("boundary", "it has several parts but no usable boundary")
    part: int | None = None
    for at, after, last in _delimiters(file, start - 1, end, boundary.encode()):
        if part is not None:
            stop = at - 1 if _octet(file, at - 1) == b"\r" else at
            yield Region(file, part, max(part, stop))
        if last:
            return
        part = after
    raise ContentError("cut-off", "the boundary after its last part is missing")


def _delimiters(
    file: IO[bytes], start: int, end: int, boundary: bytes
) -> Iterator[tuple[int, int, bool]]:
    """Yield where a delimiter begins, where its line is over, and whether it is the last one."""
    begin = b"\n--" + boundary
    rest = re.compile(rb"(--)?[ \t]{0,%d}(?:\r?\n|\r?\Z)" % _MAX_BLANKS)
    overlap = len(begin) + 2 + _MAX_BLANKS + 2
    position, lookalikes = start, 0
    while position < end:
        file.seek(position)
        window = file.read(min(PIECE, end - position))
        if not window:
            raise ContentError("cut-off", "the file has become shorter while it was read")
        final = position + len(window) >= end
        # A delimiter that begins after this may go on beyond the window.
        usable = len(window) if final else max(1, len(window) - overlap)
        at = window.find(begin)
        while 0 <= at < usable:
            match = rest.match(window, at + len(begin))
            if match is None:
                lookalikes += 1
                if lookalikes > _MAX_LOOKALIKES:
                    raise ContentError("boundary", "too many of its lines look like the boundary")
                at = window.find(begin, at + 1)
                continue
            # The LF that ends this line may be the one that begins the next delimiter.
            ended_by_lf = match[0].endswith(b"\n")
            yield position + at, position + match.end(), match[1] is not None
            at = window.find(begin, match.end() - ended_by_lf)
        position += usable


def _octet(file: IO[bytes], position: int) -> bytes:
    if position < 0:
        return b""
    file.seek(position)
    return file.read(1)
