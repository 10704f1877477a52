# SPDX-License-Identifier: GPL-3.0-or-later
"""An index over patterns: which of a million could match a text, without trying them all.

A pattern is known here by its literals alone (`sip:`, `@pbx.com` for `sip:{n}@pbx.com`). Every
text that it matches begins with the first and ends with the last of them, and holds the others
in between. So a pattern is filed under a key, and a text is looked up under every key that it
could have:

- a pattern without a parameter under its whole text;
- any other under its first literal (prefix) and its last one (suffix). A text is looked up once
  for each length of prefix that occurs (but not where all prefixes of a length have a beginning
  that it lacks), and there for each length of suffix that occurs with it;
- where more than `CROWD` patterns share prefix and suffix, each of them moreover under that one
  of its middle literals which the fewest of the crowd have (the longest of these), and where this
  leaves a crowd, under a second one. A text is looked up from every place in it where such a
  literal could begin.

A key is the CRC-32 of those octets (UTF-8, ASCII in lower case, since parts of a URI compare
without regard to case). Two keys may fall together, so what is found is a superset, and who asks
has to match the candidates anyway. For this no text has to be kept: a pattern costs some 20
octets, in arrays which the garbage collector never walks through and which pickle as they are.
The CRC of a longer prefix or suffix goes on from the one of the shorter, so that a look-up stays
linear in the text's length, however many lengths there are.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, compress
from zlib import crc32

CROWD = 2
"""So many patterns under one key are simply tried; more are told apart by a middle literal."""

_MIDDLE_OCTETS = 64
"""So much of a middle literal counts; it bounds what one place in a text can cost."""

_MIDDLES = 4
"""A pattern is filed under so many of its middle literals at most."""

_SHARED_OCTETS = 64
"""So much of what prefixes of one length have in common is looked at before all else."""

_FEW_SUFFIXES = 2
"""With more lengths of suffix to one length of prefix, it is looked up first which apply."""

# Between the parts of a key, so that `1{x}11` and `11{x}1` have different ones.
_SUFFIX_MARK = 0x5BD1E995
_MIDDLE_MARK = 0x9E3779B1


def _octets(text: str) -> bytes:
    """Return what is compared: UTF-8 with A to Z in lower case and all else as it is."""
    return text.encode("utf-8", "surrogatepass").lower()


def _shift(size: int) -> int:
    """Return by how many bits keys are shifted to make at least twice as many groups of them."""
    return max(32 - (2 * size).bit_length(), 0)


class _Table:
    """Numbers filed under 32-bit keys; those under one key come out in the order they went in.

    `_keys` and `_values` are grouped by the keys' uppermost bits, group g from `_starts[g]` on.
    """

    __slots__ = ("_keys", "_shift", "_starts", "_values")

    def __init__(self, keys: Sequence[int], values: Iterable[int]) -> None:
        self._shift = shift = _shift(len(keys))
        counts = [0] * ((1 << 32 - shift) + 1)
        for key in keys:
            counts[(key >> shift) + 1] += 1
        self._starts = array("I", accumulate(counts))
        self._keys = array("I", bytes(4 * len(keys)))
        self._values = array("I", bytes(4 * len(keys)))
        following = array("I", self._starts)
        for key, value in zip(keys, values, strict=True):
            place = following[key >> shift]
            following[key >> shift] = place + 1
            self._keys[place] = key
            self._values[place] = value

    def find(self, key: int, found: list[int]) -> None:
        """Add the numbers under a key to `found`."""
        group = key >> self._shift
        place, end = self._starts[group], self._starts[group + 1]
        while place < end:
            if self._keys[place] == key:
                found.append(self._values[place])
            place += 1


_Middles = tuple[tuple[bytes, tuple[int, ...]], ...]
"""How a crowd's middle literals may begin: a first octet, and the lengths, ascending, with it."""


_Prefixes = tuple[int, bytes, tuple[int, ...] | None]
"""A length of prefix, what all of that length begin with, the lengths of suffix beside them.

The last is None where these are many: then each prefix has its own.
"""


@dataclass(frozen=True, slots=True)
class PatternIndex:
    """The patterns that could match a text, by number. Made by `build`, then never changed."""

    _size: int
    _exact: _Table
    _prefixes: tuple[_Prefixes, ...]
    _choices: tuple[tuple[int, ...], ...]
    _chosen: _Table
    _patterns: _Table
    _crowds: dict[int, _Middles]

    @classmethod
    def build(cls, literals: Iterable[tuple[str, ...]]) -> PatternIndex:
        """File patterns 0, 1, 2, … under the literals of each, between which parameters stand.

        Takes no more than one pass over `literals`, and keeps none of them.
        """
        building = _Building()
        for pattern in literals:
            building.add(pattern)
        return building.finish()

    def __len__(self) -> int:
        """Return how many patterns were filed."""
        return self._size

    def candidates(self, text: str) -> Sequence[int]:
        """Return, ascending, the patterns that could match `text`, and rarely one that cannot.

        Of patterns with the very same literals the first is sure to be there, not the others.
        """
        octets = _octets(text)
        found: list[int] = []
        self._exact.find(crc32(octets), found)
        find, crowds = self._patterns.find, self._crowds
        backwards = octets[::-1]
        size, start, prefix_key = len(octets), 0, 0
        for length, shared, suffixes in self._prefixes:
            if length > size:
                break
            if not octets.startswith(shared):
                continue
            prefix_key = crc32(octets[start:length], prefix_key)
            start = length
            key, done = prefix_key ^ _SUFFIX_MARK, 0
            for suffix in self._lengths_beside(prefix_key) if suffixes is None else suffixes:
                if suffix > size - length:
                    break
                key = crc32(backwards[done:suffix], key)
                done = suffix
                find(key, found)
                if key in crowds:
                    self._add_by_middle(octets[length : size - suffix], key, found)
        return sorted(set(found)) if len(found) > 1 else found

    def _lengths_beside(self, prefix_key: int) -> Sequence[int]:
        """Return the lengths of suffix, ascending, that occur with the prefix of this key."""
        numbers: list[int] = []
        self._chosen.find(prefix_key, numbers)
        if len(numbers) > 1:  # Prefixes of different lengths with one key.
            return sorted({length for number in numbers for length in self._choices[number]})
        return self._choices[numbers[0]] if numbers else ()

    def _add_by_middle(self, between: bytes, key: int, found: list[int]) -> None:
        """Look up a crowd's middle literals at every place where they could begin."""
        begin = key ^ _MIDDLE_MARK
        windows: set[bytes] = set()
        keys: set[int] = set()
        for first, lengths in self._crowds[key]:
            place = between.find(first)
            while place >= 0:
                window = between[place : place + lengths[-1]]
                place = between.find(first, place + 1)
                if window in windows:
                    continue
                windows.add(window)
                key, done = begin, 0
                for length in lengths:
                    if length > len(window):
                        break
                    key = crc32(window[done:length], key)
                    done = length
                    if key in keys:
                        continue
                    keys.add(key)
                    self._patterns.find(key, found)
                    if key in self._crowds:
                        self._add_by_middle(between, key, found)


class _Filing:
    """Keys and the patterns under them, while they are collected."""

    __slots__ = ("_dropped", "ids", "keys")

    def __init__(self) -> None:
        self.keys = array("I")
        self.ids = array("I")
        self._dropped: set[int] = set()

    def add(self, key: int, number: int) -> None:
        """File a pattern under a key."""
        self.keys.append(key)
        self.ids.append(number)

    def crowds(self) -> list[tuple[int, list[int]]]:
        """Return the keys with more than CROWD patterns, and at which places these stand."""
        shift = _shift(len(self.keys))
        counts = [0] * (1 << 32 - shift)
        for key in self.keys:
            counts[key >> shift] += 1
        often = Counter(key for key in self.keys if counts[key >> shift] > CROWD)
        found: dict[int, list[int]] = {key: [] for key in often if often[key] > CROWD}
        if found:
            for place, key in enumerate(self.keys):
                if key in found:
                    found[key].append(place)
        return list(found.items())

    def distinct(self, places: list[int], hashes: Sequence[int]) -> list[int]:
        """Drop all but the first of equal patterns, told by `hashes`; return the other places."""
        known: set[int] = set()
        kept = []
        for place in places:
            mark = hashes[self.ids[place]]
            if mark in known:
                self._dropped.add(place)
            else:
                known.add(mark)
                kept.append(place)
        return kept

    def table(self) -> _Table:
        """Return what was filed, without what was dropped."""
        if not self._dropped:
            return _Table(self.keys, self.ids)
        kept = [place not in self._dropped for place in range(len(self.keys))]
        keys = array("I", compress(self.keys, kept))
        return _Table(keys, compress(self.ids, kept))


class _Building:
    """What is known of the patterns while they are filed; `finish` makes the index of it."""

    def __init__(self) -> None:
        # Of the literals of each pattern: equal ones are duplicates.
        self._hashes = array("q")
        self._exact = _Filing()
        # Those with parameters; what follows has one number for each of them, in this order.
        self._others = _Filing()
        self._prefix_keys = array("I")
        self._prefix_lengths = array("I")
        # What all prefixes of a length begin with, by the length.
        self._shared: dict[int, bytes] = {}
        self._suffix_lengths = array("I")
        # Their middle literals, NUL between them, one pattern's after the other's; each one's end.
        self._middles = bytearray()
        self._middle_ends = array("Q", [0])

    def add(self, literals: tuple[str, ...]) -> None:
        """File the next pattern."""
        number = len(self._hashes)
        self._hashes.append(hash(literals))
        first = _octets(literals[0])
        key = crc32(first)
        if len(literals) == 1:
            self._exact.add(key, number)
            return
        shared = self._shared.setdefault(len(first), first[:_SHARED_OCTETS])
        while not first.startswith(shared):
            shared = self._shared[len(first)] = shared[:-1]
        last = _octets(literals[-1])
        self._others.add(crc32(last[::-1], key ^ _SUFFIX_MARK), number)
        self._prefix_keys.append(key)
        self._prefix_lengths.append(len(first))
        self._suffix_lengths.append(len(last))
        if len(literals) > 2:
            self._middles += _octets("\0".join(literals[1:-1]))
        self._middle_ends.append(len(self._middles))

    def finish(self) -> PatternIndex:
        """Return the index."""
        for _, places in self._exact.crowds():
            self._exact.distinct(places, self._hashes)
        crowds = self._crowds()
        prefixes = self._lengths()
        choices, chosen = self._choices({length for length, _, found in prefixes if found is None})
        return PatternIndex(
            _size=len(self._hashes),
            _exact=self._exact.table(),
            _prefixes=prefixes,
            _chosen=chosen,
            _choices=choices,
            _patterns=self._others.table(),
            _crowds=crowds,
        )

    def _middles_of(self, place: int) -> Sequence[bytes]:
        """Return what counts of a pattern's middle literals. A NUL in one only makes it two."""
        found = bytes(self._middles[self._middle_ends[place] : self._middle_ends[place + 1]])
        if b"\0" not in found:
            return [found[:_MIDDLE_OCTETS]] if found else ()
        return sorted({middle[:_MIDDLE_OCTETS] for middle in found.split(b"\0") if middle})

    def _crowds(self) -> dict[int, _Middles]:
        """Spread what crowds there are; return how the middle literals of each may begin."""
        crowds: dict[int, _Middles] = {}
        tried: set[int] = set()
        for _ in range(_MIDDLES):
            fresh = [crowd for crowd in self._others.crowds() if crowd[0] not in tried]
            for key, places in fresh:
                tried.add(key)
                distinct = self._others.distinct(places, self._hashes)
                if len(distinct) > CROWD and (middles := self._spread(key, distinct)):
                    crowds[key] = middles
            if not fresh or b"\0" not in self._middles:
                break  # Nothing is left to spread, or no pattern has a second literal.
        return crowds

    def _spread(self, key: int, places: list[int]) -> _Middles:
        """File those of a crowd that have a middle literal under its rarest instead of `key`.

        Not under one that the whole crowd has, which tells nothing.
        """
        counts = Counter(map(crc32, chain.from_iterable(map(self._middles_of, places))))
        lengths: defaultdict[bytes, set[int]] = defaultdict(set)
        for place in places:
            middles = self._middles_of(place)
            if not middles:
                continue
            rarest = middles[0]
            if len(middles) > 1:
                rarest = min(middles, key=lambda one: (counts[crc32(one)], -len(one)))
            if counts[crc32(rarest)] < len(places):
                self._others.keys[place] = crc32(rarest, key ^ _MIDDLE_MARK)
                lengths[rarest[:1]].add(len(rarest))
        return tuple((first, tuple(sorted(found))) for first, found in sorted(lengths.items()))

    def _lengths(self) -> tuple[_Prefixes, ...]:
        """Return the lengths of prefix, ascending, with what is known of each."""
        pairs = zip(self._prefix_lengths, self._suffix_lengths, strict=True)
        by_prefix: defaultdict[int, list[int]] = defaultdict(list)
        for prefix, suffix in sorted(set(pairs)):
            by_prefix[prefix].append(suffix)
        return tuple(
            (prefix, self._shared[prefix], tuple(found) if len(found) <= _FEW_SUFFIXES else None)
            for prefix, found in by_prefix.items()
        )

    def _choices(self, prefixes: set[int]) -> tuple[tuple[tuple[int, ...], ...], _Table]:
        """For prefixes of these lengths: which lengths of suffix occur with each of them.

        Returns the choices of lengths that there are, and the number of each prefix's choice.
        """
        if not prefixes:
            return (), _Table((), ())
        # A set of lengths is the bits of an integer here, since there may be a million of them.
        found: dict[int, int] = {}
        columns = (self._prefix_keys, self._prefix_lengths, self._suffix_lengths)
        for key, prefix, suffix in zip(*columns, strict=True):
            if prefix in prefixes:
                found[key] = found.get(key, 0) | 1 << suffix
        numbers = {bits: number for number, bits in enumerate(set(found.values()))}
        choices = tuple(
            tuple(length for length in range(bits.bit_length()) if bits >> length & 1)
            for bits in numbers
        )
        return choices, _Table(array("I", found), map(numbers.__getitem__, found.values()))
