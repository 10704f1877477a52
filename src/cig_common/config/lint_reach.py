# SPDX-License-Identifier: GPL-3.0-or-later
"""Warnings about entries that no URI can reach, since an earlier one takes all of theirs (W110).

A map may be in several chains (see chains.py), matched on one side or on the other. An entry is
told only if it is covered in every chain that its map is in and that is ever asked.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

from cig_common.config.chains import Chain
from cig_common.config.model import Configuration, Interface, UriMap
from cig_common.config.notes import Notes


class _Reach:
    """Which of a map's entries were covered in every chain so far."""

    def __init__(self, size: int, first: Chain) -> None:
        self.first = first
        self.chains = 0
        self._covered = bytearray(size)
        self._by = array("I", bytes(4 * size))

    def note(self, index: int, by: int) -> None:
        """Note that the entry is covered in the chain at hand, by the entry with the id `by`."""
        if self._covered[index] == self.chains:
            self._covered[index] += 1
            if not self.chains:
                self._by[index] = by

    def is_open(self) -> bool:
        """Tell whether there is an entry that was covered in every chain so far."""
        return self.chains in self._covered

    def unreachable(self) -> Iterator[tuple[int, int]]:
        """Yield (index, id in the first chain of what covers it)."""
        index = self._covered.find(self.chains)
        while index >= 0:
            yield index, self._by[index]
            index = self._covered.find(self.chains, index + 1)


def lint_reach(config: Configuration, notes: Notes) -> None:
    """Add the warnings about entries that no URI can reach."""
    reaches: dict[str, _Reach] = {}
    for chain in _asked(config):
        _look_into(chain, reaches)
    for uri_map in config.maps:
        if uri_map.name in reaches:
            _tell(uri_map, reaches[uri_map.name], notes)


def _asked(config: Configuration) -> Iterable[Chain]:
    """Return the chains that are ever asked, each of two that are the same once.

    Where nothing can be dialled no call comes in, and no caller is looked up.
    """
    chains: dict[tuple[Interface, tuple[str, ...]], Chain] = {}
    for side in Interface:
        if config.to_chain(side).uses:
            for chain in (config.to_chain(side), config.from_chain(side)):
                chains.setdefault((side, tuple(use.map.name for use in chain.uses)), chain)
    return chains.values()


def _look_into(chain: Chain, reaches: dict[str, _Reach]) -> None:
    for use in chain.uses:
        if use.map.name not in reaches:
            reaches[use.map.name] = _Reach(len(use.map.entries), chain)
    # Most often nothing is covered, and then the next chain of the same maps has no news.
    if any(reaches[use.map.name].is_open() for use in chain.uses):
        for number, by in chain.covered():
            use, index = chain.locate(number)
            reaches[use.map.name].note(index, by)
    for use in chain.uses:
        reaches[use.map.name].chains += 1


def _tell(uri_map: UriMap, reach: _Reach, notes: Notes) -> None:
    for index, by in reach.unreachable():
        if notes.full:
            notes.untold_warnings += 1
            continue
        entry = uri_map.entries[index]
        use, at = reach.first.locate(by)
        other = use.map.entries[at]
        where = "" if use.map is uri_map else f" of map `{use.map.name}`"
        takes = f"entry `{other.name}`{where} in line {other.position.line} takes"
        message = f"entry `{entry.name}` is never reached: {takes} all that it would match"
        side = reach.first.side
        same = entry.side(side).literals == other.side(side).literals
        hint = "remove one of the two" if same else "put it before that one, or remove it"
        notes.warn("W110", entry.position, message, hint)
