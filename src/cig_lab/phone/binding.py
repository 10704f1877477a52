# SPDX-License-Identifier: GPL-3.0-or-later
"""STUN binding of a phone's media socket to its leg at the CRS (RFC 8489), sans-IO."""

from __future__ import annotations

from collections.abc import Callable

from aioice import stun

from umsg.messages import Leg

RETRY = 0.5
"""Seconds between requests until one is answered."""
KEEPALIVE = 15.0
"""Seconds between requests from then on."""


class LegBinding:
    """Asks until it is answered, then keeps the way open."""

    def __init__(self, leg: Leg, random_bytes: Callable[[int], bytes], now: float) -> None:
        self.bound = False
        self.refused = 0
        self._leg = leg
        self._random = random_bytes
        self._transaction = b""
        self._next = now

    def poll(self, now: float) -> bytes | None:
        """Give the request that is due at ``now``."""
        if now < self._next:
            return None
        self._next = now + (KEEPALIVE if self.bound else RETRY)
        self._transaction = self._random(12)
        request = stun.Message(
            stun.Method.BINDING,
            stun.Class.REQUEST,
            transaction_id=self._transaction,
            attributes={"USERNAME": self._leg.ufrag},
        )
        request.add_message_integrity(self._leg.pwd.encode())
        return bytes(request)

    def receive(self, data: bytes, now: float) -> None:
        """Take a STUN packet; what is no authentic answer to our last request is counted."""
        try:
            answer = stun.parse_message(data)
            authentic = answer.transaction_id == self._transaction and (
                answer.check_message_integrity(self._leg.pwd.encode())
            )
        except Exception:
            # A parser of others, fed by strangers: whatever it raises, the packet is no answer.
            authentic = False
        if not authentic or answer.message_class != stun.Class.RESPONSE:
            self.refused += 1
            return
        self.bound = True
        self._next = now + KEEPALIVE
