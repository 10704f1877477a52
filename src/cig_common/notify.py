# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the service manager how a daemon is doing (sd_notify(3))."""

from __future__ import annotations

import logging
import os
import socket
import time

logger = logging.getLogger("Notify")


def notify(state: str) -> None:
    """Send ``state`` (``READY=1``, ``STOPPING=1``) to the service manager; nothing without one.

    A manager that does not listen any more stops no service: that is told in the log, no more.
    Nor does one that is too busy: this never waits, unlike libsystemd's own function.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
    try:
        with socket.socket(socket.AF_UNIX, kind) as manager:
            manager.sendto(state.encode(), address)
    except (OSError, ValueError) as error:
        logger.warning("the service manager could not be told %s: %s", state, error)


def reloading() -> None:
    """Tell the service manager that a reload has begun; ``READY=1`` tells that it is over."""
    # The time stamp is for managers that wait for it (Type=notify-reload); older ones ignore it.
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
