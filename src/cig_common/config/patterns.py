# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns: literal text with `{name}` parameters, matched in linear time.

Each parameter takes the shortest run that lets the rest match, from the left. With literal text
between the parameters this needs no backtracking: the first literal is fixed at the start, the
last one at the end, and each one between them is taken where it first occurs after the one
before. Taking an earlier place never leaves less room for the rest.

A URI's scheme and host compare without regard to case, its user part with (RFC 3261 section
19.1.4), so a text is looked at as two regions: exact up to `Subject.host_start`, ASCII
lower case from there on (and in the scheme).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from string import ascii_lowercase, ascii_uppercase

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_TEL_SEPARATORS = str.maketrans("", "", "-.()")
_PARAMETER = re.compile(r"\{([^}]*)\}")
_TEL_CARE = re.compile(r"[-.()w]")

GAP = "\0"
"""Stands for what a parameter catches: a character that no pattern and no URI holds."""

PLAIN = re.compile(
    r"[!-z|~]*+(?:\{([A-Za-z][A-Za-z0-9_.-]*+)\}[!-z|~]*+"
    r"(?:\{(?!\1\})[A-Za-z][A-Za-z0-9_.-]*+\}[!-z|~]*+)?)?"
)
"""Most patterns that can be, told fast: printable ASCII with at most two parameters."""


class Kind(Enum):
    """What a pattern describes, which says how it compares."""

    SIP = "sip"
    TEL = "tel"
    TEXT = "text"


class PatternError(ValueError):
    """A pattern that cannot be. `offset` counts characters from the pattern's start."""

    def __init__(self, message: str, offset: int, hint: str | None = None) -> None:
        self.message = message
        self.offset = offset
        self.hint = hint
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Subject:
    """A text made ready to be matched: captures come from `text`, comparing runs on `folded`.

    Both have the same length. From `host_start` on `folded` is in lower case.
    """

    text: str
    folded: str
    host_start: int


def subject(text: str, kind: Kind) -> Subject:
    """Prepare `text` (for TEL: already canonical, see `canonical_tel`) for matching."""
    start, scheme = 4, text[:4]
    if kind is Kind.TEXT:
        start, scheme = 0, ""
    elif scheme not in ("sip:", "tel:"):
        found = _SCHEME.match(text)
        start, scheme = (found.end(), _lower(found[0])) if found else (0, "")
    if kind is not Kind.SIP:
        return Subject(text, scheme + text[start:], len(text))
    # A SIP URI without `@` has no user part: all of it is host (RFC 3261 section 19.1.1).
    host_start = text.find("@") + 1 or start
    folded = scheme + text[start:host_start] + _lower(text[host_start:])
    return Subject(text, folded, host_start)


@dataclass(frozen=True, slots=True)
class Pattern:
    """`literals[0] {names[0]} literals[1] … {names[n-1]} literals[n]`, and where it stands.

    `line` and `column` (from 1) are the place of the pattern's first character.
    """

    text: str
    kind: Kind
    literals: tuple[str, ...]
    names: tuple[str, ...]
    line: int = 1
    column: int = 1

    def match(self, subject: Subject) -> dict[str, str] | None:
        """Return what each parameter caught, or None. Linear in the subject's length."""
        return _match(self.literals, self.names, subject)

    def substitute(self, values: Mapping[str, str]) -> str:
        """Return the pattern's text with `values` in place; a name without a value is empty."""
        parts = [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            parts += (values.get(name, ""), literal)
        return "".join(parts)


def compile_pattern(text: str, kind: Kind, line: int = 1, column: int = 1) -> Pattern:
    """Take a pattern apart. Raises PatternError with the offset of what is wrong in it."""
    if not text.isprintable() or (" " in text and kind is not Kind.TEXT):
        for offset, char in enumerate(text):
            if not char.isprintable() or (char == " " and kind is not Kind.TEXT):
                raise PatternError(*_unfit(char, offset))
    _check_parameters(text)
    return split_pattern(text, kind, line, column)


def _unfit(char: str, offset: int) -> tuple[str, int, str]:
    """Return what PatternError says of a character that no pattern may have."""
    if char == " ":
        return "a space in a URI", offset, "remove it, also between `{` and `}`"
    hint = "remove it; it does not show, and no address has it"
    return f"the character U+{ord(char):04X} in a pattern", offset, hint


def split_pattern(text: str, kind: Kind, line: int = 1, column: int = 1) -> Pattern:
    """Take a pattern apart that `compile_pattern` has taken before."""
    parts = _PARAMETER.split(text)
    literals = _literals(parts, text, kind)
    return Pattern(text, kind, literals, tuple(parts[1::2]), line, column)


def match_pattern(text: str, kind: Kind, subject: Subject) -> dict[str, str] | None:
    """Match a pattern that `compile_pattern` has taken before, as `Pattern.match` does."""
    parts = _PARAMETER.split(text)
    literals = _literals(parts, text, kind)
    return _match(literals, parts[1::2], subject)


def split_literals(text: str, kind: Kind) -> tuple[str, ...]:
    """Return the literals of a pattern that `compile_pattern` has taken before."""
    return _literals(_PARAMETER.split(text), text, kind)


def _literals(parts: list[str], text: str, kind: Kind) -> tuple[str, ...]:
    """Return the literals, in canonical form, of a pattern whose text was split into `parts`."""
    literals = parts[::2]
    return tuple(literals) if _is_canonical(text, kind) else _canonical(literals, kind)


def _is_canonical(text: str, kind: Kind) -> bool:
    """Tell of most patterns, or URIs, that are in canonical form that they are."""
    if kind is Kind.SIP:
        return text.startswith(("sip:", "sips:"))
    return kind is Kind.TEXT or (text.startswith("tel:") and not _TEL_CARE.search(text))


def _canonical(literals: list[str], kind: Kind) -> tuple[str, ...]:
    """Bring the literals into the form in which `subject` and `canonical_tel` bring texts."""
    if kind is Kind.TEL:
        literals = _canonical_tel_literals(literals)
    if kind is not Kind.TEXT and (scheme := _SCHEME.match(literals[0])):
        literals[0] = _lower(scheme[0]) + literals[0][scheme.end() :]
    return tuple(literals)


def generic(literals: tuple[str, ...], kind: Kind) -> Subject:
    """Return a text that stands for all that a pattern with these literals matches.

    Each parameter is one character, NUL, that no literal of a pattern holds. So another pattern
    that matches this text finds each of its literals inside one of these, in order, and finds
    them again in every text that these literals match: there what the parameters caught stands
    instead of the NULs, and a parameter of the other pattern takes that as well.

    How characters compare must not be better here than in any of those texts. Where they compare
    exactly here, the two literals are equal there too, folded or not. They may compare folded only
    where they do so in every such text, and a host begins after the text's first `@`: surely
    after a literal `@`, since a caught one can only come earlier. Without a literal `@` that is
    known of a pattern without parameters alone.
    """
    text = GAP.join(literals)
    if kind is Kind.SIP and len(literals) > 1 and "@" not in text:
        return Subject(text, text, len(text))
    return subject(text, kind)


def canonical_tel(text: str) -> str:
    """Return a tel URI without visual separators, with `;` for the `w` that ends the number.

    RFC 3966 section 5.1.1 for the separators; the manual, Overview, for `w`. What stands after
    the first `;` stays as it is. A text that is no tel URI is returned unchanged.
    """
    if _is_canonical(text, Kind.TEL):
        return text
    scheme = _SCHEME.match(text)
    if scheme is None or _lower(scheme[0]) != "tel:":
        return text
    rest = text[scheme.end() :]
    cut = min((at for at in (rest.find(";"), rest.find("w")) if at >= 0), default=len(rest))
    number, tail = rest[:cut].translate(_TEL_SEPARATORS), rest[cut:]
    return "tel:" + number + (";" + tail[1:] if tail else "")


def _check_parameters(text: str) -> None:
    names: set[str] = set()
    position = 0
    while True:
        opening, closing = text.find("{", position), text.find("}", position)
        if opening < 0 or 0 <= closing < opening:
            if closing >= 0:
                raise PatternError("`}` without a `{` before it", closing)
            return
        if closing < 0:
            raise PatternError("`{` without its `}`", opening, "write a parameter as {name}")
        name = text[opening + 1 : closing]
        if not NAME.fullmatch(name):
            hint = "a name is a letter, then letters, digits, `_`, `-` or `.`"
            raise PatternError(f"`{{{name}}}` is not a parameter", opening, hint)
        if name in names:
            hint = "give the second one another name"
            raise PatternError(f"parameter `{name}` stands twice on one side", opening, hint)
        names.add(name)
        position = closing + 1


def _canonical_tel_literals(literals: list[str]) -> list[str]:
    """Bring the literals into the form that `canonical_tel` gives the texts they meet."""
    done: list[str] = []
    for index, literal in enumerate(literals):
        head = ""
        if index == 0 and (scheme := _SCHEME.match(literal)):
            if _lower(scheme[0]) != "tel:":
                return literals
            head, literal = scheme[0], literal[scheme.end() :]
        cut = min((at for at in (literal.find(";"), literal.find("w")) if at >= 0), default=-1)
        if cut >= 0:
            number = literal[:cut].translate(_TEL_SEPARATORS)
            return [*done, f"{head}{number};{literal[cut + 1 :]}", *literals[index + 1 :]]
        done.append(head + literal.translate(_TEL_SEPARATORS))
    return done


def _match(
    literals: tuple[str, ...], names: Sequence[str], subject: Subject
) -> dict[str, str] | None:
    first, last = literals[0], literals[-1]
    text = subject.text
    if not names:
        return {} if len(text) == len(first) and _stands_at(subject, first, 0) else None
    stop = len(text) - len(last)
    if len(first) > stop or not _stands_at(subject, first, 0):
        return None
    if last and not _stands_at(subject, last, stop):
        return None
    position = len(first)
    caught: dict[str, str] = {}
    if len(names) > 1:
        for name, literal in zip(names, literals[1:-1], strict=False):
            found = _find(subject, literal, position, stop)
            if found < 0:
                return None
            caught[name] = text[position:found]
            position = found + len(literal)
    caught[names[-1]] = text[position:stop]
    return caught


def _lower(text: str) -> str:
    """Return `text` with A to Z in lower case and all else, so its length too, as it is."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


def _stands_at(subject: Subject, literal: str, position: int) -> bool:
    """Compare `literal` with the text at `position`, exactly or folded as the region asks."""
    cut = subject.host_start - position
    if cut < len(literal):
        literal = literal[:cut] + _lower(literal[cut:]) if cut > 0 else _lower(literal)
    return subject.folded.startswith(literal, position)


def _find(subject: Subject, literal: str, start: int, stop: int) -> int:
    """Return the first place in [start, stop) where `literal` stands whole, or -1.

    Three kinds of places, in the order in which they come: before the host, across its
    beginning (only where the literal has the character that begins it), in the host.
    """
    host = subject.host_start
    found = subject.folded.find(literal, start, min(stop, host))
    if found >= 0:
        return found
    if 0 < host <= stop:
        edge = literal.rfind(subject.folded[host - 1])
        while edge >= 0:
            place = host - 1 - edge
            if start <= place <= stop - len(literal) and _stands_at(subject, literal, place):
                return place
            edge = literal.rfind(subject.folded[host - 1], 0, edge)
    return subject.folded.find(_lower(literal), max(start, host), stop)
