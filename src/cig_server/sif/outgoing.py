# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks what the gateway is about to put on the wire: URIs and header fields of its own making.

The routes of cig.conf make the URIs out of what somebody dialled. The routing has checked them;
this is the last gate, so that whatever went wrong there, no URI can carry a header, a second
address or a line break into a SIP message.
"""

from __future__ import annotations

import ipaddress
import re

from cig_common.errors import LocalError
from cig_server.sif.settings import Address
from umsg.reasons import Reason

MAX_URI = 400
MAX_HEADER = 512
MAX_HEADERS = 16

_URI = re.compile(
    r"sips?:"
    r"(?:[A-Za-z0-9_.!~*'()&=+$,;/%#-]*@)?"
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<parameters>(?:;[A-Za-z0-9_.!~*'()%\[\]/:&+$=-]+)*)"
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_VALUE = re.compile(r"[ -~]*")
_TRANSPORTS = frozenset({"udp", "tcp"})
_NOT_OURS = frozenset({"via", "from", "to", "call-id", "cseq", "contact", "route", "record-route"})
_NOT_OURS |= {"max-forwards", "content-type", "content-length", "content-encoding"}
_NOT_OURS |= set("vftimcle")


class OutgoingUriError(LocalError):
    """A route gave something that is no SIP URI of ours; the call ends with 500."""

    log_code = "sip-uri"


class OutOfReachError(LocalError):
    """A URI names an address of IPv4 where SIP is open over IPv6 only, or the other way round."""

    sip_status = 503
    umsg_reason = Reason.UNREACHABLE
    log_code = "sip-out-of-reach"


class OutgoingHeaderError(LocalError):
    """A header field that must not be sent: it breaks the line or belongs to the SIP stack."""

    log_code = "sip-header"


def checked_uri(uri: str) -> str:
    """Give ``<uri>`` for the wire. Raises OutgoingUriError.

    A URI is ``sip:[user@]host[:port][;parameter…]``, host being a name, an IPv4 address or an
    IPv6 one in brackets; without headers. ``;transport=`` may be udp or tcp.
    """
    match = _URI.fullmatch(uri) if len(uri) <= MAX_URI else None
    if match is None:
        raise OutgoingUriError(f"not a SIP URI that can be called: {uri[:80]!r}; check the maps")
    if match["port"] and not 0 < int(match["port"]) < 65536:
        raise OutgoingUriError(f"port {match['port']} in {uri[:80]!r} is none; check the maps")
    for parameter in match["parameters"].lower().split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name == "transport" and value not in _TRANSPORTS:
            raise OutgoingUriError(f"transport {value!r} is not available: use udp or tcp")
    if uri.startswith("sips:"):
        raise OutgoingUriError("sips: is not available: use sip:")
    if match["host"].startswith("[") and host_address(uri) is None:
        raise OutgoingUriError(f"no IPv6 address in the brackets of {uri[:80]!r}; check the maps")
    return f"<{uri}>"


def host_address(uri: str) -> Address | None:
    """Give the IP address that is the host of a URI; None for a name, or what is no SIP URI."""
    match = _URI.fullmatch(uri) if len(uri) <= MAX_URI else None
    if match is None:
        return None
    host = match["host"]
    try:
        if host.startswith("["):
            return ipaddress.IPv6Address(host[1:-1])
        return ipaddress.IPv4Address(host)
    except ValueError:
        return None


def check_reach(uri: str, families: frozenset[int]) -> None:
    """Raise OutOfReachError when the address in a URI is of none of ``families`` (4, 6)."""
    address = host_address(uri)
    if address is not None and address.version not in families:
        raise OutOfReachError(
            f"{uri[:80]!r} cannot be called: its address is IPv{address.version} and bind in the "
            "sip interface of cig.conf leaves that family out; change bind or the maps"
        )


def checked_header(name: str, value: str) -> tuple[str, str]:
    """Give a header field for the wire. Raises OutgoingHeaderError."""
    if not _NAME.fullmatch(name) or name.lower() in _NOT_OURS:
        raise OutgoingHeaderError(f"header field {name[:64]!r} cannot be added")
    if len(value) > MAX_HEADER or not _VALUE.fullmatch(value):
        raise OutgoingHeaderError(f"value of header field {name} is no line of printable ASCII")
    return name, value
