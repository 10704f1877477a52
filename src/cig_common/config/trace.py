# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of one call through the maps, step by step: what `cig-cli route` tells.

`trace` asks the same functions that route a call and adds what they need not say: which maps were
looked through, what the entry looks like that matched, and, where none did, what the nearest ones
lack. `trace_text` prints it.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from itertools import islice

from cig_common.config.chains import Chain
from cig_common.config.errors import Diagnostic
from cig_common.config.model import Configuration, Entry, Interface, MapUse
from cig_common.config.near import NearMiss, elsewhere, nearest
from cig_common.config.render import render
from cig_common.config.routing import (
    Cause,
    Missing,
    RouteRejected,
    from_hit,
    readings,
    to_hit,
)
from cig_common.uri import UriError, addr_spec

MOST_COMPARED = 20_000
"""So many entries are compared with a URI that no entry matched, unless told otherwise."""

MOST_WARNINGS = 5
MOST_OUTSIDE = 3

_INTERFACES = {"sip": Interface.SIP, "sips": Interface.SIP, "tel": Interface.TEL}


class NotRoutableError(ValueError):
    """A text that is no URI of a call, so that no interface can be named. The text says why."""


@dataclass(frozen=True, slots=True)
class LookedIn:
    """One map that was looked through. `backwards`: an extension map, read for a from-URI."""

    map_name: str
    statement: str
    interface: Interface
    line: int
    entries: int
    backwards: bool = False


@dataclass(frozen=True, slots=True)
class Matched:
    """The entry that matched.

    `text` is the URI as it was compared, `reduced` tells that this is without port and
    parameters; `produces` is the pattern of the entry's other side, `gives` that pattern with
    what the parameters caught in place, before anything is escaped or checked.
    """

    map_name: str
    entry_name: str
    line: int
    pattern: str
    produces: str
    text: str
    reduced: bool
    caught: tuple[tuple[str, str], ...]
    gives: str


@dataclass(frozen=True, slots=True)
class Half:
    """How one of the two new URIs was found (`uri`), or why it was not (`cause` and `why`).

    `compared` of `total` entries were looked at for `near`, the ones that came nearest.
    """

    part: Missing
    received: str
    looked_in: tuple[LookedIn, ...]
    matched: Matched | None = None
    uri: str | None = None
    cause: Cause | None = None
    why: str = ""
    near: tuple[NearMiss, ...] = ()
    compared: int = 0
    total: int = 0
    warnings: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """The whole way of a call. `caller` is None where no from-URI was given."""

    filename: str
    came_in_on: Interface
    to: Half
    caller: Half | None

    @property
    def goes_out_on(self) -> Interface:
        """The interface that the call leaves by, if it does."""
        return self.came_in_on.other

    @property
    def rejected(self) -> Missing | None:
        """Which URI the call is rejected for, or None."""
        for half in (self.to, self.caller):
            if half is not None and half.uri is None:
                return half.part
        return None


def given_uri(text: str) -> tuple[Interface, str]:
    """Return the interface that a URI comes in on, by its scheme, and the URI.

    A SIP address may have a display name and angle brackets. Raises NotRoutableError.
    """
    uri = text.strip()
    if "<" in uri and uri.partition(":")[0].lower() not in _INTERFACES:
        uri = addr_spec(uri)
    scheme, colon, _ = uri.partition(":")
    interface = _INTERFACES.get(scheme.lower()) if colon else None
    if interface is not None:
        return interface, uri
    if not uri:
        raise NotRoutableError("the URI is empty: begin it with `sip:`, `sips:` or `tel:`")
    if colon and scheme.isalpha():
        raise NotRoutableError(f"no call has the scheme `{scheme}:`, only `sip:`, `sips:`, `tel:`")
    meant = f"sip:{uri}" if "@" in uri else f"tel:{uri}"
    raise NotRoutableError(f"`{uri[:100]}` has no scheme: did you mean `{meant[:100]}`?")


def trace(
    config: Configuration, to_uri: str, from_uri: str | None = None, most: int = MOST_COMPARED
) -> Trace:
    """Follow a call to `to_uri`, and from `from_uri` if one is given, through a configuration.

    Both are traced even where the first is rejected. To find what came nearest, at most about
    twice `most` entries are compared for each half, so that a million entries take no longer.
    Raises NotRoutableError for a `to_uri` of no interface.
    """
    interface, to_uri = given_uri(to_uri)
    inside, outside = config.interface(interface), config.interface(interface.other)
    looked_in = _looked_in(inside.extension_maps, "extension map", interface)
    to = _half(config, interface, to_uri, Missing.TO, looked_in, most)
    if from_uri is None:
        return Trace(config.filename, interface, to, None)
    if outside.source_maps:
        looked_in = _looked_in(outside.source_maps, "source map", interface.other)
    else:
        uses = outside.extension_maps
        looked_in = _looked_in(uses, "extension map", interface.other, backwards=True)
    caller = _half(config, interface, from_uri, Missing.FROM, looked_in, most)
    return Trace(config.filename, interface, to, caller)


def _looked_in(
    uses: tuple[MapUse, ...], statement: str, interface: Interface, *, backwards: bool = False
) -> tuple[LookedIn, ...]:
    return tuple(
        LookedIn(
            use.map.name, statement, interface, use.position.line, len(use.map.entries), backwards
        )
        for use in uses
    )


def _half(
    config: Configuration,
    interface: Interface,
    received: str,
    part: Missing,
    looked_in: tuple[LookedIn, ...],
    most: int,
) -> Half:
    find, chain = (
        (to_hit, config.to_chain(interface))
        if part is Missing.TO
        else (from_hit, config.from_chain(interface))
    )
    half = Half(part, received, looked_in)
    try:
        half = replace(half, uri=find(config, interface, received).uri)
    except RouteRejected as rejected:
        half = replace(half, cause=rejected.cause, why=rejected.why)
    try:
        texts = readings(received, interface, part)
    except RouteRejected:  # too long or not printable: nothing is looked up then
        return half
    found = _matched(chain, texts)
    if found is not None:
        matched, use, entry = found
        half = replace(half, matched=matched, warnings=_warnings(config, use, entry))
        return half if half.uri is not None else replace(half, why=_fault(entry, matched, chain))
    search = nearest(chain, texts, most)
    near = (*search.found, *_outside(config, interface, texts, looked_in, most))
    named = _statements(config, {item.map_name for item in looked_in})
    warnings = tuple(warning for warning in config.warnings if warning.line in named)
    return replace(
        half,
        near=near,
        compared=search.compared,
        total=search.total,
        warnings=warnings[:MOST_WARNINGS],
    )


def _statements(config: Configuration, map_names: Set[str]) -> set[int]:
    """Return the lines in which an interface names one of these maps."""
    blocks = (config.tel, config.sip)
    uses = (use for block in blocks for use in (*block.extension_maps, *block.source_maps))
    return {use.position.line for use in uses if use.map.name in map_names}


def _outside(
    config: Configuration,
    interface: Interface,
    texts: list[str],
    looked_in: tuple[LookedIn, ...],
    most: int,
) -> Iterator[NearMiss]:
    """Yield entries that would match, of maps that were not looked in; unused maps first."""
    used = {item.map_name for item in looked_in}
    words = _uses_in_words(config)
    others = [uri_map for uri_map in config.maps if uri_map.name not in used]
    others.sort(key=lambda uri_map: (uri_map.name in words, len(uri_map.entries)))
    for miss in islice(elsewhere(others, interface, texts, most), MOST_OUTSIDE):
        use = words.get(miss.map_name)
        but = f"is {use} only" if use else "is not in use"
        yield replace(miss, lacks=f"would match, but `{miss.map_name}` {but}")


def _fault(entry: Entry, matched: Matched, chain: Chain) -> str:
    """Say what is wrong with what an entry gives."""
    try:
        render(entry.side(chain.side.other), dict(matched.caught))
    except UriError as error:
        return str(error)
    return ""


def _uses_in_words(config: Configuration) -> dict[str, str]:
    """Say for each map that an interface names which statements do."""
    uses: dict[str, dict[str, None]] = {}
    for interface in Interface:
        block = config.interface(interface)
        for what, named in (("extension", block.extension_maps), ("source", block.source_maps)):
            for use in named:
                uses.setdefault(use.map.name, {})[f"{what} map of {interface}"] = None
    return {name: " and ".join(words) for name, words in uses.items()}


def _matched(chain: Chain, texts: list[str]) -> tuple[Matched, MapUse, Entry] | None:
    """Return the entry that matches first, as the trace tells it and as it is."""
    for attempt, text in enumerate(texts):
        found = chain.first(text)
        if found is None:
            continue
        use, entry, values = found
        pattern, produces = entry.side(chain.side), entry.side(chain.side.other)
        matched = Matched(
            use.map.name,
            entry.name,
            entry.position.line,
            pattern.text,
            produces.text,
            text,
            attempt > 0,
            tuple(values.items()),
            produces.substitute(values),
        )
        return matched, use, entry
    return None


def _warnings(config: Configuration, use: MapUse, entry: Entry) -> tuple[Diagnostic, ...]:
    """Return the warnings about an entry, or about a statement that names its map."""
    last = max((entry.sip, entry.tel), key=lambda pattern: (pattern.line, pattern.column))
    begin = entry.position.line, entry.position.column
    end = last.line, last.column + len(last.text)
    named = _statements(config, {use.map.name})
    found = (
        warning
        for warning in config.warnings
        if warning.line in named or begin <= (warning.line, warning.column) <= end
    )
    return tuple(found)[:MOST_WARNINGS]
