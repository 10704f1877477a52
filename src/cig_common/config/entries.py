# SPDX-License-Identifier: GPL-3.0-or-later
"""The entries of a map, kept as text and decoded when one is asked for.

A map may have a million entries. As objects they would take gigabytes, and every collection of
garbage would walk over them. So a map keeps the text that they stand in and, of each, the place:
three numbers. `RUN` is the terminal of the grammar that takes a whole run of well-formed entries,
comments between and in them included, as one token; what it leaves over is malformed and is read
statement by statement, so that the mistake is told where it is.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, overload

from cig_common.config.model import Entry, Interface, Position
from cig_common.config.patterns import (
    PLAIN,
    Kind,
    Pattern,
    PatternError,
    Subject,
    compile_pattern,
    match_pattern,
    split_literals,
    split_pattern,
)

# Nothing here backtracks: each repetition is possessive or in an atomic group. (Possessive groups
# with alternatives in them go wrong in Python before 3.11.5; possessive characters do not.)
# Nearly every gap is one space or nothing, so that is tried first.
_GAP = r"(?> ?+(?![\s\/])|(?:\s++|\/\/[^\n]*+|\/\*[\s\S]*?\*\/)*)"
_SPACE = rf"(?=[\s\/]){_GAP}"
_HEAD = rf"entry{_SPACE}[A-Za-z][A-Za-z0-9_.-]*+{_SPACE}"
_SIDE = rf'{_GAP}"[^"\n]*+"{_GAP}'
_RUN_LENGTH = 1000
_ONE = f"{_HEAD}(?>sip{_SIDE}tel{_SIDE}|tel{_SIDE}sip{_SIDE});"
# Begins with `entry` itself: a gap in front would be walked over again at each of its comments.
RUN = rf"(?>{_ONE}(?:{_GAP}{_ONE}){{0,{_RUN_LENGTH}}})"
"""What a run of entries looks like, as a regular expression without groups.

A longer run is several: what a repetition keeps for each of its rounds stays small so.
"""

_ENTRY = re.compile(
    rf"{_GAP}(entry){_SPACE}([A-Za-z][A-Za-z0-9_.-]*+){_SPACE}"
    rf'(sip|tel){_GAP}"([^"\n]*+)"{_GAP}(?:sip|tel){_GAP}"([^"\n]*+)"{_GAP};'
)
_WORDS = re.compile(rf'{_GAP}([A-Za-z0-9_.-]++|"[^"\n]*+"|;)')


_SIP, _TEL = Interface.SIP, Interface.TEL


@dataclass(frozen=True, slots=True)
class EntryRun:
    """A run of well-formed entries: its text, and the line and column where that begins."""

    text: str
    line: int
    column: int

    def split(self) -> Iterator[list[tuple[str, int, int]]]:
        """Yield each entry's words, its `;` included, with the line and column of each."""
        line, column, done = self.line, self.column, 0
        words: list[tuple[str, int, int]] = []
        for found in _WORDS.finditer(self.text):
            start = found.start(1)
            line, column = _advance(self.text, done, start, line, column)
            done = start
            words.append((found[1], line, column))
            if found[1] == ";":
                yield words
                words = []


_Places: TypeAlias = "tuple[array[int], array[int], array[int]]"


class Entries(Sequence[Entry]):
    """The entries of a map in the order of the file. Immutable; an Entry is made when asked for."""

    __slots__ = ("_columns", "_lines", "_offsets", "_text")

    def __init__(self, text: str = "", places: _Places | None = None) -> None:
        """Take the text and, of each entry, the offset in it and the line and column in the file.

        Use `read` to make one of what the parser found.
        """
        self._text = text
        self._offsets, self._lines, self._columns = places or (array("I"), array("I"), array("I"))

    @classmethod
    def read(
        cls, runs: Sequence[EntryRun], refuse: Callable[[Position, PatternError], None]
    ) -> Entries:
        """Take the runs of one map; `refuse` is told of each pattern that cannot be, and where.

        An entry with such a pattern is left out.
        """
        places = array("I"), array("I"), array("I")
        base = 0
        for run in runs:
            _scan(run, base, places, refuse)
            base += len(run.text)
        return cls("".join(run.text for run in runs), places)

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Entry, ...]: ...
    def __getitem__(self, index: int | slice) -> Entry | tuple[Entry, ...]:
        if isinstance(index, slice):
            return tuple(self[at] for at in range(*index.indices(len(self))))
        return self.written(index).entry()

    def __iter__(self) -> Iterator[Entry]:
        return (self[index] for index in range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Tell whether both are the same entries at the same places."""
        if not isinstance(other, Entries):
            return NotImplemented
        if self._text == other._text and self._offsets == other._offsets:
            return self._lines == other._lines and self._columns == other._columns
        return len(self) == len(other) and all(map(Entry.__eq__, self, other))

    def __hash__(self) -> int:
        """Return a hash of the first entries: enough to tell maps apart."""
        return hash((len(self), self[:8]))

    def __repr__(self) -> str:
        return f"<{len(self)} entries>"

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield each entry's two patterns as written, the sip side first."""
        for offset in self._offsets:
            found = _ENTRY.match(self._text, offset)
            assert found is not None
            side, first, second = found.group(3, 4, 5)
            yield (first, second) if side == "sip" else (second, first)

    def literals(self, side: Interface) -> Iterator[tuple[str, ...]]:
        """Yield the literals of each entry's pattern on one side (see `Pattern.literals`)."""
        kind, text, name = side.kind, self._text, side.value
        for offset in self._offsets:
            found = _ENTRY.match(text, offset)
            assert found is not None
            yield split_literals(found[4 if found[3] == name else 5], kind)

    def written(self, index: int) -> Written:
        """Return one entry as it is written, of which no more is decoded than is asked for."""
        found = _ENTRY.match(self._text, self._offsets[index])
        assert found is not None
        return Written(found, self._lines[index], self._columns[index])


class Written:
    """One entry as it is written. `line` and `column` are its place in the file."""

    __slots__ = ("_found", "column", "line")

    def __init__(self, found: re.Match[str], line: int, column: int) -> None:
        self._found = found
        self.line = line
        self.column = column

    @property
    def name(self) -> str:
        """The entry's name."""
        return self._found[2]

    @property
    def position(self) -> Position:
        """The entry's place in the file."""
        return Position(self.line, self.column)

    def match(self, side: Interface, text: Subject) -> dict[str, str] | None:
        """Return what the parameters of one side caught, or None if it does not match."""
        found = self._found
        if side is _SIP:
            return match_pattern(found[4 if found[3] == "sip" else 5], Kind.SIP, text)
        return match_pattern(found[4 if found[3] == "tel" else 5], Kind.TEL, text)

    def pattern(self, side: Interface) -> Pattern:
        """Return the pattern of one side."""
        found = self._found
        if side is _SIP:
            kind, group = Kind.SIP, 4 if found[3] == "sip" else 5
        else:
            kind, group = Kind.TEL, 4 if found[3] == "tel" else 5
        end = found.start(group)
        line, column = _advance(found.string, found.pos, end, self.line, self.column)
        return split_pattern(found[group], kind, line, column)

    def entry(self) -> Entry:
        """Return all of it."""
        return Entry(self.name, self.pattern(_SIP), self.pattern(_TEL), self.position)


def _advance(text: str, start: int, end: int, line: int, column: int) -> tuple[int, int]:
    """Return the line and column of offset `end`, given those of offset `start` before it."""
    newlines = text.count("\n", start, end)
    if newlines:
        return line + newlines, end - text.rfind("\n", start, end)
    return line, column + end - start


def _scan(
    run: EntryRun, base: int, places: _Places, refuse: Callable[[Position, PatternError], None]
) -> None:
    """Append the place of each entry whose patterns can be; `base` is the run's own offset."""
    text, line, column, done = run.text, run.line, run.column, 0
    offsets, lines, columns = places
    plain = PLAIN.fullmatch
    for found in _ENTRY.finditer(text):
        start = found.start(1)
        newlines = text.count("\n", done, start)
        if newlines:
            line += newlines
            column = start - text.rfind("\n", done, start)
        else:
            column += start - done
        done = start
        first, second = found.group(4, 5)
        if not (plain(first) and plain(second)) and not _can_be(found, line, column, refuse):
            continue
        offsets.append(base + start)
        lines.append(line)
        columns.append(column)


def _can_be(
    found: re.Match[str], line: int, column: int, refuse: Callable[[Position, PatternError], None]
) -> bool:
    """Tell whether both patterns of an entry can be; `line` and `column` are its place."""
    good = True
    for group in (4, 5):
        kind = Kind.SIP if (found[3] == "sip") is (group == 4) else Kind.TEL
        try:
            compile_pattern(found[group], kind)
        except PatternError as error:
            start, end = found.start(1), found.start(group)
            refuse(Position(*_advance(found.string, start, end, line, column)), error)
            good = False
    return good
