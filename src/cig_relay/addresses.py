# SPDX-License-Identifier: GPL-3.0-or-later
"""Which local address media uses: what was configured, or what the host routes by.

A name server that does not answer may hold a look-up for a long time, so look-ups run in a
daemon thread, and calls take the last address that was found.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from cig_common.errors import MediaError
from cig_common.local_address import ANYWHERE, default_address, local_address
from cig_material.material import split_host_port

_log = logging.getLogger("Addresses")


def route_address(host: str, port: int, override: Mapping[str, str] | None = None) -> str:
    """Give the local address from which this host reaches ``host``; may block on DNS.

    ``override`` replaces the address that ``host`` resolves to. Raises OSError.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    remote = str(found[4][0])
    return local_address((override or {}).get(remote, remote), port)


def sip_address(bind: str, peer: str, override: Mapping[str, str] | None = None) -> str:
    """Give the local address for the sound of a call with the PBX ``peer`` (an IP address).

    That is the address on which SIP is taken, ``bind``. Where SIP is taken on all (``bind`` empty
    or ``::``), a PBX with an IPv6 address gets the one by which the host reaches it, and every
    other one that of the IPv4 default route, as with ``0.0.0.0``. ``peer`` may be empty;
    ``override`` replaces it. Raises MediaError where no route leads to ``peer``.
    """
    if bind and not ipaddress.ip_address(bind).is_unspecified:
        return bind
    if ":" not in peer or (bind and ":" not in bind) or ipaddress.ip_address(peer).is_unspecified:
        return default_address()
    try:
        return route_address(peer, ANYWHERE[1], override)
    except OSError as error:
        raise MediaError(f"sip: no route to {peer} over IPv6: {error.strerror}") from error


class TelAddress:
    """The tel side's local address: ``fixed``, or by which the host reaches the CRS."""

    def __init__(self, fixed: str | None) -> None:
        self._fixed = fixed
        self._found: str | None = None

    def __call__(self) -> str:
        """Give the address for a new call."""
        return self._fixed or self._found or default_address()

    async def refresh(self, crs: Sequence[str], override: Mapping[str, str]) -> None:
        """Look again by which address the first CRS that resolves is reached."""
        if self._fixed is not None:
            return
        for address in crs:
            host, port = split_host_port(address)
            try:
                found = await _in_daemon_thread(partial(route_address, host, port, override))
            except OSError as error:
                _log.warning("no route to the CRS %s: %s", address, error)
                continue
            if found != self._found:
                _log.info("media towards the CRS uses the local address %s", found)
                self._found = found
            return


async def _in_daemon_thread(function: Callable[[], str]) -> str:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str] = loop.create_future()

    def settle(result: str | OSError) -> None:
        if future.done():
            return
        if isinstance(result, OSError):
            future.set_exception(result)
        else:
            future.set_result(result)

    def run() -> None:
        result: str | OSError
        try:
            result = function()
        except OSError as error:
            result = error
        try:
            loop.call_soon_threadsafe(settle, result)
        except RuntimeError:
            # The loop was closed while the look-up hung.
            return

    threading.Thread(target=run, name="route-lookup", daemon=True).start()
    return await future
