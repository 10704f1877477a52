# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains: the maps that one question runs through, in their order, as one indexed list of entries.

A configuration has four: for each interface that a call may come in on, one for the to-URI and
one for the from-URI. They are built when the file is compiled, never on the first call.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from cig_common.config.entries import Written
from cig_common.config.index import PatternIndex
from cig_common.config.model import Entry, Interface, MapUse, SipInterface, TelInterface
from cig_common.config.patterns import GAP, Pattern, generic, subject

_MOST_EARLIER = 1024


class Chain:
    """The entries of several maps in order, matched on one side; the first to match wins.

    `uses` are the maps as the interface names them (a map that it names twice counts once: its
    second place can never be reached), `side` is the side of each entry that a URI must match.
    An entry's id is its number in the whole chain, from 0.
    """

    __slots__ = ("_ends", "_index", "_kind", "side", "uses")

    def __init__(self, uses: Sequence[MapUse], side: Interface, twin: Chain | None = None) -> None:
        """Index the entries; `twin`, on the same side, lends its index if it has the same maps."""
        firsts: dict[str, MapUse] = {}
        for use in uses:
            firsts.setdefault(use.map.name, use)
        self.uses = tuple(firsts.values())
        self.side = side
        self._kind = side.kind
        self._ends = list(accumulate(len(use.map.entries) for use in self.uses))
        self._index: PatternIndex
        if twin is not None and twin._names() == self._names():
            self._index = twin._index
        else:
            self._index = PatternIndex.build(self._literals())

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def locate(self, number: int) -> tuple[MapUse, int]:
        """Return the map that the entry with this id is in, and its index there."""
        at = bisect_right(self._ends, number)
        return self.uses[at], number - (self._ends[at - 1] if at else 0)

    def candidates(self, text: str) -> Sequence[int]:
        """Return the ids, ascending, of all entries that may match when case does not count."""
        return self._index.candidates(text)

    def first(self, text: str) -> tuple[MapUse, Entry, dict[str, str]] | None:
        """Return the first entry that matches, its map, and what its parameters caught.

        `text` is a SIP URI without headers, or a tel URI in canonical form (`canonical_tel`).
        """
        found = self.first_written(text)
        return None if found is None else (found[0], found[1].entry(), found[2])

    def first_written(self, text: str) -> tuple[MapUse, Written, dict[str, str]] | None:
        """Do as `first`, but leave the entry as it is written."""
        prepared = subject(text, self._kind)
        for number in self._index.candidates(text):
            use, at = self.locate(number)
            written = use.map.entries.written(at)
            values = written.match(self.side, prepared)
            if values is not None:
                return use, written, values
        return None

    def covered(self) -> Iterator[tuple[int, int]]:
        """Yield (id, id of an earlier entry that takes all that this one would match)."""
        candidates = self._index.candidates
        # The few patterns that take much are decoded once, not for each entry that they take.
        earlier: dict[int, Pattern] = {}
        for number, literals in enumerate(self._literals()):
            # Nearly always nothing comes before the entry itself.
            found = candidates(GAP.join(literals))
            if not found or found[0] >= number:
                continue
            prepared = generic(literals, self._kind)
            for other in found:
                if other >= number:
                    break
                if other not in earlier:
                    if len(earlier) == _MOST_EARLIER:
                        earlier.clear()
                    use, at = self.locate(other)
                    earlier[other] = use.map.entries[at].side(self.side)
                if earlier[other].match(prepared) is not None:
                    yield number, other
                    break

    def _names(self) -> list[str]:
        return [use.map.name for use in self.uses]

    def _literals(self) -> Iterator[tuple[str, ...]]:
        for use in self.uses:
            yield from use.map.entries.literals(self.side)


@dataclass(frozen=True, slots=True)
class Chains:
    """The four chains of a configuration, by the interface that the call came in on."""

    to_tel: Chain
    to_sip: Chain
    from_tel: Chain
    from_sip: Chain


def build_chains(tel: TelInterface, sip: SipInterface) -> Chains:
    """Build the chains of a pair of interfaces."""
    to_tel = Chain(tel.extension_maps, Interface.TEL)
    to_sip = Chain(sip.extension_maps, Interface.SIP)
    from_tel = Chain(sip.source_maps or sip.extension_maps, Interface.TEL, to_tel)
    from_sip = Chain(tel.source_maps or tel.extension_maps, Interface.SIP, to_sip)
    return Chains(to_tel, to_sip, from_tel, from_sip)
