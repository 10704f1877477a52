# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits for the SIP stack's thread: commands, and a datagram that ends its poll at once.

The datagram goes to the stack's own UDP port; SIP takes CR LF CR LF for a keep-alive (RFC 5626
section 3.5.1) and does nothing with it.
"""

from __future__ import annotations

import queue
import socket
from collections.abc import Iterator
from typing import Generic, TypeVar

from cig_server.sif.settings import Address, reachable_at

_KEEP_ALIVE = b"\r\n\r\n"

_Item = TypeVar("_Item")


class Inbox(Generic[_Item]):
    """Takes items from any thread for the one that polls ``address``:``port``."""

    def __init__(self, address: Address, port: int) -> None:
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        self._target = (str(reachable_at(address)), port)
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._items: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._woken = False

    def put(self, item: _Item) -> bool:
        """Add an item, never blocking; False when the poll could not be woken and ends by itself.

        One datagram is enough for all that is put before the next `take`.
        """
        self._items.put(item)
        if self._woken:
            return True
        self._woken = True
        try:
            self._socket.sendto(_KEEP_ALIVE, self._target)
        except OSError:
            return False
        return True

    def take(self) -> Iterator[_Item]:
        """Give what is there, and what comes meanwhile; called in the polling thread."""
        # Cleared before the queue is read: an item put after this wakes the next poll.
        self._woken = False
        while not self._items.empty():
            yield self._items.get()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
