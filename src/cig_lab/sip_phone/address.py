# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses in header fields: ``"name" <uri>;parameters``, Via, and where a SIP URI leads."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cig_lab.sip_phone.message import SipError

DEFAULT_PORT = 5060

_NAME_ADDR = re.compile(r'\s*(?:"(?:[^"\\]|\\.)*"|[^<"]*?)\s*<([^<>]+)>\s*(.*)', re.DOTALL)
_SIP_URI = re.compile(
    r"sips?:(?:[^@\s]*@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(\d{1,5}))?((?:;[^?\s]*)?)(?:\?.*)?",
    re.IGNORECASE,
)
_VIA = re.compile(
    r"SIP\s*/\s*2\.0\s*/\s*([A-Za-z]+)\s+(\[[^\]]+\]|[^\s:;]+)(?::(\d{1,5}))?\s*(;.*)?"
)

Destination = tuple[str, int]
"""Host and port."""


def host_port(address: Destination) -> str:
    """Give ``host:port`` as URIs and Via have it: an IPv6 address stands in brackets."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_parameters(text: str) -> dict[str, str]:
    """Read ``;name=value;flag`` into a map with lower-case names; a flag's value is empty."""
    pairs = (part.partition("=") for part in text.split(";") if part.strip())
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


@dataclass(frozen=True, slots=True)
class NameAddr:
    """The URI and the header parameters of From, To, Contact or Route (RFC 3261 section 20.10)."""

    uri: str
    parameters: dict[str, str]

    @property
    def tag(self) -> str | None:
        """The tag, None where there is none yet."""
        return self.parameters.get("tag")

    @staticmethod
    def parse(value: str) -> NameAddr:
        """Read one value; raises SipError."""
        match = _NAME_ADDR.fullmatch(value)
        if match:
            return NameAddr(match[1].strip(), parse_parameters(match[2]))
        uri, _, rest = value.partition(";")
        if not uri.strip() or any(char in uri for char in '<>" \t'):
            raise SipError("address in a header field is malformed")
        # Without brackets all parameters belong to the header field (section 20).
        return NameAddr(uri.strip(), parse_parameters(rest))


@dataclass(frozen=True, slots=True)
class Via:
    """The topmost Via (section 20.42)."""

    transport: str
    host: str
    port: int | None
    parameters: dict[str, str]

    @property
    def branch(self) -> str:
        """The branch; empty where an old element sent none."""
        return self.parameters.get("branch", "")

    @staticmethod
    def parse(value: str) -> Via:
        """Read one value; raises SipError."""
        match = _VIA.fullmatch(value)
        if not match:
            raise SipError("Via is malformed")
        port = int(match[3]) if match[3] else None
        return Via(match[1].upper(), match[2], port, parse_parameters(match[4] or ""))


def user_of(uri: str) -> str:
    """Give the user part of a SIP URI as written, empty where it has none."""
    user, at, _ = uri.partition(":")[2].partition("@")
    return user.partition(";")[0] if at else ""


def destination(uri: str) -> Destination:
    """Give host and port of a SIP URI, 5060 where it names none; raises SipError."""
    match = _SIP_URI.fullmatch(uri)
    if not match:
        raise SipError("URI is no SIP URI")
    port = int(match[2]) if match[2] else DEFAULT_PORT
    if not 0 < port < 65536:
        raise SipError("port of a SIP URI is out of range")
    return match[1].strip("[]"), port
