# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks words up: a statement by its keyword, and the name that a wrong one is a slip of."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from cig_common.config.statements import STATEMENTS, Context, Spec
from cig_common.config.syntax import Word

_MAX_NAME = 64
_MAX_KNOWN = 2000
_MAX_LISTED = 8

# What other programs, or other parts of the manual, call it.
_OTHER_NAMES = {
    "listen": "bind",
    "address": "bind",
    "uif": "tel",
    "umsg": "tel",
    "sif": "sip",
    "rule": "entry",
    "entry": "rule",
}


def accepts(context: Context, word: Word) -> bool:
    """Tell whether a statement or block that begins with `word` may stand in `context`."""
    return not word.quoted and any(spec.keywords[0] == word.text for spec in STATEMENTS[context])


def find(word: Word, context: Context) -> tuple[Spec | None, bool]:
    """Return the statement that `word` begins in `context` and whether the word is exactly that.

    A word that is one slip away from a keyword finds its statement too.
    """
    if word.quoted:
        return None, False
    for spec in STATEMENTS[context]:
        if spec.keywords[0] == word.text:
            return spec, True
    text = word.text[:_MAX_NAME].rstrip(":=,")
    for spec in STATEMENTS[context]:
        if is_slip(text, spec.keywords[0]) or is_slip(text, spec.keyword):
            return spec, False
    first = {spec.keywords[0]: spec for spec in STATEMENTS[context]}
    if text.lower() in _OTHER_NAMES:
        return first.get(_OTHER_NAMES[text.lower()]), False
    if homes(word, context):
        return None, False
    near = get_close_matches(text, list(first), n=1, cutoff=0.75)
    return (first[near[0]] if near else None), False


def homes(word: Word, context: Context) -> tuple[Context, ...]:
    """Return where a keyword that has no place in `context` has one."""
    if word.quoted or accepts(context, word):
        return ()
    return tuple(home for home in STATEMENTS if accepts(home, word))


def slip(name: str, known: Collection[str]) -> str | None:
    """Return "did you mean …?" where a known name is one slip away."""
    if len(known) > _MAX_KNOWN:
        return None
    return next((f"did you mean `{other}`?" for other in known if is_slip(name, other)), None)


def undefined(name: str, what: str, known: Collection[str], others: Collection[str]) -> str | None:
    """Return a hint about the name of a `what` that is not among the known ones.

    `others` are the names of the other kind of map.
    """
    hint = slip(name, known)
    if hint is not None:
        return hint
    if name in others:
        other = "map" if what == "translate_map" else "translate_map"
        return f"`{name}` is a {other}; a {what} is needed here"
    if not known:
        return f"the file defines no {what}"
    return f"expected {choice(known)}" if len(known) <= _MAX_LISTED else None


def is_slip(name: str, other: str) -> bool:
    """Tell whether two names differ by one slip of the fingers.

    That is one letter that is missing, too many or another, two letters swapped, or any number of
    letters in the wrong case and of dashes, underscores, dots and spaces.
    """
    if name == other or abs(len(name) - len(other)) > 4 or len(name) > _MAX_NAME:
        return False
    left, right = _plain(name), _plain(other)
    if left == right:
        return True
    if abs(len(left) - len(right)) > 1 or min(len(left), len(right)) < 2:
        return False
    left, right = _unlike(left, right)
    left, right = _unlike(left[::-1], right[::-1])
    if len(left) <= 1 and len(right) <= 1:
        # With names of two letters nearly everything would be a slip of everything.
        return len(name) > 2 or len(other) > 2
    return len(left) == 2 and left == right[::-1]


def choice(names: Iterable[str]) -> str:
    """Return `a`, `b` or `c`, each in backquotes."""
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def _unlike(left: str, right: str) -> tuple[str, str]:
    """Return what is left of two names without what both begin with."""
    same = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        same += 1
    return left[same:], right[same:]


def _plain(name: str) -> str:
    return name.lower().translate(_SEPARATORS)


_SEPARATORS = str.maketrans("", "", "-_. ")
