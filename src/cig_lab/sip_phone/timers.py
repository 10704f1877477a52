# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP's timer values (RFC 3261 table 4)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimerValues:
    """T1, T2, T4 and what follows from them, in seconds."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    d: float = 32.0

    @property
    def long(self) -> float:
        """64*T1: timers B, F, H, J, L and M."""
        return 64 * self.t1
