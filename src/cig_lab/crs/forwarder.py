# SPDX-License-Identifier: GPL-3.0-or-later
"""The SRTP forwarder, without I/O: one UDP port for all legs, told apart by source address.

The rules:
- A leg is bound to the source address of a STUN Binding request (RFC 8489) with its
  `ufrag` as USERNAME and a MESSAGE-INTEGRITY by its `pwd` (short-term credential).
- A new transaction may move a leg (the client's NAT chose another port). A transaction id
  that was seen before never does: a recorded request is worth nothing elsewhere.
- An address serves one leg; another live leg cannot take it over.
- Every packet from a bound address that is not STUN goes, unread, to the address of the
  other leg of its call. STUN that is wrong is not answered, so nothing can be reflected.
"""

import base64
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from aioice import stun

from cig_lab.crs.stats import CrsStats
from umsg.messages import Leg

Address = tuple[str, int]
"""IP address and port of a UDP peer."""

MAX_TRANSACTIONS = 10_000
"""Transaction ids remembered for a leg: 41 hours at one in 15 s. After that it cannot move."""
_COOKIE = stun.COOKIE.to_bytes(4, "big")


@dataclass(slots=True)
class _LegState:
    """One leg: its credential, the address it is bound to, and its counterpart."""

    leg: Leg
    address: Address | None = None
    other: "_LegState | None" = None
    transactions: dict[bytes, Address] = field(default_factory=dict)


class Forwarder:
    """All legs of all calls. `open` and `close` from the calls' side, `receive` from UDP."""

    def __init__(self, *, stats: CrsStats, random_bytes: Callable[[int], bytes]) -> None:
        self.addr = ""
        """The IP address that legs are told to send to; set when the port is bound."""
        self.port = 0
        self._stats = stats
        self._random_bytes = random_bytes
        self._by_ufrag: dict[str, _LegState] = {}
        self._by_address: dict[Address, _LegState] = {}
        self._calls: dict[str, tuple[_LegState, _LegState]] = {}

    def open(self, call_id: str) -> tuple[Leg, Leg]:
        """Make the two legs of a call: the caller's and the callee's."""
        one, two = self._new_leg(), self._new_leg()
        one.other, two.other = two, one
        self._calls[call_id] = (one, two)
        return one.leg, two.leg

    def close(self, call_id: str) -> None:
        """Forget a call's legs; packets of theirs are strangers' from now on."""
        for state in self._calls.pop(call_id, ()):
            del self._by_ufrag[state.leg.ufrag]
            if state.address is not None:
                del self._by_address[state.address]

    def receive(self, data: bytes, source: Address) -> tuple[bytes, Address] | None:
        """Take a packet; return the packet to send and where to, or None."""
        if len(data) >= stun.HEADER_LENGTH and data[0] < 4 and data[4:8] == _COOKIE:
            answer = self._answer(data, source)
            if answer is None:
                self._stats.stun_refused += 1
                return None
            self._stats.stun_bound += 1
            return answer, source
        state = self._by_address.get(source)
        if state is None:
            self._stats.media_unknown += 1
            return None
        if state.other is None or state.other.address is None:
            self._stats.media_unbound += 1
            return None
        self._stats.media_forwarded += 1
        self._stats.media_octets += len(data)
        return data, state.other.address

    def _new_leg(self) -> _LegState:
        ufrag = ""
        while not ufrag or ufrag in self._by_ufrag:
            ufrag = base64.b64encode(self._random_bytes(6)).decode()
        pwd = base64.b64encode(self._random_bytes(18)).decode()
        state = _LegState(Leg(addr=self.addr, port=self.port, ufrag=ufrag, pwd=pwd))
        self._by_ufrag[ufrag] = state
        return state

    def _answer(self, data: bytes, source: Address) -> bytes | None:
        """Return the response to a Binding request that may bind its leg, else None."""
        try:
            request = stun.parse_message(data)
        except (ValueError, IndexError, struct.error):
            return None
        binding = (stun.Method.BINDING, stun.Class.REQUEST)
        if (request.message_method, request.message_class) != binding:
            return None
        state = self._by_ufrag.get(str(request.attributes.get("USERNAME")))
        if state is None:
            return None
        key = state.leg.pwd.encode()
        if not request.check_message_integrity(key):
            return None
        if not self._bind(state, request.transaction_id, source):
            return None
        response = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
            attributes={"XOR-MAPPED-ADDRESS": source},
        )
        response.add_message_integrity(key)
        return bytes(response)

    def _bind(self, state: _LegState, transaction: bytes, source: Address) -> bool:
        """Bind a leg to an address, if this authenticated transaction may do so."""
        if transaction in state.transactions:
            # A retransmission is answered again, but only where it came from at first.
            return state.transactions[transaction] == source == state.address
        if self._by_address.get(source, state) is not state:
            return False
        if len(state.transactions) >= MAX_TRANSACTIONS:
            return source == state.address
        state.transactions[transaction] = source
        if state.address is not None:
            del self._by_address[state.address]
        state.address = source
        self._by_address[source] = state
        return True
