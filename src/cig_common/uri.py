# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP and tel URIs as far as routing needs them (RFC 3261 section 19.1, RFC 3966)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

MAX_LENGTH = 4096
"""A longer text is not looked at as a URI."""

# RFC 3261 section 25.1: user = 1*( unreserved / escaped / user-unreserved ).
_USER_CHARACTERS = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()&=+$,;?/"
)
_USER = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/]|%[0-9A-Fa-f]{2})+")
_PASSWORD = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,]|%[0-9A-Fa-f]{2})*")
_HOST_NAME = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)*"
                        r"[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.?")  # fmt: skip
_PARAMETERS = re.compile(r"(?:;(?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$=]|%[0-9A-Fa-f]{2})+)*")
_HOST_PORT = re.compile(r"(\[[^\]]*\]|[^\[\]:;]*)(?::([0-9]{1,5}))?")
_TRANSPORT_TAIL = re.compile(r"[:;]transport=(udp|tcp|tls)", re.IGNORECASE)
_TEL = re.compile(r"tel:(\+[0-9]{1,15})(?:;([A-Za-z0-9*#+._-]{0,64}))?", re.ASCII)
_ESCAPED_DIAL = re.compile(r"%([0-9A-Fa-f]{2})")
_DIAL_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789*#+._-")


class UriError(ValueError):
    """A text that is not the URI it should be. The message says what is wrong, without the text."""


@dataclass(frozen=True, slots=True)
class SipUri:
    """A `sip:` or `sips:` URI. `host` keeps an IPv6 literal's brackets; `parameters` its `;`."""

    scheme: str
    user: str
    host: str
    port: int | None = None
    parameters: str = ""

    @classmethod
    def parse(cls, text: str) -> SipUri:
        """Parse an addr-spec (RFC 3261 section 25.1); headers after `?` are dropped.

        Raises UriError.
        """
        if len(text) > MAX_LENGTH:
            raise UriError("longer than a URI may be")
        scheme, colon, rest = text.partition(":")
        scheme = scheme.lower()
        if not colon or scheme not in ("sip", "sips"):
            raise UriError("not a sip: URI")
        user, at, hostport = rest.rpartition("@")
        if at:
            name, _, password = user.partition(":")
            if (name and not _USER.fullmatch(name)) or not _PASSWORD.fullmatch(password):
                raise UriError("its user part has a character that must be escaped")
        host, port, parameters = _parse_host(hostport.partition("?")[0])
        if not _PARAMETERS.fullmatch(parameters):
            raise UriError("its parameters are malformed")
        return cls(scheme, user, host, port, parameters)

    def encode(self) -> str:
        """Return the URI as text. An empty user is left out together with its `@`."""
        user = f"{self.user}@" if self.user else ""
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}:{user}{self.host}{port}{self.parameters}"


@dataclass(frozen=True, slots=True)
class TelUri:
    """A global tel URI: `number` with its `+`, and the extension after `;`, None without one."""

    number: str
    extension: str | None = None

    @classmethod
    def parse(cls, text: str) -> TelUri:
        """Parse the strict form: `tel:+`, 1 to 15 digits, `;` and up to 64 of `A-Za-z0-9*#+._-`.

        Raises UriError.
        """
        found = _TEL.fullmatch(text)
        if found is None:
            raise UriError(
                "not `tel:+` with 1 to 15 digits, optionally `;` and up to 64 dial characters"
            )
        return cls(found[1], found[2])

    def encode(self) -> str:
        """Return the URI as text."""
        extension = "" if self.extension is None else f";{self.extension}"
        return f"tel:{self.number}{extension}"


def parse_target_tail(text: str) -> tuple[str, int | None, str | None]:
    """Parse what follows the `@` of a URI that we send to: `host[:port][;transport=…]`.

    The manual writes `:transport=`, both forms are taken. Returns host, port and transport.
    Raises UriError.
    """
    transport = None
    cut = max(text.lower().find(";transport="), text.lower().find(":transport="))
    if cut >= 0:
        found = _TRANSPORT_TAIL.fullmatch(text, cut)
        if found is None:
            raise UriError("its transport is none of udp, tcp, tls")
        transport, text = found[1].lower(), text[:cut]
    host, port, rest = _parse_host(text)
    if rest:
        raise UriError("a URI to call takes no parameter but transport")
    return host, port, transport


def addr_spec(header: str) -> str:
    """Return the URI of a From or To value: without display name, angle brackets, parameters.

    Without brackets, what follows the first `;` after the host belongs to the header and not to
    the URI (RFC 3261 section 20). A text that is no name-addr is returned as it is.
    """
    text = header.strip()
    if text.startswith('"'):
        closing = re.match(r'"(?:[^"\\]|\\.)*"', text, re.DOTALL)
        text = text[closing.end() :] if closing else text
    opening = text.find("<")
    if opening >= 0:
        return text[opening + 1 :].partition(">")[0].strip()
    head, at, tail = text.partition("@")
    if at:
        return f"{head}@{tail.partition(';')[0]}".strip()
    return text.partition(";")[0].strip() if text[:4].lower() != "tel:" else text


def without_headers(text: str) -> str:
    """Return a SIP URI without `?headers`; a `?` in the user part stays (RFC 3261 section 25.1)."""
    host = text.rfind("@") + 1
    cut = text.find("?", host)
    return text if cut < 0 else text[:cut]


def without_port_and_parameters(text: str) -> str:
    """Return a SIP URI cut after its host."""
    colon = text.find(":") + 1
    host = text.rfind("@") + 1 or colon
    after = text.find("]", host) + 1 if text.startswith("[", host) else host
    after = after or len(text)
    cuts = [cut for cut in (text.find(":", after), text.find(";", after)) if cut >= 0]
    return text[: min(cuts)] if cuts else text


def escape_user(text: str) -> str:
    """Escape a text so that it can only ever be a part of a user (RFC 3261 section 25.1)."""
    if _USER_CHARACTERS.issuperset(text):
        return text
    return "".join(
        char if char in _USER_CHARACTERS else "".join(f"%{byte:02X}" for byte in char.encode())
        for char in text
    )


def unescape_dialled(text: str) -> str:
    """Undo `%HH` of what may stand in a tel extension, such as `%23` for `#`; leave the rest."""

    def plain(found: re.Match[str]) -> str:
        char = chr(int(found[1], 16))
        return char if char in _DIAL_CHARACTERS else found[0]

    return _ESCAPED_DIAL.sub(plain, text)


def _parse_host(text: str) -> tuple[str, int | None, str]:
    """Split `host[:port]` off, check both, and return them with what follows."""
    found = _HOST_PORT.match(text)
    if found is None:
        raise UriError("it has no host")
    host, digits = found[1], found[2]
    _check_host(host)
    rest = text[found.end() :]
    port = None if digits is None else int(digits)
    if port is not None and not 0 < port < 65536:
        raise UriError("its port is not in 1 to 65535")
    if rest and not rest.startswith(";"):
        raise UriError("something other than a port or a parameter follows its host")
    return host, port, rest


def _check_host(host: str) -> None:
    try:
        if host.startswith("["):
            if "%" in host:  # A zone has no place in an IPv6reference (RFC 3261 section 25.1).
                raise AddressValueError(host)
            IPv6Address(host[1:-1])
        elif not _HOST_NAME.fullmatch(host):
            IPv4Address(host)
    except AddressValueError:
        raise UriError("its host is neither a name nor an IP address") from None
