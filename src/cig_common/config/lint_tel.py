# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a pattern can be a tel URI at all, whatever its parameters stand for.

The strict form (see `TelUri`) is `tel:+`, 1 to 15 digits, optionally `;` and up to 64 dial
characters. It is read character by character, and how far a reading has come is one number:

    0 to 4    that many characters of `tel:+` were read
    5 + n     and then n digits, 0 to 15
    21 + n    and then `;` and n dial characters, 0 to 64

A reading only ever goes forward, and any later number can be reached by some text. So a parameter
takes a reading at `n` to all numbers from `n` on, and a literal moves each reading along.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cig_common.config.patterns import Kind, Pattern, PatternError, compile_pattern

_HEAD = "tel:+"
_DIGITS = frozenset("0123456789")
_DIAL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789*#+._-")
_NUMBER = len(_HEAD)
_EXTENSION = _NUMBER + 16
_LAST = _EXTENSION + 64
_COMPLETE = range(_NUMBER + 1, _LAST + 1)


def may_be_tel(pattern: Pattern, filled: Collection[str]) -> bool:
    """Tell whether `pattern` is a tel URI for some values of the parameters that are `filled`.

    The others are empty. Separators do not count and `w` is `;` where the pattern begins with
    `tel:+`, as everywhere (see `canonical_tel`).
    """
    if pattern.kind is not Kind.TEL and pattern.literals[0].startswith(_HEAD):
        try:
            pattern = compile_pattern(pattern.text, Kind.TEL)
        except PatternError:
            return False  # A space: no tel URI has one.
    return _may_be(pattern.literals, [name in filled for name in pattern.names])


def _may_be(literals: Sequence[str], open_after: Sequence[bool]) -> bool:
    readings = _read({0}, literals[0])
    for is_open, literal in zip(open_after, literals[1:], strict=True):
        if is_open and readings:
            readings = set(range(min(readings), _LAST + 1))
        readings = _read(readings, literal)
    return any(reading in _COMPLETE for reading in readings)


def _read(readings: set[int], literal: str) -> set[int]:
    for char in literal:
        readings = {after for at in readings if (after := _next(at, char)) is not None}
    return readings


def _next(at: int, char: str) -> int | None:
    """Return how far a reading at `at` has come after `char`; None where it ends there."""
    if at < _NUMBER:
        return at + 1 if char == _HEAD[at] else None
    if at < _EXTENSION:
        if char == ";":
            return _EXTENSION if at > _NUMBER else None
        return at + 1 if char in _DIGITS and at < _EXTENSION - 1 else None
    return at + 1 if char in _DIAL and at < _LAST else None
