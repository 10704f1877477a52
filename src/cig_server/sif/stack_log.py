# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings the SIP stack's own log lines into ours, a few a second and not one more.

What a stranger sends can make the stack write a line for every packet, so the lines pass a token
bucket; those left out are counted and told with the next one that passes.
"""

from __future__ import annotations

import logging

BURST = 10
PER_SECOND = 1.0

logger = logging.getLogger("Pjsip")


class Throttle:
    """A token bucket: ``burst`` at once, ``per_second`` in the long run."""

    def __init__(self, burst: int = BURST, per_second: float = PER_SECOND) -> None:
        self._burst = float(burst)
        self._per_second = per_second
        self._tokens = float(burst)
        self._last = 0.0
        self.suppressed = 0

    def admit(self, now: float) -> bool:
        """Tell whether one more may pass at ``now`` (seconds); the others are counted."""
        gained = max(0.0, now - self._last) * self._per_second
        self._tokens = min(self._burst, self._tokens + gained)
        self._last = now
        if self._tokens < 1.0:
            self.suppressed += 1
            return False
        self._tokens -= 1.0
        return True


class StackLog:
    """Takes lines of the stack's levels (1 error, 2 warning) and logs them as WARN."""

    def __init__(self) -> None:
        self.lines = 0
        self._throttle = Throttle()

    def write(self, message: str, now: float) -> None:
        """Log one line of the stack, or count it."""
        self.lines += 1
        if not self._throttle.admit(now):
            return
        missed, self._throttle.suppressed = self._throttle.suppressed, 0
        note = f" (and {missed} more lines before it)" if missed else ""
        # Behind the first line the stack prints the whole packet, which may be somebody's text.
        line = message.strip().partition("\n")[0].rstrip()
        logger.warning("%s%s", line[:300], note)
