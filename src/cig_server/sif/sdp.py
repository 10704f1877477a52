# SPDX-License-Identifier: GPL-3.0-or-later
"""Session descriptions as text: a bounded reader and writer of SDP (RFC 8866).

Only what an audio call needs is kept: origin, connection, direction and the media descriptions
with their attributes. Lines of other types are read over. What the description *means* in an offer
or an answer is the business of `cig_server.sif.offer_answer`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cig_common.errors import PeerError
from umsg.reasons import Reason

MAX_CHARS = 16_384
MAX_LINES = 512
MAX_MEDIA = 16
MAX_FORMATS = 64
MAX_ATTRIBUTES = 256

_TOKEN = re.compile(r"[!#-'*+\-./0-9A-Z^-~]{1,64}")
_ADDRESS = re.compile(r"[0-9A-Za-z.:/_-]{1,255}")
_NUMBER = re.compile(r"[0-9]{1,20}")
_ATTRIBUTE = re.compile(r"[!#-'*+\-.0-9A-Z^-~]{1,64}")
_LINE = re.compile(r"[a-z]=[^\x00\r\n]*")


class SdpError(PeerError):
    """A session description that cannot be read (RFC 3261 section 21.4.1: 400 Bad Request)."""

    sip_status = 400
    umsg_reason = Reason.MEDIA
    log_code = "sdp"


Attributes = tuple[tuple[str, str | None], ...]
"""Lines ``a=name:value`` in order; value None for a property ``a=name``."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The line ``o=`` (RFC 8866 section 5.2); ``address`` is that of the session's maker."""

    username: str
    session_id: int
    version: int
    address: str

    @staticmethod
    def parse(value: str) -> Origin:
        """Read ``username sess-id sess-version IN IP4 address``; raises SdpError."""
        parts = value.split(" ")
        if len(parts) != 6 or parts[3] != "IN" or parts[4] not in ("IP4", "IP6"):
            raise SdpError("SDP: line o= has a wrong form")
        if not _TOKEN.fullmatch(parts[0]) or not _ADDRESS.fullmatch(parts[5]):
            raise SdpError("SDP: line o= holds a wrong name or address")
        return Origin(parts[0], _number(parts[1], "o="), _number(parts[2], "o="), parts[5])

    def encode(self) -> str:
        """Give the value of the line."""
        network = _network(self.address)
        return f"{self.username} {self.session_id} {self.version} {network} {self.address}"


@dataclass(frozen=True, slots=True)
class Media:
    """One media description (RFC 8866 section 5.14); ``port`` 0 means that it is refused."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    connection: str | None = None
    attributes: Attributes = ()

    @staticmethod
    def parse(value: str) -> Media:
        """Read ``audio 49170 RTP/AVP 0 8``, the line ``m=`` alone; raises SdpError."""
        parts = value.split()
        if len(parts) < 4 or len(parts) > 3 + MAX_FORMATS:
            raise SdpError("SDP: line m= has too few or too many parts")
        if not all(_TOKEN.fullmatch(part) for part in parts):
            raise SdpError("SDP: line m= holds a character that does not belong there")
        port, _, count = parts[1].partition("/")
        if count and _number(count, "m=") != 1:
            raise SdpError("SDP: line m= asks for more than one port")
        number = _number(port, "m=")
        if number > 65535:
            raise SdpError("SDP: line m= holds a port above 65535")
        return Media(parts[0], number, parts[2], tuple(parts[3:]))

    def encode(self) -> list[str]:
        """Give the lines of this description, the first being ``m=``."""
        lines = [f"m={self.kind} {self.port} {self.protocol} {' '.join(self.formats)}"]
        if self.connection is not None:
            lines.append(_connection_line(self.connection))
        return lines + _attribute_lines(self.attributes)

    def values(self, name: str) -> list[str]:
        """Give the values of all attributes ``a=name:value``."""
        return [value for key, value in self.attributes if key == name and value is not None]


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """A whole description; ``connection`` is the address of the session's line ``c=``."""

    origin: Origin
    connection: str | None
    attributes: Attributes
    media: tuple[Media, ...]

    @staticmethod
    def parse(text: str) -> SessionDescription:
        """Read a description; lines end in CRLF or LF. Raises SdpError, and nothing else."""
        if len(text) > MAX_CHARS:
            raise SdpError(f"SDP: longer than {MAX_CHARS} characters")
        lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
        if len(lines) > MAX_LINES:
            raise SdpError(f"SDP: more than {MAX_LINES} lines")
        if lines[0] != "v=0":
            raise SdpError("SDP: does not begin with v=0")
        starts = [i for i, line in enumerate(lines) if line.startswith("m=")]
        if len(starts) > MAX_MEDIA:
            raise SdpError(f"SDP: more than {MAX_MEDIA} media descriptions")
        session = lines[1 : starts[0]] if starts else lines[1:]
        origins = [line[2:] for line in session if line.startswith("o=")]
        if len(origins) != 1:
            raise SdpError("SDP: needs exactly one line o=")
        connection, attributes = _section(session)
        media = []
        for start, end in zip(starts, [*starts, len(lines)][1:], strict=True):
            head = Media.parse(lines[start][2:])
            own, marks = _section(lines[start + 1 : end])
            media.append(Media(head.kind, head.port, head.protocol, head.formats, own, marks))
        return SessionDescription(Origin.parse(origins[0]), connection, attributes, tuple(media))

    def encode(self) -> str:
        """Give the description as text with CRLF."""
        lines = ["v=0", f"o={self.origin.encode()}", "s=CIG"]
        if self.connection is not None:
            lines.append(_connection_line(self.connection))
        lines += ["t=0 0", *_attribute_lines(self.attributes)]
        for media in self.media:
            lines += media.encode()
        return "\r\n".join(lines) + "\r\n"


def _section(lines: list[str]) -> tuple[str | None, Attributes]:
    """Read the lines c= and a= of a section, check the form of the others."""
    connection: str | None = None
    attributes: list[tuple[str, str | None]] = []
    for line in lines:
        if not _LINE.fullmatch(line):
            raise SdpError("SDP: a line has not the form letter=value")
        kind, value = line[0], line[2:]
        if kind == "c":
            connection = _connection(value)
        elif kind == "a":
            name, mark, content = value.partition(":")
            if not _ATTRIBUTE.fullmatch(name):
                raise SdpError("SDP: a line a= has no proper name")
            attributes.append((name, content if mark else None))
    if len(attributes) > MAX_ATTRIBUTES:
        raise SdpError(f"SDP: more than {MAX_ATTRIBUTES} attributes in a section")
    return connection, tuple(attributes)


def _connection(value: str) -> str:
    parts = value.split()
    if len(parts) != 3 or parts[0] != "IN" or parts[1] not in ("IP4", "IP6"):
        raise SdpError("SDP: line c= has a wrong form")
    if not _ADDRESS.fullmatch(parts[2]):
        raise SdpError("SDP: line c= holds no address")
    return parts[2]


def _number(text: str, line: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise SdpError(f"SDP: line {line} holds something that should be a number")
    return int(text)


def _network(address: str) -> str:
    return "IN IP6" if ":" in address else "IN IP4"


def _connection_line(address: str) -> str:
    return f"c={_network(address)} {address}"


def _attribute_lines(attributes: Attributes) -> list[str]:
    return [f"a={name}" if value is None else f"a={name}:{value}" for name, value in attributes]
