# SPDX-License-Identifier: GPL-3.0-or-later
"""The replay cache (RFC 3830 §5.4): which authenticated messages were already accepted.

Rules:
1. A key stands for a message's signed prefix, never for its signature, which a stranger can
   change into a second valid one.
2. Only messages whose signature verified are inserted, so that strangers cannot fill it.
3. The cache has a floor: a message whose T is not above it is refused, known or not. Whatever
   entry is dropped (too old, or no room), the floor rises to its T. So nothing that was once
   accepted is accepted again, not even when the clock is set back or the cache is full.
4. `insert` gives the line that a caller writes to its disk before it uses the message; `load`
   makes the cache from such lines. Where the lines are lost, `after_loss` refuses for a time
   what might have been accepted before.
"""

import heapq
import re
from collections.abc import Iterable, Iterator
from typing import Self

from mikey_sakke.errors import MalformedError, ParameterError, ReplayError

KEY_LENGTH = 32
DEFAULT_KEEP = 31 * 86_400.0 + 600.0
"""Seconds that an entry is kept: a month's period and twice the usual skew of 300 s."""

_LINE = re.compile(r"(?:([0-9a-f]{64})|floor) (-?[0-9]{1,18})", re.ASCII)
_TICKS = 1_000_000


class ReplayCache:
    """A bounded memory of accepted messages.

    Keys are 32 octets; times are seconds since 1970. `capacity` entries at most; each is kept
    until `keep` seconds after its T.
    """

    __slots__ = ("_by_time", "_capacity", "_floor", "_keep", "_keys")

    def __init__(self, *, capacity: int = 100_000, keep: float = DEFAULT_KEEP) -> None:
        if capacity < 1 or keep <= 0:
            raise ParameterError("a replay cache needs room for an entry and time to keep it")
        self._capacity = capacity
        self._keep = int(keep * _TICKS)
        self._floor: int | None = None
        self._keys: dict[bytes, int] = {}
        self._by_time: list[tuple[int, bytes]] = []

    def seen(self, key: bytes, t: float | None = None) -> bool:
        """Say whether a message is known by its key (32 octets).

        With its T, also whether T is not above the floor.
        """
        return key in self._keys or (t is not None and self._below_floor(_ticks(t)))

    def insert(self, key: bytes, t: float, now: float) -> str:
        """Remember a message by its key (32 octets) and T; gives its line for the disk.

        Raises `ReplayError` where it is known or its T is not above the floor; looking and
        inserting are one step, so of two equal messages one fails.
        """
        if len(key) != KEY_LENGTH:
            raise ParameterError(f"a replay key must have {KEY_LENGTH} octets")
        ticks = _ticks(t)
        if key in self._keys:
            raise ReplayError("message refused: it was accepted before")
        if self._below_floor(ticks):
            raise ReplayError("message refused: too old to tell whether it was accepted before")
        self._remember(key, ticks)
        self.expire(now)
        return f"{key.hex()} {ticks}"

    def expire(self, now: float) -> None:
        """Drop entries whose time is over or that are beyond the capacity; the floor rises."""
        limit = _ticks(now) - self._keep
        while self._by_time and (
            self._by_time[0][0] <= limit or len(self._by_time) > self._capacity
        ):
            ticks, key = heapq.heappop(self._by_time)
            del self._keys[key]
            self._raise_floor(ticks)

    def export(self) -> Iterator[str]:
        """Give lines from which `load` makes an equal cache: the floor, then the entries."""
        if self._floor is not None:
            yield f"floor {self._floor}"
        for ticks, key in sorted(self._by_time):
            yield f"{key.hex()} {ticks}"

    @classmethod
    def load(
        cls,
        lines: Iterable[str],
        *,
        now: float,
        capacity: int = 100_000,
        keep: float = DEFAULT_KEEP,
    ) -> Self:
        """Make a cache from lines of `export` and `insert`.

        A broken last line is passed over: it was being written when the writer died, so its
        message was not used. Raises `MalformedError` for any other; the caller then treats
        the store as lost (`after_loss`).
        """
        cache = cls(capacity=capacity, keep=keep)
        broken = 0
        for number, line in enumerate(lines, start=1):
            if broken:
                raise MalformedError(f"replay store: line {broken} is broken, the store is lost")
            match = _LINE.fullmatch(line.rstrip("\n"))
            if match is None:
                broken = number
            elif match[1] is None:
                cache._raise_floor(int(match[2]))
            elif bytes.fromhex(match[1]) not in cache._keys:
                cache._remember(bytes.fromhex(match[1]), int(match[2]))
        cache.expire(now)
        return cache

    @classmethod
    def after_loss(
        cls,
        *,
        now: float,
        skew: float,
        capacity: int = 100_000,
        keep: float = DEFAULT_KEEP,
    ) -> Self:
        """Make an empty cache whose floor is `now` + `skew`.

        No message that was accepted before now can have a higher T; a peer whose clock is
        late by the whole skew is refused for twice the skew.
        """
        cache = cls(capacity=capacity, keep=keep)
        cache._raise_floor(_ticks(now + skew))
        return cache

    def __len__(self) -> int:
        return len(self._keys)

    def _remember(self, key: bytes, ticks: int) -> None:
        self._keys[key] = ticks
        heapq.heappush(self._by_time, (ticks, key))

    def _below_floor(self, ticks: int) -> bool:
        return self._floor is not None and ticks <= self._floor

    def _raise_floor(self, ticks: int) -> None:
        if not self._below_floor(ticks):
            self._floor = ticks


def _ticks(t: float) -> int:
    return round(t * _TICKS)
