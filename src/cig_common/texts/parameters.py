# SPDX-License-Identifier: GPL-3.0-or-later
"""Header values with parameters (RFC 2045 section 5.1): ``text/plain; charset="UTF-8"``.

On reading, what is seen in practice is tolerated: unquoted values with blanks in them, backslashes
that escape nothing, quotes that are never closed, encoded words (RFC 2047) in values. All of it
takes time in proportion to the length of the value.
"""

from __future__ import annotations

import binascii
import re
from urllib.parse import quote, unquote_to_bytes

CODECS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "iso-8859-1": "iso-8859-1",
    "latin1": "iso-8859-1",
    "windows-1252": "windows-1252",
    "cp1252": "windows-1252",
}
"""Charsets that are read, in lower case, and Python's name for how. US-ASCII is read as UTF-8."""
_QUOTED = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')
_WORD = re.compile(r"=\?([\w.-]{1,40})\?([bq])\?([^?\s]*)\?=", re.IGNORECASE | re.ASCII)
_BETWEEN_WORDS = re.compile(r"(?<=\?=)\s{1,9}(?==\?)")


def split_parameters(value: str) -> tuple[str, dict[str, str]]:
    """Return what stands before the first ``;`` and the parameters, their names in lower case.

    Of parameters of one name the first counts.
    """
    head, _, rest = value.partition(";")
    parameters: dict[str, str] = {}
    position = 0
    while (equals := rest.find("=", position)) >= 0:
        name_at = max(position, rest.rfind(";", position, equals) + 1)
        name = rest[name_at:equals].strip().lower()
        text, position = _value(rest, equals + 1)
        parameters.setdefault(name, text)
    return head.strip(), parameters


def _value(rest: str, position: int) -> tuple[str, int]:
    """Return the value that begins here, and where the next parameter begins."""
    while rest[position : position + 1] in (" ", "\t"):
        position += 1
    if rest[position : position + 1] == '"' and (match := _QUOTED.match(rest, position)):
        semicolon = rest.find(";", match.end())
        text = _ESCAPED.sub(r"\1", match[1])
    else:
        semicolon = rest.find(";", position)
        text = rest[position : semicolon if semicolon >= 0 else len(rest)].strip()
    return text, semicolon + 1 if semicolon >= 0 else len(rest)


def parameter(parameters: dict[str, str], name: str) -> str | None:
    """Return a parameter in whichever way it is written.

    An extended one (RFC 2231 section 4) counts before one in pieces (section 3), and that before a
    plain one.
    """
    if (extended := parameters.get(f"{name}*")) is not None:
        return _extended(extended)
    if f"{name}*0" in parameters or f"{name}*0*" in parameters:
        return _continued(parameters, name)
    plain = parameters.get(name)
    return None if plain is None else _words(plain)


def _extended(value: str) -> str:
    pieces = value.split("'", 2)
    charset = pieces[0] if len(pieces) == 3 else ""
    return unquote_to_bytes(pieces[-1]).decode(codec(charset), "replace")


def _continued(parameters: dict[str, str], name: str) -> str:
    octets, charset, number = [], "", 0
    while True:
        plain, extended = (parameters.get(f"{name}*{number}{star}") for star in ("", "*"))
        if extended is not None:
            pieces = extended.split("'", 2) if not number else [extended]
            charset = pieces[0] if len(pieces) == 3 else charset
            octets.append(unquote_to_bytes(pieces[-1]))
        elif plain is not None:
            octets.append(plain.encode(codec(charset), "replace"))
        else:
            return b"".join(octets).decode(codec(charset), "replace")
        number += 1


def codec(charset: str) -> str:
    """Return Python's name of a charset; UTF-8 for one that is not read."""
    return CODECS.get(charset.lower(), "utf-8")


def _words(value: str) -> str:
    """Decode the encoded words of a value; what is none stays as it is."""
    if "=?" not in value:
        return value
    return _WORD.sub(_word, _BETWEEN_WORDS.sub("", value))


def _word(match: re.Match[str]) -> str:
    charset, encoding, text = match.groups()
    if charset.lower() not in CODECS or not text.isascii():
        return match[0]
    try:
        if encoding in "bB":
            octets = binascii.a2b_base64(text + "=" * (-len(text) % 4))
        else:
            octets = binascii.a2b_qp(text, header=True)
    except binascii.Error:
        return match[0]
    return octets.decode(codec(charset), "replace")


def quoted(name: str, value: str) -> str:
    """Write a parameter whose ``value`` is printable ASCII."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'


def extended(name: str, value: str) -> str:
    """Write a parameter that has any characters (RFC 2231 section 4)."""
    return f"{name}*=UTF-8''{quote(value, safe='', errors='replace')}"
