# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP messages (RFC 3261 section 7): requests and responses, read and written.

Header fields keep their order; names are written in their long form. What cannot be read is a
`SipError`; the phone counts it and goes on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_MESSAGE = 65535
"""Octets of the longest message that is read."""

_COMPACT = {
    "c": "Content-Type",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
}
_LONG = {"call-id": "Call-ID", "cseq": "CSeq", "www-authenticate": "WWW-Authenticate"}
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6][0-9]{2}) ?(.*)")
_REQUEST_LINE = re.compile(r"([A-Z]+) (\S+) SIP/2\.0")
_MANDATORY = ("Via", "From", "To", "Call-ID", "CSeq")


class SipError(ValueError):
    """The octets are no SIP message that the phone can use."""


Headers = tuple[tuple[str, str], ...]
"""Name and value of each header field, in order."""


@dataclass(frozen=True, slots=True)
class _Message:
    headers: Headers
    body: bytes = b""

    def all(self, name: str) -> tuple[str, ...]:
        """Give every value of a header field that may list several, commas split."""
        values = [value for key, value in self.headers if key == name]
        return tuple(part for value in values for part in split_commas(value))

    def get(self, name: str) -> str | None:
        """Give the field's first value, whole; None where there is none."""
        return next((value for key, value in self.headers if key == name), None)

    def need(self, name: str) -> str:
        """Give the field's value; raises SipError where it is missing."""
        value = self.get(name)
        if value is None:
            raise SipError(f"header field {name} is missing")
        return value

    @property
    def cseq(self) -> tuple[int, str]:
        """Number and method of CSeq (section 20.16); raises SipError."""
        number, _, method = self.need("CSeq").partition(" ")
        if not number.isascii() or not number.isdigit() or len(number) > 10 or not method.strip():
            raise SipError("CSeq is malformed")
        return int(number), method.strip()

    def _encode(self, first: str) -> bytes:
        lines = [first]
        lines += [f"{name}: {value}" for name, value in self.headers if name != "Content-Length"]
        lines += [f"Content-Length: {len(self.body)}", "", ""]
        return "\r\n".join(lines).encode() + self.body


@dataclass(frozen=True, slots=True)
class Request(_Message):
    """A request (section 7.1)."""

    method: str = field(kw_only=True)
    uri: str = field(kw_only=True)

    def encode(self) -> bytes:
        """Give the octets, Content-Length made anew."""
        return self._encode(f"{self.method} {self.uri} SIP/2.0")


@dataclass(frozen=True, slots=True)
class Response(_Message):
    """A response (section 7.2)."""

    status: int = field(kw_only=True)
    reason: str = field(kw_only=True)

    def encode(self) -> bytes:
        """Give the octets, Content-Length made anew."""
        return self._encode(f"SIP/2.0 {self.status} {self.reason}")


def parse(data: bytes) -> Request | Response:
    """Read one whole message, as a datagram holds it; raises SipError."""
    if len(data) > MAX_MESSAGE:
        raise SipError("message is too long")
    head, found, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not found:
        raise SipError("the end of the header is missing")
    try:
        lines = re.sub(r"\r\n[ \t]+", " ", head.decode()).split("\r\n")
    except UnicodeDecodeError as error:
        raise SipError("header is not UTF-8") from error
    headers = tuple(_header(line) for line in lines[1:])
    body = _cut(body, headers)
    message: Request | Response
    if status := _STATUS_LINE.fullmatch(lines[0]):
        message = Response(headers, body, status=int(status[1]), reason=status[2])
    elif request := _REQUEST_LINE.fullmatch(lines[0]):
        message = Request(headers, body, method=request[1], uri=request[2])
    else:
        raise SipError("start line is malformed")
    for name in _MANDATORY:
        message.need(name)
    if isinstance(message, Request) and message.cseq[1] != message.method:
        raise SipError("CSeq names another method than the request line")
    return message


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    name = name.strip(" \t")
    if not colon or not _TOKEN.fullmatch(name) or "\n" in value or "\r" in value:
        raise SipError("header line is malformed")
    return canonical_name(name), value.strip(" \t")


def canonical_name(name: str) -> str:
    """Give a header field's name in its long form and usual capitals."""
    lower = name.lower()
    if lower in _COMPACT:
        return _COMPACT[lower]
    return _LONG.get(lower) or "-".join(word.capitalize() for word in lower.split("-"))


def _cut(body: bytes, headers: Headers) -> bytes:
    length = next((value for name, value in headers if name == "Content-Length"), None)
    if length is None:
        return body
    if not (length.isascii() and length.isdigit()) or len(length) > 6 or int(length) > len(body):
        raise SipError("Content-Length is wrong")
    return body[: int(length)]


def split_commas(value: str) -> list[str]:
    """Split a header value at the commas outside quotes and angle brackets (section 7.3.1)."""
    parts, start, quoted, depth, escaped = [], 0, False, 0, False
    for at, char in enumerate(value):
        if escaped:
            escaped = False
        elif quoted and char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif not quoted and char == "<":
            depth += 1
        elif not quoted and char == ">":
            depth = max(depth - 1, 0)
        elif char == "," and not quoted and not depth:
            parts.append(value[start:at].strip())
            start = at + 1
    parts.append(value[start:].strip())
    return [part for part in parts if part]


class StreamDecoder:
    """Cuts a TCP stream into messages by Content-Length (section 18.3)."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take octets, give whole messages; raises SipError when the stream is out of step."""
        self._buffer += data
        messages: list[bytes] = []
        while True:
            self._buffer = self._buffer.lstrip(b"\r\n")
            head, found, _ = self._buffer.partition(b"\r\n\r\n")
            if not found:
                if len(self._buffer) > MAX_MESSAGE:
                    raise SipError("header on the stream has no end")
                return messages
            lengths = re.findall(
                rb"(?im)^(?:content-length|l)[ \t]*:[ \t]*(\d{1,6})[ \t]*\r?$", head
            )
            if not lengths:
                raise SipError("message on a stream without Content-Length")
            end = len(head) + 4 + int(lengths[0])
            if len(self._buffer) < end:
                return messages
            messages.append(self._buffer[:end])
            self._buffer = self._buffer[end:]
