# SPDX-License-Identifier: GPL-3.0-or-later
"""From maps to translate_maps: what a configuration whose texts went by SIP needs for mailboxes.

The rules, by which the manual's chapter Migration does it by hand:

1. A `read` mailbox stands for what came in on `sip`: `map_to` is made of the maps by which a
   to-URI from there is found, `map_from` of those for a from-URI. A `write` mailbox stands for what
   came in on `tel`.
2. The maps that one question runs through become one translate_map, with their entries in order:
   the side that is matched is `match`, the other one `translation`.
3. It has the map's name. Where a map is used both ways the second one has `_to_tel` or `_to_sip`
   behind it, where the name is taken a number.
4. An entry whose sides have each other's schemes (the manual prints two) is taken the other way
   round.
5. What cannot be carried over is told: a translate_map tells upper and lower case apart in hosts
   too, and does not try an address once more without port and parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from cig_common.config.chains import Chain
from cig_common.config.errors import printable
from cig_common.config.model import Configuration, Entry, Interface, MailboxKind, UriMap
from cig_common.config.patterns import Pattern

_LONGEST_NAME = 64


class MigrationError(ValueError):
    """A configuration of which no mailboxes can be made. The text says why."""


@dataclass(frozen=True, slots=True)
class NewMap:
    """A translate_map to write: of these maps, what stands on `side` being matched."""

    name: str
    maps: tuple[UriMap, ...]
    side: Interface

    def rules(self) -> Iterator[tuple[Pattern, Pattern]]:
        """Yield what is matched and what comes out, entry by entry."""
        for entry in chain.from_iterable(uri_map.entries for uri_map in self.maps):
            side = self.side.other if is_swapped(entry) else self.side
            yield entry.side(side), entry.side(side.other)


@dataclass(frozen=True, slots=True)
class NewMailbox:
    """A mailbox to write."""

    kind: MailboxKind
    path: str
    map_from: NewMap
    map_to: NewMap


@dataclass(frozen=True, slots=True)
class Migration:
    """What is to be added to a configuration, and what of its maps cannot be carried over."""

    filename: str
    maps: tuple[NewMap, ...]
    mailboxes: tuple[NewMailbox, ...]
    notes: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """Yield the lines to add, in the language of cig.conf."""
        yield f"// Text messages, as the maps of {printable(self.filename)} have it."
        for made in self.maps:
            yield ""
            yield f"translate_map {made.name} {{"
            for match, translation in made.rules():
                yield from _rule(match, translation)
            yield "}"
        yield ""
        yield "mailboxes {"
        for box in self.mailboxes:
            yield f"    {box.kind} {{"
            yield f'        path "{box.path}";'
            yield f"        map_from translate_map {box.map_from.name};"
            yield f"        map_to translate_map {box.map_to.name};"
            yield "    }"
        yield "}"


def migrate(config: Configuration, read_path: str, write_path: str) -> Migration:
    """Make the mailboxes, at these paths, of a configuration that has none.

    Raises MigrationError.
    """
    if config.mailboxes:
        line = min(box.position.line for box in config.mailboxes)
        raise MigrationError(f"it has mailboxes already, the first in line {line}")
    named = _Names(config)
    # The extension maps first: where a map is used both ways, its name stays with that use.
    to = {side: named(config.to_chain(side)) for side in Interface}
    sender = {side: named(config.from_chain(side)) for side in Interface}
    boxes, notes = [], []
    for kind, path, side in (
        (MailboxKind.READ, read_path, Interface.SIP),
        (MailboxKind.WRITE, write_path, Interface.TEL),
    ):
        map_from, map_to = sender[side], to[side]
        if map_from is not None and map_to is not None:
            boxes.append(NewMailbox(kind, path, map_from, map_to))
        else:
            notes.append(f"no `{kind}` mailbox: no map routes what comes in on `{side}`")
    if not boxes:
        raise MigrationError("its interfaces name no maps that could be carried over")
    used = {made.name: made for box in boxes for made in (box.map_from, box.map_to)}
    maps = tuple(sorted(used.values(), key=_place))
    if not config.sip.messaging:
        notes.append("it has no `messaging true;`: so far no texts passed by its maps")
    notes += chain.from_iterable(map(_notes, maps))
    return Migration(config.filename, maps, tuple(boxes), tuple(notes))


def is_swapped(entry: Entry) -> bool:
    """Tell whether an entry has a tel URI on its sip side and a SIP URI on its tel side."""
    sip, tel = entry.sip.literals[0].lower(), entry.tel.literals[0].lower()
    return sip.startswith("tel:") and tel.startswith(("sip:", "sips:"))


class _Names:
    """Makes translate_maps of chains, each of which gets a name of its own."""

    def __init__(self, config: Configuration) -> None:
        self._taken = {made.name for made in config.translate_maps}
        self._made: dict[tuple[tuple[str, ...], Interface], NewMap] = {}

    def __call__(self, asked: Chain) -> NewMap | None:
        """Return the translate_map that stands for a chain; None for one without maps."""
        maps = tuple(use.map for use in asked.uses)
        if not maps:
            return None
        key = tuple(uri_map.name for uri_map in maps), asked.side
        if key not in self._made:
            name = self._free("_".join(key[0]), asked.side.other)
            self._made[key] = NewMap(name, maps, asked.side)
        return self._made[key]

    def _free(self, wanted: str, gives: Interface) -> str:
        wanted = wanted[:_LONGEST_NAME]
        name, number = wanted, 1
        while name in self._taken:
            more = "" if number == 1 else f"_{number}"
            name, number = f"{wanted}_to_{gives}{more}", number + 1
        self._taken.add(name)
        return name


def _place(made: NewMap) -> tuple[int, int, str]:
    position = made.maps[0].position
    return position.line, position.column, made.name


def _rule(match: Pattern, translation: Pattern) -> Iterator[str]:
    empty = [f"{{{name}}}" for name in translation.names if name not in match.names]
    if empty:
        yield f"    // {', '.join(empty)}: not in the match, so it becomes empty."
    yield "    rule"
    yield f'        match "{_written(match)}"'
    yield f'        translation "{_written(translation)}";'


def _written(pattern: Pattern) -> str:
    """Return a pattern in the form in which URIs are compared, and which it gives them."""
    names = [f"{{{name}}}" for name in pattern.names]
    pairs = zip(pattern.literals, [*names, ""], strict=True)
    return "".join(chain.from_iterable(pairs))


def _notes(made: NewMap) -> Iterator[str]:
    """Yield what of a translate_map's maps cannot be carried over."""
    swapped = hosts = ends = 0
    for uri_map in made.maps:
        swapped += sum(map(is_swapped, uri_map.entries))
    for match, _ in made.rules():
        if _is_sip(match):
            hosts += _names_host(match)
            ends += bool(match.literals[-1])
    head = f"translate_map `{made.name}`:"
    if swapped:
        what = "the schemes of the two sides are swapped: they are taken the other way round"
        yield f"{head} in {_counted(swapped, 'entry', 'entries')} {what}"
    if hosts:
        what = "a host is matched, and its upper and lower case count now"
        yield f"{head} in {_counted(hosts, 'rule', 'rules')} {what}"
    if ends:
        what = "an address no longer matches where a port or parameters stand behind it"
        yield f"{head} in {_counted(ends, 'rule', 'rules')} {what}"


def _counted(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _is_sip(match: Pattern) -> bool:
    return match.literals[0].startswith(("sip:", "sips:")) or "@" in match.text


def _names_host(match: Pattern) -> bool:
    """Tell whether literal letters stand where the host is."""
    text = "\0".join(match.literals)
    return any(map(str.isalpha, text[text.find("@") + 1 or text.find(":") + 1 :]))
