# SPDX-License-Identifier: GPL-3.0-or-later
"""A block of header lines (RFC 5322 section 2.2), read and written.

The rules of reading:

1. A line is ``NAME:VALUE``, blanks round both allowed; it ends with LF or CRLF. An empty line ends
   the block, which has at most `MAX_HEADER` octets.
2. A line that begins with a blank or tab goes on with the one before it. So does a line without a
   colon after one that ends with ``;``, as the example of the manual is printed.
3. The octets are UTF-8; those that are not are read as U+FFFD. A byte order mark at the
   beginning is left out.
4. Names are told apart without regard to case. Of headers of one name the first counts.

Lines are written with LF and are at most `MAX_LINE` octets long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO

from cig_common.texts.errors import ContentError

MAX_HEADER = 64 << 10
"""Octets of a block, the line ends and the empty line included."""
MAX_LINE = 998
"""Octets of a line without its end (RFC 5322 section 2.1.1)."""
_BOM = b"\xef\xbb\xbf"
_BLANKS = " \t\r"


class Headers:
    """The headers of one block, by name. ``repr`` shows none of them."""

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, str] = {}
        for name, value in fields:
            self._values.setdefault(name.lower(), value)

    def get(self, name: str) -> str | None:
        """Return the value of the first header of this name, without blanks around it."""
        return self._values.get(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Headers: {len(self)}>"


def read_headers(file: IO[bytes], start: int, end: int, *, whole: bool) -> tuple[Headers, int]:
    """Read the block that begins at the octet ``start`` of ``file`` and is over before ``end``.

    Gives the place after the empty line too. ``whole`` says that there must be one; otherwise
    ``end`` will do for it. Raises ContentError: ``header`` or ``cut-off``.
    """
    fields: list[tuple[str, list[str]]] = []
    file.seek(start)
    position, open_ended = start, False
    limit = min(end, start + MAX_HEADER)
    while position < limit:
        line = file.readline(limit - position)
        position += len(line)
        if not line or line in (b"\n", b"\r\n"):
            return Headers(_joined(fields)), position
        text = _text(line.removeprefix(_BOM) if position == start + len(line) else line)
        if fields and (text[:1] in (" ", "\t") or (open_ended and ":" not in text)):
            fields[-1][1].append(text.strip(_BLANKS))
        else:
            fields.append(_field(text, len(fields) + 1))
        open_ended = text.rstrip(_BLANKS).endswith(";")
    if limit < end:
        raise ContentError("header", f"a header has more than {MAX_HEADER} octets")
    if whole:
        raise ContentError("cut-off", "it ends before the empty line that ends its header")
    return Headers(_joined(fields)), position


def _text(line: bytes) -> str:
    return line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "replace")


def _field(text: str, number: int) -> tuple[str, list[str]]:
    name, colon, value = text.partition(":")
    name = name.strip(_BLANKS)
    if not colon or not name:
        raise ContentError("header", f"header {number} is not of the form NAME: VALUE")
    return name, [value.strip(_BLANKS)]


def _joined(fields: list[tuple[str, list[str]]]) -> Iterator[tuple[str, str]]:
    for name, pieces in fields:
        yield name, " ".join(pieces).strip(_BLANKS)


def clean_value(value: str) -> str:
    """Return a value as it may stand in a header: control characters become blanks."""
    value = value.encode("utf-8", "replace").decode("utf-8")
    return "".join(" " if _control(character) else character for character in value).strip()


def has_control(value: str) -> bool:
    """Return whether there is a control character in it, C1 included."""
    return any(map(_control, value))


def _control(character: str) -> bool:
    return character < " " or "\x7f" <= character < "\xa0" or character in "\u2028\u2029"


def header(name: str, value: str) -> bytes:
    """Write a header, cleaned, in lines that end with LF.

    It is folded at blanks where it is longer than `MAX_LINE`; a word that is longer still is cut,
    and the pieces are read with a blank between them.
    """
    lines = [f"{name}:".encode()]
    for word in clean_value(value).split(" "):
        octets = b" " + word.encode()
        if len(lines[-1]) + len(octets) <= MAX_LINE:
            lines[-1] += octets
            continue
        while len(octets) > MAX_LINE:
            cut = MAX_LINE
            while octets[cut] & 0xC0 == 0x80:
                cut -= 1
            lines.append(octets[:cut])
            octets = b" " + octets[cut:]
        lines.append(octets)
    return b"\n".join(lines) + b"\n"
