# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells systemd how the service is doing (sd_notify(3)); does nothing where systemd is not."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify(state: str) -> None:
    """Send ``state`` (``READY=1``, ``STOPPING=1``) to the socket that systemd named, if any."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path[:1] not in ("/", "@"):
        return
    # A leading @ stands for a socket in the abstract namespace.
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, suppress(OSError):
        sock.sendto(state.encode(), address)
