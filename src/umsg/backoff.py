# SPDX-License-Identifier: GPL-3.0-or-later
"""When and where to connect again: jittered exponential backoff over several addresses."""

from collections.abc import Callable

FIRST_CEILING = 2.0
MAX_DELAY = 60.0
"""Longest wait in seconds; a connection that stood this long clears the count of failures."""


class Backoff:
    """Chooses the address to try and the wait before it.

    The n-th wait lies between half and the whole of min(2**n, 60) seconds, evenly
    distributed, so that the clients of a server that was restarted do not return at
    one moment. `addresses` is how many addresses there are; `index` says which is next.
    A connection that fails soon after `welcome` counts as a failure like any other, or
    two clients with one URI would throw each other out without pause.
    """

    def __init__(self, *, addresses: int, random_bytes: Callable[[int], bytes]) -> None:
        self.index = 0
        self._addresses = addresses
        self._random_bytes = random_bytes
        self._failures = 0
        self._welcomed_at: float | None = None

    def welcomed(self, now: float) -> None:
        """Note that the server said `welcome`."""
        self._welcomed_at = now

    def failed(self, now: float) -> float:
        """Note that connecting failed or the connection broke; return the wait in seconds."""
        if self._welcomed_at is not None and now - self._welcomed_at >= MAX_DELAY:
            self._failures = 0
        self._welcomed_at = None
        ceiling = min(FIRST_CEILING * (1 << min(self._failures, 8)), MAX_DELAY)
        self._failures += 1
        self.index = (self.index + 1) % self._addresses
        share = int.from_bytes(self._random_bytes(2), "big") / 65535
        return ceiling * (1 + share) / 2
