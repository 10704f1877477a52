# SPDX-License-Identifier: GPL-3.0-or-later
"""Which port a new call gets: the one that has rested longest.

A port that was just given back may still draw packets of the call that used it; putting it at the
end of the queue keeps them away from the next call as long as the range allows.
"""

from __future__ import annotations

from collections import deque

from cig_relay.media.engine import PortRange


class PortPool:
    """The free ports of one ``rtp_port_range``, in the order in which they will be taken.

    ``step`` 1 hands out single ports, 2 even ports whose next one belongs to the call as well
    (RFC 3550 section 11). ``start`` rotates the first order, so that a restarted relay does not
    begin with the port that the one before it used last.
    """

    def __init__(self, ports: PortRange, step: int, start: int = 0) -> None:
        first = ports.low + (ports.low & 1 if step == 2 else 0)
        free = deque(range(first, ports.high - step + 2, step))
        free.rotate(-(start % len(free)) if free else 0)
        self._free = free

    def __len__(self) -> int:
        return len(self._free)

    def take(self) -> int | None:
        """Give the port that has rested longest and count it as used; None when there is none."""
        return self._free.popleft() if self._free else None

    def release(self, port: int) -> None:
        """Let ``port`` rest: after its call, or after somebody else was found on it."""
        self._free.append(port)
