# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks after the keys while the relay runs: changes of periods, and warnings before the end.

A shell around `KeyHolder.keep` and `KeyWatch`: it looks once a minute, and whenever it is told to.
That is often enough, since engines get a period an hour before it counts, and it needs no timer
that a step of the host's clock would leave at a wrong moment.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from cig_common.clock import Clock
from cig_common.control.key_facts import KeysEnding
from cig_relay.keys.holder import KeyHolder
from cig_relay.keys.watch import KeyWatch

_log = logging.getLogger("Keys")

LOOK_SECONDS = 60.0


class KeyKeeper:
    """Keeps the keys of ``holder`` current; ``tell`` hears each change of the warning."""

    def __init__(
        self, holder: KeyHolder, clock: Clock, tell: Callable[[KeysEnding | None], None]
    ) -> None:
        self._holder = holder
        self._clock = clock
        self._tell = tell
        self._watch = KeyWatch()
        self._wanted = asyncio.Event()

    @property
    def warning(self) -> KeysEnding | None:
        """The warning that stands."""
        return self._watch.warning

    def look_soon(self) -> None:
        """Have `run` look at once, since the keys have changed."""
        self._wanted.set()

    async def run(self) -> None:
        """Look for ever; to be cancelled."""
        while True:
            self._wanted.clear()
            try:
                await self.look()
            except Exception:
                _log.exception("looking after the keys failed in a way not foreseen")
            with suppress(TimeoutError):
                # Not wait_for: until Python 3.12 that can lose a cancellation.
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wanted.wait()

    async def look(self) -> None:
        """Change periods if it is time, and warn if that is due."""
        await self._holder.keep()
        identity = self._holder.identity
        before = self._watch.warning
        for text in self._watch.look(identity.periods if identity else (), self._clock.utc()):
            _log.warning("%s", text)
        warning = self._watch.warning
        if _essence(warning) != _essence(before):
            self._tell(warning)


def _essence(warning: KeysEnding | None) -> tuple[str, int] | None:
    # The text counts the days down: that alone is no news.
    return None if warning is None else (warning.period, warning.days)
