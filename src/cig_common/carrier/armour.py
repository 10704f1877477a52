# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealed key material as text, to be mailed, pasted, or typed from paper.

Between a BEGIN and an END line stand numbered lines of at most 70 characters: a number of four
digits, up to 60 characters of base64 (RFC 4648 section 4, 45 octets), and four characters of
base64 that hold the CRC-24 of RFC 9580 over the number (2 octets, big-endian) and the octets of
the line. It finds any two characters that are wrong, wherever they stand, two that changed
places among them. Line 0 is the head: a version octet, the length (4 octets, big-endian) and the
first 16 octets of the SHA-256 of the whole. The other lines, from 1 on, are the content.

What mail and paste do to a text is forgiven: what stands around it, ``>`` before each line, line
ends, blanks of any kind, dashes that became longer. Nothing else is.
"""

from __future__ import annotations

import base64
import hashlib
import re
import string
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cig_common.carrier.crc24 import crc24
from cig_common.carrier.errors import (
    CarrierError,
    MissingError,
    MistypedError,
    OtherVersionError,
    TornError,
    listed,
)

BEGIN = "-----BEGIN CIG KEY MATERIAL-----"
END = "-----END CIG KEY MATERIAL-----"
VERSION = 1
LINE_OCTETS = 45
LINE_CHARACTERS = 60
CHECK_CHARACTERS = 4
DIGEST_OCTETS = 16
MAX_SEALED = 65536
MAX_TEXT = 256 * 1024
"""Characters of a text with all that stands around the key material."""

_HEAD = struct.Struct(f">BI{DIGEST_OCTETS}s")
_WHAT = "the key material"
_ALPHABET = string.ascii_letters + string.digits + "+/"
_LINE = re.compile(r"([0-9]{4})([A-Za-z0-9+/]{2,60}={0,2})([A-Za-z0-9+/]{4})")
_NUMBER = re.compile(r"[0-9]{4}")
_QUOTED = re.compile("^[>|]+")
_BLANKS = re.compile("[\\s\u00ad\u180e\u200b-\u200f\u2060\ufeff]+")
_DASHES = re.compile("^[-\u2010-\u2015\u2212]+|[-\u2010-\u2015\u2212]+$")
_MARKERS = {"BEGINCIGKEYMATERIAL": "BEGIN", "ENDCIGKEYMATERIAL": "END"}
_EXPLAINED = 4
_REWRAPPED = 8


@dataclass(frozen=True, slots=True)
class _Body:
    """What stands between BEGIN and END: the good lines by number, numbers of bad ones."""

    lines: Mapping[int, bytes]
    mistyped: Mapping[int, str]
    repeated: Sequence[int]


def encode(sealed: bytes) -> str:
    """Give the text, with a line end after its last line. Raises ValueError if it is too long."""
    if not 1 <= len(sealed) <= MAX_SEALED:
        raise ValueError(f"sealed key material has 1 to {MAX_SEALED} octets")
    pieces = [_HEAD.pack(VERSION, len(sealed), _digest(sealed)), *_pieces(sealed)]
    lines = [_line(number, octets) for number, octets in enumerate(pieces)]
    return "\n".join((BEGIN, *lines, END, ""))


def decode(text: str) -> bytes:
    """Read the one text that stands in ``text``; raises `CarrierError` for anything wrong."""
    if len(text) > MAX_TEXT:
        raise CarrierError(
            f"the text is longer than {MAX_TEXT} characters: give {_WHAT} alone, "
            "from its BEGIN line to its END line"
        )
    body = _read_lines(_between_markers(text))
    if body.mistyped:
        raise _mistyped(body)
    if body.repeated:
        raise CarrierError(
            f"{listed('line', body.repeated)} of {_WHAT} must be there once only: "
            "copy the text again"
        )
    head = body.lines.get(0)
    if head is None:
        raise MissingError(f"line 0 of {_WHAT}, its first, is missing: copy the text again", [0])
    length, digest = _head(head)
    return _joined(body.lines, length, digest)


def is_end_line(line: str) -> bool:
    """Tell whether ``line`` is the END line, quoted or not: nothing after it is needed."""
    return _marker(line) == "END"


def _line(number: int, octets: bytes) -> str:
    text = base64.b64encode(octets).decode()
    check = base64.b64encode(_checksum(number, octets)).decode()
    return f"{number:04d} {text} {check}"


def _checksum(number: int, octets: bytes) -> bytes:
    return crc24(number.to_bytes(2) + octets).to_bytes(3)


def _pieces(sealed: bytes) -> Iterator[bytes]:
    for start in range(0, len(sealed), LINE_OCTETS):
        yield sealed[start : start + LINE_OCTETS]


def _digest(sealed: bytes) -> bytes:
    return hashlib.sha256(sealed).digest()[:DIGEST_OCTETS]


def _marker(line: str) -> str:
    """Give ``BEGIN`` or ``END`` for such a line, empty for any other."""
    words = _DASHES.sub("", _QUOTED.sub("", _BLANKS.sub("", line[:256])))
    return _MARKERS.get(words.upper(), "")


def _between_markers(text: str) -> list[str]:
    """Give the lines between the only BEGIN and the END that follows it."""
    lines = text.splitlines()
    markers = [(index, found) for index, line in enumerate(lines) if (found := _marker(line))]
    begins = [index for index, found in markers if found == "BEGIN"]
    if not markers:
        raise CarrierError(f"there is no key material in the text: no line says {BEGIN}")
    if not begins:
        raise TornError(f"the beginning of {_WHAT} is missing: copy it from the line {BEGIN} on")
    if len(begins) > 1:
        raise CarrierError(f"the text holds {_WHAT} {len(begins)} times: give one at a time")
    begin = begins[0]
    ends = [index for index, found in markers if found == "END" and index > begin]
    if not ends:
        last = max(_read_lines(lines[begin + 1 :]).lines, default=0)
        raise TornError(
            f"the end of {_WHAT} is missing, line {last} is the last one that is there: "
            f"copy it up to the line {END}"
        )
    return lines[begin + 1 : ends[0]]


def _read_lines(lines: Sequence[str]) -> _Body:
    good: dict[int, bytes] = {}
    mistyped: dict[int, str] = {}
    repeated: list[int] = []
    last = -1
    for line in lines:
        text = _QUOTED.sub("", _BLANKS.sub("", line))
        if not text:
            continue
        number = _number(text, last + 1)
        octets = _octets(text, number)
        if octets is None:
            mistyped.setdefault(number, text)
        elif number in good:
            repeated.append(number)
        else:
            good[number] = octets
        last = number
    return _Body(good, mistyped, sorted(set(repeated)))


def _number(text: str, expected: int) -> int:
    """Give the number of a line: what it says, unless it is that which was mistyped."""
    match = _NUMBER.match(text)
    if match is None or _fits(expected, text[4:]):
        return expected
    return int(match[0])


def _octets(text: str, number: int) -> bytes | None:
    """Give the octets of the line of this number, None if it is not as it was written."""
    match = _LINE.fullmatch(text)
    if match is None or int(match[1]) != number:
        return None
    try:
        octets = base64.b64decode(match[2], validate=True)
    except ValueError:
        return None
    # Some letters before a padding sign differ in bits that no octet has.
    whole = text == _BLANKS.sub("", _line(number, octets))
    return octets if whole else None


def _mistyped(body: _Body) -> MistypedError:
    """Say which lines are wrong and, of a few, what is wrong in them."""
    numbers = sorted(body.mistyped)
    places = []
    if len(numbers) <= _EXPLAINED:
        places = [(number, _place(number, body.mistyped[number])) for number in numbers]
    if len(numbers) == 1:
        message = f"{listed('line', numbers)} of {_WHAT} is mistyped{places[0][1]}"
        return MistypedError(f"{message}: compare it with the original", numbers)
    message = f"{listed('line', numbers)} of {_WHAT} are mistyped"
    message += "".join(f", line {number}{place}" for number, place in places if place)
    message += ": compare them with the original"
    if len(numbers) > _REWRAPPED:
        message += "; if a mail program broke the lines anew, send the text as a file"
    return MistypedError(message, numbers)


def _place(number: int, line: str) -> str:
    """Tell which character is wrong if one explains it, or two neighbours that changed places."""
    text = line[4:]
    if len(text) > LINE_CHARACTERS + CHECK_CHARACTERS + 1:
        return " (it is too long)"
    if len(text) % 4:
        return " (a character is missing, or one is too many)"
    for index, found in enumerate(text):
        head, tail = text[:index], text[index + 1 :]
        if any(_fits(number, head + other + tail) for other in _ALPHABET):
            return f" (at character {index + 1} after its number)"
        if tail and _fits(number, head + tail[0] + found + tail[1:]):
            return f" (at characters {index + 1} and {index + 2} after its number)"
    return ""


def _fits(number: int, text: str) -> bool:
    return _octets(f"{number:04d}{text}", number) is not None


def _head(octets: bytes) -> tuple[int, bytes]:
    """Give length and digest of the whole."""
    if octets[0] != VERSION:
        raise OtherVersionError(_WHAT, octets[0], VERSION)
    if len(octets) != _HEAD.size:
        raise CarrierError(f"line 0 of {_WHAT} is not {_HEAD.size} octets long: export it again")
    _, length, digest = _HEAD.unpack(octets)
    if not 1 <= length <= MAX_SEALED:
        raise CarrierError(f"{_WHAT} cannot be {length} octets long: export it again")
    return length, digest


def _joined(lines: Mapping[int, bytes], length: int, digest: bytes) -> bytes:
    count = -(-length // LINE_OCTETS)
    if missing := [number for number in range(1, count + 1) if number not in lines]:
        are = "is" if len(missing) == 1 else "are"
        raise MissingError(
            f"{listed('line', missing)} of {count} of {_WHAT} {are} missing: copy the text again",
            missing,
        )
    sealed = b"".join(lines[number] for number in range(1, count + 1))
    if len(lines) != count + 1 or len(sealed) != length or _digest(sealed) != digest:
        raise CarrierError(
            f"the lines of {_WHAT} do not belong together (their checksum is another than that "
            "of line 0): copy the whole text again"
        )
    return sealed
