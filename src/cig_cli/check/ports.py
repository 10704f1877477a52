# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports that cig.conf names: free, or taken by the gateway itself, or by whom."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cig_cli.check.processes import RELAY, SERVER, Port, Process, holders, ports
from cig_cli.check.row import AS_ROOT, Row, fail, ok, skip, warn
from cig_common.config import Configuration, Interface
from cig_common.config.lint_interfaces import PORTS_OF_A_CALL

_KINDS = {"UDP": socket.SOCK_DGRAM, "TCP": socket.SOCK_STREAM}


@dataclass(frozen=True, slots=True)
class Taken:
    """Who holds what on this host. ``served`` tells whether a cig-server runs."""

    udp: list[Port]
    tcp: list[Port]
    processes: Mapping[int, Process]
    served: bool

    @staticmethod
    def look(root: Path, *, served: bool) -> Taken:
        """Read the tables of the kernel."""
        return Taken(ports(root, "udp"), ports(root, "tcp"), holders(root), served)

    def holder(self, protocol: str, port: int) -> Process | None:
        """Give who has a port of ``UDP`` or ``TCP``, if it can be seen."""
        table = self.udp if protocol == "UDP" else self.tcp
        inodes = (one.inode for one in table if one.number == port)
        return next((self.processes[inode] for inode in inodes if inode in self.processes), None)


def port_rows(config: Configuration, management_port: int, taken: Taken) -> Iterator[Row]:
    """Yield the rows about all ports."""
    if config.sip.bind is not None:
        addresses = [str(config.sip.bind)]
    else:
        addresses = ["0.0.0.0", "::"] if _has_ipv6() else ["0.0.0.0"]
    for protocol in _KINDS:
        name = f"SIP port {config.sip.port} {protocol}"
        rows = [_port(name, protocol, address, config.sip.port, taken) for address in addresses]
        yield max(rows, key=lambda row: row.state != "ok")
    name = f"management port {management_port}"
    yield _port(name, "TCP", "127.0.0.1", management_port, taken)
    for interface in Interface:
        yield _range(config, interface, taken)


def _port(name: str, protocol: str, address: str, port: int, taken: Taken) -> Row:
    """Try to have a port, for a moment."""
    try:
        _bind(address, port, _KINDS[protocol])
    except OSError as error:
        return _refused(name, protocol, address, port, taken, error)
    return ok(name, f"free on {address}")


def _bind(address: str, port: int, kind: int) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            # Connections that ended lately are no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((address, port))
        if kind == socket.SOCK_STREAM:
            probe.listen(1)


def _refused(
    name: str, protocol: str, address: str, port: int, taken: Taken, error: OSError
) -> Row:
    if error.errno == errno.EADDRNOTAVAIL:
        advice = "give the address to an interface of this host, or correct `bind` in cig.conf"
        return fail(name, f"this host has no address {address}", advice)
    if error.errno == errno.EACCES:
        return skip(name, "ports below 1024 are for root", AS_ROOT)
    if error.errno != errno.EADDRINUSE:
        return fail(name, f"{address}: {error.strerror}", "see what bind(2) says of this error")
    holder = taken.holder(protocol, port)
    if taken.served and (holder is None or holder.name == SERVER):
        return ok(name, "in use by the running cig-server")
    if holder is None:
        advice = f"see who has it: sudo ss -lnp 'sport = :{port}'"
        return fail(name, f"{address} is in use by another program", advice)
    return fail(
        name,
        f"{address} is in use by process {holder.pid} ({holder.name})",
        "stop that program, or give it or the gateway another port",
    )


def _range(config: Configuration, interface: Interface, taken: Taken) -> Row:
    """Compare the ports of a side's sound with what the calls allowed would take."""
    within = config.interface(interface).rtp_port_range
    name = f"RTP ports {interface}"
    own = {inode for inode, process in taken.processes.items() if process.name == RELAY}
    gone = {
        port.number
        for port in taken.udp
        if within.low <= port.number <= within.high and port.inode not in own
    }
    total = within.high - within.low + 1
    calls = (total - len(gone)) // PORTS_OF_A_CALL[interface]
    found = f"{within.low} to {within.high}: {len(gone)} taken by others, room for {calls} calls"
    if calls == 0:
        advice = "free the ports, or give `rtp_port_range` another range"
        return fail(name, found, advice)
    if calls < config.max_calls:
        advice = f"`max_calls` allows {config.max_calls}: widen `rtp_port_range` in cig.conf"
        return warn(name, found, advice)
    return ok(name, found)


def _has_ipv6() -> bool:
    try:
        _bind("::", 0, socket.SOCK_DGRAM)
    except OSError:
        return False
    return True
