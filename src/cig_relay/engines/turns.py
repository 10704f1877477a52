# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets the next free engine: first come, first served, and at most so many may wait.

The rules:

1. What becomes free goes to the first who waits; only where nobody waits does it lie idle.
2. Where ``most`` wait already, the next is refused at once.
3. Those who are urgent go before all others, and are never refused.
4. Whoever gives up waiting (is cancelled) leaves its place; what it may have been given in that
   moment goes to the next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from cig_common.errors import OverloadError
from cig_relay.engines.errors import EngineError


class Usable(Protocol):
    """Something that can become of no use while it lies idle."""

    @property
    def usable(self) -> bool:
        """Whether it is still good."""


_Thing = TypeVar("_Thing", bound=Usable)


class Turns(Generic[_Thing]):
    """Things that are free, and those who wait for one; belongs to one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._idle: deque[_Thing] = deque()
        self._urgent: deque[asyncio.Future[_Thing]] = deque()
        self._waiting: deque[asyncio.Future[_Thing]] = deque()
        self._closed = False
        self.refused = 0
        """How many were refused (rule 2)."""

    async def take(self, *, urgent: bool = False) -> _Thing:
        """Wait for one's turn and take what is free.

        Raises OverloadError (rule 2), EngineError after `close`.
        """
        if self._closed:
            raise _closed()
        while self._idle:
            thing = self._idle.popleft()
            if thing.usable:
                return thing
        if urgent:
            return await self._wait(self._urgent)
        if len(self._waiting) >= self._most:
            self.refused += 1
            raise OverloadError(f"{self._most} operations wait for a crypto engine already")
        return await self._wait(self._waiting)

    def put(self, thing: _Thing) -> None:
        """Give back, or bring, what is free: the first who waits gets it."""
        for queue in (self._urgent, self._waiting):
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(thing)
                    return
        self._idle.append(thing)

    def take_idle(self) -> list[_Thing]:
        """Take all that nobody waits for."""
        taken = [thing for thing in self._idle if thing.usable]
        self._idle.clear()
        return taken

    def close(self) -> None:
        """Give nothing to anybody any more: whoever waits gets EngineError."""
        self._closed = True
        for turn in (*self._urgent, *self._waiting):
            if not turn.done():
                turn.set_exception(_closed())

    async def _wait(self, queue: deque[asyncio.Future[_Thing]]) -> _Thing:
        turn: asyncio.Future[_Thing] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with suppress(ValueError):
                    queue.remove(turn)
            elif turn.exception() is None:
                self.put(turn.result())
            raise


def _closed() -> EngineError:
    return EngineError("the crypto engines are stopped")
