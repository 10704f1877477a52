# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounded reader of SIP messages as they came off the wire (RFC 3261 sections 7 and 25).

The SIP stack has parsed the message before; but its own prints of a URI lose what routing needs,
so the text is read once more, here. All of it is a stranger's: the reader has bounds, never
backtracks, and raises nothing but `MalformedSipError`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cig_common.errors import PeerError

MAX_CHARS = 65_535
MAX_HEADERS = 256
MAX_URI = 256
"""As UMSG bounds a URI, so that a longer one could not go any further anyway."""
MAX_CALL_ID = 256
MAX_PARTS = 16

_COMPACT = {
    "c": "content-type",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "l": "content-length",
    "m": "contact",
    "t": "to",
    "v": "via",
}
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,15}:[!-~]{1,256}")
_PRINTABLE = re.compile(r"[!-~]{1,256}")
_FOLD = re.compile(r"\n[ \t]+")
_NOT_FOR_A_URI = frozenset('<>"')


class MalformedSipError(PeerError):
    """A SIP message that cannot be read: 400 Bad Request."""

    sip_status = 400
    log_code = "sip-malformed"


@dataclass(frozen=True, slots=True)
class SipMessage:
    """A message: its first line, its header fields in order with names in lower case, its body."""

    start_line: str
    fields: tuple[tuple[str, str], ...]
    body: str

    @staticmethod
    def parse(text: str) -> SipMessage:
        """Read a whole message; raises MalformedSipError."""
        if len(text) > MAX_CHARS:
            raise MalformedSipError(f"SIP message longer than {MAX_CHARS} characters")
        head, _, body = text.replace("\r\n", "\n").partition("\n\n")
        start_line, *lines = _FOLD.sub(" ", head).split("\n")
        lines = [line for line in lines if line]
        if len(lines) > MAX_HEADERS:
            raise MalformedSipError(f"SIP message with more than {MAX_HEADERS} header fields")
        return SipMessage(start_line, tuple(_field(line) for line in lines), body)

    def first(self, name: str) -> str | None:
        """Give the value of the first field of a name (lower case), or None."""
        return next((value for key, value in self.fields if key == name), None)

    def request_uri(self) -> str:
        """Give the Request-URI without headers (``?…``)."""
        parts = self.start_line.split(" ")
        if len(parts) != 3 or parts[2].upper() != "SIP/2.0":
            raise MalformedSipError("SIP request line has a wrong form")
        return _uri(parts[1], "the request line")

    def status(self) -> tuple[int, str]:
        """Give status code and reason phrase of a response."""
        version, _, rest = self.start_line.partition(" ")
        code, _, phrase = rest.partition(" ")
        if version.upper() != "SIP/2.0" or not re.fullmatch(r"[1-6][0-9]{2}", code):
            raise MalformedSipError("SIP status line has a wrong form")
        return int(code), phrase.strip()[:120]

    def from_uri(self) -> str:
        """Give the URI of From."""
        return name_addr_uri(self._needed("from"))

    def call_id(self) -> str:
        """Give the Call-ID."""
        value = self._needed("call-id")
        if not _PRINTABLE.fullmatch(value):
            raise MalformedSipError(f"Call-ID is no word of at most {MAX_CALL_ID} characters")
        return value

    def reason(self) -> str:
        """Give the value of Reason (RFC 3326), printable and short; empty when there is none."""
        value = self.first("reason") or ""
        return "".join(c if " " <= c <= "~" else "?" for c in value)[:120]

    def sdp(self) -> str | None:
        """Give the body of type application/sdp, also out of a multipart one; None without."""
        if not self.body.strip():
            return None
        kind = self.first("content-type") or "application/sdp"
        return _sdp_in(kind, self.body)

    def _needed(self, name: str) -> str:
        value = self.first(name)
        if value is None:
            raise MalformedSipError(f"SIP message without {name}")
        return value


def name_addr_uri(value: str) -> str:
    """Give the URI out of ``"Name" <uri>;params`` or ``uri;params`` (RFC 3261 section 20.10).

    In the second form all parameters belong to the header field and not to the URI. Raises
    MalformedSipError.
    """
    rest = _after_quoted_name(value.strip())
    if "<" in rest:
        inside, mark, _ = rest.partition("<")[2].partition(">")
        if not mark:
            raise MalformedSipError("an address lacks its closing angle bracket")
        return _uri(inside.strip(), "an address")
    return _uri(rest.partition(";")[0].strip(), "an address")


def _after_quoted_name(value: str) -> str:
    """Drop a display name in quotes; what it holds is anything at all, ``<`` and ``>`` too."""
    if not value.startswith('"'):
        return value
    position = 1
    while position < len(value):
        if value[position] == "\\":
            position += 2
        elif value[position] == '"':
            return value[position + 1 :]
        else:
            position += 1
    raise MalformedSipError("a display name lacks its closing quote")


def _uri(text: str, where: str) -> str:
    uri = text.partition("?")[0]
    if len(uri) > MAX_URI or not _URI.fullmatch(uri) or not _NOT_FOR_A_URI.isdisjoint(uri):
        raise MalformedSipError(f"{where} holds no URI of at most {MAX_URI} characters")
    return uri


def _field(line: str) -> tuple[str, str]:
    name, mark, value = line.partition(":")
    name = name.rstrip(" \t")
    if not mark or not _NAME.fullmatch(name):
        raise MalformedSipError("SIP header field has a wrong form")
    key = name.lower()
    return _COMPACT.get(key, key), value.strip(" \t")


def _sdp_in(content_type: str, body: str) -> str | None:
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower()
    if kind == "application/sdp":
        return body
    if not kind.startswith("multipart/"):
        return None
    boundary = _boundary(parameters)
    for part in ("\n" + body).split(f"\n--{boundary}", MAX_PARTS)[1:]:
        head, _, content = part.lstrip(" \t").removeprefix("\n").partition("\n\n")
        for line in head.split("\n"):
            name, _, value = line.partition(":")
            typed = name.strip().lower() in ("content-type", "c")
            if typed and value.partition(";")[0].strip().lower() == "application/sdp":
                return content
    return None


def _boundary(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "boundary" and value.strip(' \t"'):
            return value.strip(' \t"')
    raise MalformedSipError("a multipart body without a boundary")
