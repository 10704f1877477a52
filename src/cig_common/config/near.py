# SPDX-License-Identifier: GPL-3.0-or-later
"""Why no entry matched a URI: the entries that came nearest, and what each of them lacks.

Two ways lead to the nearest ones. A URI that is slightly changed (another scheme, no `+`, another
host of those in the maps) is looked up through the index, however long the maps are. All else is
found by comparing with the entries one by one, and that has a bound: of longer maps a sample is
compared that is spread over all of their length.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase

from cig_common.config.chains import Chain
from cig_common.config.model import Entry, Interface, UriMap
from cig_common.config.patterns import Kind, Pattern, Subject, subject
from cig_common.uri import unescape_dialled, without_port_and_parameters

MAX_NEAR = 5
"""At most so many entries are named."""

_MAX_CANDIDATES = 1000
_MAX_SWAPS = 20
_SWAP_SAMPLE = 2000
_TEL_CARE = frozenset("-.()w")
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


@dataclass(frozen=True, slots=True)
class NearMiss:
    """An entry that did not match, and what it lacks, in a few words.

    `in_use` is False for an entry of a map in which the URI was not looked up at all.
    """

    map_name: str
    entry_name: str
    line: int
    pattern: str
    lacks: str = ""
    in_use: bool = True


@dataclass(frozen=True, slots=True)
class Search:
    """The entries that came nearest; `compared` of `total` were compared one by one."""

    found: tuple[NearMiss, ...]
    compared: int
    total: int


def nearest(chain: Chain, texts: Sequence[str], most: int) -> Search:
    """Look for what nearly matched; `texts` are the forms in which the URI was looked up.

    Compares with all entries one by one if they are at most `most`, else with fewer.
    """
    text = texts[-1]
    ways = (_by_case(chain, text), _by_change(chain, text), _by_comparing(chain, text, most))
    found: dict[tuple[int, int], NearMiss] = {}
    for map_name, entry in itertools.chain.from_iterable(ways):
        place = entry.position.line, entry.position.column
        if place not in found:
            pattern = entry.side(chain.side)
            words = lacks(pattern, text)
            found[place] = NearMiss(map_name, entry.name, place[0], pattern.text, words)
        if len(found) == MAX_NEAR:
            break
    compared = len(range(0, len(chain), _step(chain, most)))
    return Search(tuple(found.values()), compared, len(chain))


def elsewhere(
    maps: Iterable[UriMap], side: Interface, texts: Sequence[str], most: int
) -> Iterator[NearMiss]:
    """Yield, for each map that has one, the first entry that matches in it.

    `maps` are those that the URI was not looked up in, short ones first: all together at most
    `most` entries are compared.
    """
    kind = side.kind
    ready = [subject(text, kind) for text in texts]
    wanted = int(side is Interface.TEL)
    for uri_map in maps:
        for index, written in enumerate(itertools.islice(uri_map.entries.texts(), max(0, most))):
            most -= 1
            if not any(_may_match(written[wanted], text.text) for text in ready):
                continue
            entry = uri_map.entries[index]
            pattern = entry.side(side)
            if any(pattern.match(text) is not None for text in ready):
                place = entry.position.line
                yield NearMiss(uri_map.name, entry.name, place, pattern.text, in_use=False)
                break


def lacks(pattern: Pattern, text: str) -> str:
    """Say in a few words what keeps `pattern` from matching `text`, which it does not match."""
    here = subject(text, pattern.kind)
    if pattern.match(_caseless(here)) is not None:
        return "differs in upper and lower case only"
    for other, words in _changes(text, pattern.kind):
        if pattern.match(subject(other, pattern.kind)) is not None:
            return f"would match {words}"
    own = _own_tail(pattern)
    if own and pattern.text[: -len(own)] and _matches_without(pattern, own, here):
        return f"would match a URI with `{own}`"
    if not pattern.names:
        return f"matches `{pattern.text}` only"
    first, last = pattern.literals[0], pattern.literals[-1]
    needs = []
    if not _fits(here, pattern, (first, "")):
        needs.append(f"`{first}` at the beginning")
    if not _fits(here, pattern, ("", last)):
        needs.append(f"`{last}` at the end")
    return f"needs {' and '.join(needs) or _inner_need(pattern, here)}"


def _inner_need(pattern: Pattern, here: Subject) -> str:
    """Name the literal that is missing between a beginning and an end that both fit."""
    literals = pattern.literals
    for count in range(1, len(literals)):
        if not _fits(here, pattern, (*literals[:count], literals[-1])):
            left = "{" + pattern.names[count - 2] + "}" if count > 1 else f"`{literals[0]}`"
            missing = literals[count - 1] if count > 1 else literals[-1]
            return f"`{missing}` after {left}"
    return "more text"


def _fits(here: Subject, pattern: Pattern, literals: tuple[str, ...]) -> bool:
    names = tuple(f"p{number}" for number in range(len(literals) - 1))
    return Pattern("", pattern.kind, literals, names).match(here) is not None


def _caseless(here: Subject) -> Subject:
    """Return a subject that compares without regard to case from its first character on."""
    return Subject(here.text, here.text.translate(_LOWER), 0)


def _changes(text: str, kind: Kind) -> Iterator[tuple[str, str]]:
    """Yield what the URI might have been meant to be, each with the words for `would match …`."""
    scheme, colon, rest = text.partition(":")
    before = scheme + colon
    if kind is Kind.SIP and scheme.lower() in ("sip", "sips"):
        other = "sips:" if scheme.lower() == "sip" else "sip:"
        yield other + rest, f"with `{other}` in place of `{before}`"
        if "%" in rest and (plain := unescape_dialled(rest)) != rest:
            yield before + plain, "without `%` escapes"
    if rest.startswith("+"):
        yield before + rest[1:], "without the `+`"
    elif rest[:1].isdigit():
        yield f"{before}+{rest}", "with a `+` before the number"
        if rest.startswith("00"):
            yield f"{before}+{rest[2:]}", "with `+` in place of `00`"
    if kind is Kind.TEL:
        number, semicolon, extension = text.partition(";")
        if semicolon:
            yield number, f"without `;{extension}`"
        else:
            yield f"{text};", "with a `;` after the number"


def _own_tail(pattern: Pattern) -> str:
    """Return the port and parameters that a SIP pattern ends in, or nothing."""
    if pattern.kind is not Kind.SIP:
        return ""
    return pattern.text[len(without_port_and_parameters(pattern.text)) :]


def _matches_without(pattern: Pattern, own: str, here: Subject) -> bool:
    last = pattern.literals[-1]
    if not last.endswith(own):
        return False
    literals = (*pattern.literals[:-1], last[: -len(own)])
    return Pattern("", pattern.kind, literals, pattern.names).match(here) is not None


def _by_case(chain: Chain, text: str) -> Iterator[tuple[str, Entry]]:
    ready = _caseless(subject(text, chain.side.kind))
    for number in itertools.islice(chain.candidates(text), _MAX_CANDIDATES):
        use, index = chain.locate(number)
        entry = use.map.entries[index]
        if entry.side(chain.side).match(ready) is not None:
            yield use.map.name, entry


def _by_change(chain: Chain, text: str) -> Iterator[tuple[str, Entry]]:
    changed = [other for other, _ in _changes(text, chain.side.kind)]
    for other in (*changed, *_swaps(chain, text)):
        if (found := chain.first(other)) is not None:
            use, entry, _ = found
            yield use.map.name, entry


def _swaps(chain: Chain, text: str) -> list[str]:
    """Return the URI with other hosts, or as an extension of other numbers, of those in the maps.

    Those are taken from a sample of the entries: a long map has few hosts.
    """
    others: dict[str, None] = {}
    for _, written in _sample(chain, _SWAP_SAMPLE):
        if chain.side is Interface.SIP:
            head, at, _ = text.rpartition("@")
            host = written.rpartition("@")[2]
            if at and "{" not in host:
                others[f"{head}@{host}"] = None
        else:
            extension = text.partition(";")[2]
            number, semicolon, _ = written.partition(";")
            if extension and semicolon and "{" not in number:
                others[f"{number};{extension}"] = None
    return list(others)[:_MAX_SWAPS]


def _by_comparing(chain: Chain, text: str, most: int) -> Iterator[tuple[str, Entry]]:
    """Give the entries whose text is nearest to the URI's."""
    lower = text.lower()
    scored = (
        (_distance(written.lower(), lower), number) for number, written in _sample(chain, most)
    )
    for _, number in heapq.nsmallest(MAX_NEAR, scored):
        use, index = chain.locate(number)
        yield use.map.name, use.map.entries[index]


def _sample(chain: Chain, most: int) -> Iterator[tuple[int, str]]:
    """Give the ids and patterns of all entries; of more than `most`, of a tenth of that."""
    wanted = int(chain.side is Interface.TEL)
    step = _step(chain, most)
    if step == 1:
        texts = (pair[wanted] for use in chain.uses for pair in use.map.entries.texts())
        yield from enumerate(texts)
        return
    for number in range(0, len(chain), step):
        use, index = chain.locate(number)
        yield number, use.map.entries[index].side(chain.side).text


def _step(chain: Chain, most: int) -> int:
    """Return how far the entries of a sample are apart: one asked for alone costs ten in a row."""
    return 1 if len(chain) <= most else -(-10 * len(chain) // most)


def _distance(pattern: str, text: str) -> int:
    """Count the characters of the pattern's beginning and end that the text does not have."""
    head, brace, rest = pattern.partition("{")
    if not brace:
        common = _common(head, text)
        return max(len(head), len(text)) - common - _common(head[common:][::-1], text[::-1])
    tail = rest.rpartition("}")[2]
    return (
        len(head) - _common(head, text) + len(tail) - _common(tail[::-1], text[-len(tail) :][::-1])
    )


def _common(one: str, other: str) -> int:
    """Return how many characters two texts have in common at their beginning."""
    if other.startswith(one):
        return len(one)
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


def _may_match(pattern: str, text: str) -> bool:
    """Tell cheaply whether a pattern, as written, may match; errs on the side of yes."""
    lower = text.lower()
    head, brace, rest = pattern.lower().partition("{")
    tail = rest.rpartition("}")[2]
    if head.startswith("tel:") and not _TEL_CARE.isdisjoint(head + tail):
        return True  # it is not compared as it is written
    return lower.startswith(head) and (not brace or lower.endswith(tail))
