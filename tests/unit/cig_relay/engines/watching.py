# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches a pool of engines from outside: how many are available, and whether processes end."""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable


class Availability:
    """Hears how many engines are available, and lets a test wait for a number.

    ``then`` is called whenever that changes, within the report.
    """

    def __init__(self) -> None:
        self.heard: list[tuple[int, int]] = []
        self.then: Callable[[int], None] = lambda available: None
        self._changed = asyncio.Event()

    def __call__(self, available: int, total: int) -> None:
        self.heard.append((available, total))
        self.then(available)
        self._changed.set()

    async def until(self, available: int, *, reports: int = 1) -> None:
        while len(self.heard) < reports or self.heard[-1][0] != available:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 30)


def ends(pid: int) -> bool:
    """Wait until process ``pid`` has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 30)[0])
    finally:
        os.close(descriptor)
