# SPDX-License-Identifier: GPL-3.0-or-later
"""The pause before an engine is started in the place of one that died."""

from __future__ import annotations


class Pause:
    """How long to wait before an engine is started in the place of one that died, in seconds.

    Twice as long as before if that one did not live for ten seconds, at most five seconds.
    """

    SHORTEST, LONGEST, LONG_LIFE = 0.05, 5.0, 10.0

    def __init__(self) -> None:
        self._last = 0.0

    def after(self, lifetime: float) -> float:
        """Give the pause after an engine that lived for ``lifetime`` seconds."""
        last = 0.0 if lifetime > self.LONG_LIFE else self._last
        self._last = min(max(2 * last, self.SHORTEST), self.LONGEST)
        return self._last
