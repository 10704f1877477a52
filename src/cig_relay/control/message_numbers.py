# SPDX-License-Identifier: GPL-3.0-or-later
"""What may not repeat in the I_MESSAGEs that the gateway makes, of calls and of texts alike."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container

from cig_common.clock import Clock

_T_STEP = 1e-6
_REMEMBERED_CSB_IDS = 4096


class MessageNumbers:
    """Gives the times, CSB IDs and SSRCs of I_MESSAGEs; one for the whole relay."""

    def __init__(self, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self._clock = clock
        self._random_bytes = random_bytes
        self._last_t = 0.0
        # RFC 3830 section 6.1: an initiator checks that its CSB IDs do not collide.
        self._csb_ids: deque[int] = deque(maxlen=_REMEMBERED_CSB_IDS)

    def next_t(self) -> float:
        """Give the time of the next message, in seconds since 1970.

        RFC 3830 section 5.4: T never repeats, whatever the host's clock does.
        """
        self._last_t = max(self._clock.utc(), self._last_t + _T_STEP)
        return self._last_t

    def csb_id(self) -> int:
        """Draw a CSB ID (32 bits) that none of the last 4096 messages had."""
        csb_id = self._draw(self._csb_ids)
        self._csb_ids.append(csb_id)
        return csb_id

    def ssrc(self, taken: Container[int] = ()) -> int:
        """Draw an SSRC (32 bits) that is not 0 and not ``taken``."""
        while (number := self._draw(taken)) == 0:
            pass
        return number

    def _draw(self, taken: Container[int]) -> int:
        while (number := int.from_bytes(self._random_bytes(4), "big")) in taken:
            pass
        return number
