# SPDX-License-Identifier: GPL-3.0-or-later
"""What the SIP trunk is told at start, and on which addresses that makes it listen."""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import dataclass

from cig_common.errors import LocalError

USER_AGENT = "CIG/2.7.0"
ALL = "::"
"""The ``bind_addr`` that stands for all addresses of both families."""
_ALL_IPV4 = "0.0.0.0"
_ANYWHERE = {4: "192.0.2.1", 6: "2001:db8::1"}
"""Addresses of RFC 5737 and RFC 3849, for the default route; no packet is ever sent to them."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class SipStartError(LocalError):
    """The SIP stack cannot be set up; the text says which address or limit is to blame."""

    log_code = "sip-start"


@dataclass(frozen=True, slots=True)
class SipSettings:
    """The trunk's settings.

    ``bind_addr`` is an IP address without brackets; Via, Contact and Record-Route follow it.
    ``::`` is all addresses of IPv4 and IPv6, ``0.0.0.0`` all of IPv4; there the host's routes to
    the PBX decide what Via and Contact say. UDP and TCP share ``bind_port``. ``max_calls`` must
    stay below what the SIP stack was compiled for. An INVITE that got no response at all within
    ``first_response_timeout`` seconds ends the call as unreachable, because RFC 3261
    section 8.2.6.1 has even a slow server send 100 within 200 ms; a PBX that is down would
    otherwise cost its caller the 32 s of timer B.
    """

    bind_addr: str
    bind_port: int = 5060
    max_calls: int = 1500
    first_response_timeout: float = 2.0
    user_agent: str = USER_AGENT

    @property
    def families(self) -> frozenset[int]:
        """The IP versions, 4 and 6, that SIP and its sound may use."""
        if self.bind_addr == ALL:
            return frozenset({4, 6})
        return frozenset({ipaddress.ip_address(self.bind_addr).version})

    def listening(self) -> tuple[Address, ...]:
        """Give the addresses to listen on, IPv4 first.

        ``::`` is two, one for each family, and leaves out IPv6 where the kernel has none; a
        telephone gateway has to start on such a host too.
        """
        if self.bind_addr != ALL:
            return (ipaddress.ip_address(self.bind_addr),)
        everywhere = (_ALL_IPV4, ALL) if host_has_ipv6() else (_ALL_IPV4,)
        return tuple(ipaddress.ip_address(addr) for addr in everywhere)

    def where(self) -> str:
        """Give the addresses and ports to listen on, for people."""
        return " and ".join(with_port(address, self.bind_port) for address in self.listening())


def host_has_ipv6() -> bool:
    """Tell whether this host's kernel gives IPv6 sockets."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind((ALL, 0))
    except OSError as error:
        if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            return False
        raise
    return True


def in_uri(address: Address) -> str:
    """Give an address as the host of a URI: IPv6 stands in brackets (RFC 3261 section 25.1)."""
    return f"[{address}]" if address.version == 6 else str(address)


def with_port(address: Address, port: int) -> str:
    """Give ``address:port``, IPv6 in brackets."""
    return f"{in_uri(address)}:{port}"


def reachable_at(address: Address) -> Address:
    """Give an address at which this host reaches its own socket on ``address``."""
    if not address.is_unspecified:
        return address
    return ipaddress.ip_address("::1" if address.version == 6 else "127.0.0.1")


def named_as(address: Address) -> Address:
    """Give the address by which others know a socket on ``address``.

    For all addresses that is the one of the default route, or the loopback address without one.
    """
    if not address.is_unspecified:
        return address
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((_ANYWHERE[address.version], 9))
            return ipaddress.ip_address(probe.getsockname()[0])
    except OSError:
        return reachable_at(address)


def cannot_listen(address: Address, port: int, words: str) -> SipStartError:
    """Give the error for an address and port that cannot be had; ``words`` say why."""
    return SipStartError(
        f"SIP cannot listen on {with_port(address, port)}: {words}; "
        "check bind and port in the sip interface of cig.conf"
    )
