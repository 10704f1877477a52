# SPDX-License-Identifier: GPL-3.0-or-later
"""The STUN binding of a tel leg to the CRS (RFC 8489), as UMSG wants it.

From the start a Binding request is sent, again and again with growing pauses, until one is
answered; from then on every 15 s. Only an answer with the right transaction id, MESSAGE-INTEGRITY
by the leg's password and, where it has one, a right FINGERPRINT changes anything.
"""

from __future__ import annotations

from collections.abc import Callable

from aioice import stun

FIRST_TIMEOUT = 0.5
"""RTO, seconds until a request is sent again the first time (RFC 8489 section 6.2.1)."""

LONGEST_TIMEOUT = 4.0
"""The timeout doubles up to here, so that a CRS that comes back is found soon."""

SENDS = 7
"""Rc: after so many sends of one request a new transaction begins."""

KEEPALIVE = 15.0
"""Seconds from an answer to the next request."""

_TRANSACTION_OCTETS = 12


def is_stun(first_octet: int) -> bool:
    """Tell STUN on a port that it shares with RTP by the packet's first octet (RFC 7983)."""
    return first_octet < 4


class Binding:
    """The requests of one leg and what their answers say.

    ``bound`` turns true with the first authentic answer; ``refused`` counts everything that came
    and was none. ``random_bytes`` gives the transaction ids.
    """

    def __init__(
        self, ufrag: str, pwd: str, random_bytes: Callable[[int], bytes], now: float
    ) -> None:
        self._ufrag = ufrag
        self._key = pwd.encode()
        self._random_bytes = random_bytes
        self._request = b""
        self._transaction: bytes | None = None
        self._sends = 0
        self._timeout = FIRST_TIMEOUT
        self.next_at = now
        self.bound = False
        self.refused = 0

    def poll(self, now: float) -> bytes | None:
        """Give the request to send when one is due at ``now``, and set ``next_at`` anew."""
        if now < self.next_at:
            return None
        if self._transaction is None or self._sends >= SENDS:
            self._new_transaction()
        self._sends += 1
        self.next_at = now + self._timeout
        self._timeout = min(self._timeout * 2, LONGEST_TIMEOUT)
        return self._request

    def _new_transaction(self) -> None:
        if self._transaction is None:
            self._timeout = FIRST_TIMEOUT
        self._transaction = self._random_bytes(_TRANSACTION_OCTETS)
        self._sends = 0
        message = stun.Message(
            stun.Method.BINDING,
            stun.Class.REQUEST,
            transaction_id=self._transaction,
            attributes={"USERNAME": self._ufrag},
        )
        message.add_message_integrity(self._key)
        self._request = bytes(message)

    def receive(self, data: bytes, now: float) -> bool:
        """Take a packet from the leg's address; give whether it was the answer waited for."""
        if not self._authentic(data):
            self.refused += 1
            return False
        self._transaction = None
        self.next_at = now + KEEPALIVE
        self.bound = True
        return True

    def _authentic(self, data: bytes) -> bool:
        try:
            message = stun.parse_message(data)
            return (
                message.message_method == stun.Method.BINDING
                and message.message_class == stun.Class.RESPONSE
                and message.transaction_id == self._transaction
                and message.check_message_integrity(self._key)
            )
        except Exception:
            # A foreign parser at work on a stranger's octets: whatever it raises means no.
            return False
