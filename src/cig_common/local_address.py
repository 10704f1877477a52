# SPDX-License-Identifier: GPL-3.0-or-later
"""By which of its addresses this host reaches another one; no packet is sent to find out."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"
ANYWHERE = ("192.0.2.1", 9)
"""An address of RFC 5737, for the default route; no packet is ever sent to it."""


def local_address(remote: str, port: int) -> str:
    """Give the local address from which this host reaches the IP address ``remote``.

    Raises OSError.
    """
    family = socket.AF_INET6 if ":" in remote else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((remote, port))
        return str(probe.getsockname()[0])


def default_address() -> str:
    """Give the address of the default route, or the loopback address where there is none."""
    try:
        return local_address(*ANYWHERE)
    except OSError:
        return LOOPBACK
