# SPDX-License-Identifier: GPL-3.0-or-later
"""What cig-server keeps of a cig.conf, how it tells it in the log, and what differs between two."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cig_common.config import Configuration, Diagnostic, MapUse, SipInterface, TelInterface, UriMap

MOST_ENTRIES = 2000
"""So many entries are written to the log at start; the others of a bigger file are counted."""

_NONE = "(none)"


@dataclass(frozen=True, slots=True)
class MapFacts:
    """Enough of a map to tell whether two are the same: its entries as written, digested."""

    keyword: str
    name: str
    size: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class ServerPart:
    """A configuration, and its maps' facts: made where it was compiled, for that takes time."""

    configuration: Configuration
    maps: tuple[MapFacts, ...]


def server_part(configuration: Configuration) -> ServerPart:
    """Take all of it."""
    uri_maps = (_facts("map", m.name, m.entries.texts()) for m in configuration.maps)
    translate_maps = (
        _facts("translate_map", m.name, ((r.match.text, r.translation.text) for r in m.rules))
        for m in configuration.translate_maps
    )
    return ServerPart(configuration, (*uri_maps, *translate_maps))


def only_warnings(configuration: Configuration) -> tuple[Diagnostic, ...]:
    """Take what is doubtful about it, for a file that is only looked at."""
    return configuration.warnings


def _facts(keyword: str, name: str, pairs: Iterable[tuple[str, str]]) -> MapFacts:
    digest, size = hashlib.sha256(), 0
    for one, other in pairs:
        digest.update(f'{one}"{other}\n'.encode())  # neither can hold a quote or a line feed
        size += 1
    return MapFacts(keyword, name, size, digest.digest())


# --- what changed -------------------------------------------------------------------------------


def changes(old: ServerPart, new: ServerPart) -> Iterator[str]:
    """Tell what a reload changes for new calls: maps by their names, other values old and new.

    What waits for a restart (``bind`` and ``port``) is not told here.
    """
    before = {(item.keyword, item.name): item for item in old.maps}
    after = {(item.keyword, item.name): item for item in new.maps}
    for key, item in after.items():
        head = f"{item.keyword} `{item.name}`"
        was = before.get(key)
        if was is None:
            yield f"{head}: added, {_counted(item)}"
        elif was.digest != item.digest:
            yield f"{head}: changed, {_counted(item)}, {was.size} before"
    for key, was in before.items():
        if key not in after:
            yield f"{was.keyword} `{was.name}`: removed, {_counted(was)}"
    values, old_values = _values(new.configuration), _values(old.configuration)
    for label, value in values.items():
        if value != old_values[label]:
            yield f"{label}: {old_values[label]} -> {value}"


def _counted(item: MapFacts) -> str:
    noun = "entr" if item.keyword == "map" else "rule"
    plural = {"entr": ("y", "ies"), "rule": ("", "s")}[noun]
    return f"{item.size} {noun}{plural[item.size != 1]}"


def _values(configuration: Configuration) -> dict[str, str]:
    sip = configuration.sip
    values: dict[str, str] = {}
    for name, block in (("tel", configuration.tel), ("sip", sip)):
        values[f"{name} extension map"] = _names(block.extension_maps)
        values[f"{name} source map"] = _names(block.source_maps)
        values[f"{name} rtp_port_range"] = _range(block)
        overrides = (f"{rule.old} {rule.new}" for rule in block.rtp_remote_addr_overrides)
        values[f"{name} rtp_remote_addr_override"] = ", ".join(overrides) or _NONE
    values["sip messaging"] = _bool(sip)
    values["max_calls"] = str(configuration.max_calls)
    boxes = (
        f"{box.kind} {box.path} from {box.map_from.name} to {box.map_to.name}"
        for box in configuration.mailboxes
    )
    values["mailboxes"] = ", ".join(boxes) or _NONE
    values["mailboxes retry_hours"] = str(configuration.retry_hours)
    return values


def _names(uses: tuple[MapUse, ...]) -> str:
    return ", ".join(use.map.name for use in uses) or _NONE


def _range(block: TelInterface) -> str:
    return f"{block.rtp_port_range.low} {block.rtp_port_range.high}"


def _bool(sip: SipInterface) -> str:
    return "true" if sip.messaging else "false"


# --- the log at start ---------------------------------------------------------------------------


def describe(configuration: Configuration) -> Iterator[str]:
    """Give what was loaded in the language of cig.conf, defaults included, line by line."""
    left = MOST_ENTRIES
    for uri_map in configuration.maps:
        yield f"map {uri_map.name} {{"
        yield from _entries(uri_map, left)
        left = max(0, left - len(uri_map.entries))
        yield "}"
    for translate_map in configuration.translate_maps:
        yield f"translate_map {translate_map.name} {{"
        for rule in translate_map.rules:
            yield f'  rule match "{rule.match.text}" translation "{rule.translation.text}";'
        yield "}"
    yield "interfaces {"
    yield f"  max_calls {configuration.max_calls};"
    yield from _interface("tel", configuration.tel, ())
    sip = configuration.sip
    bind = "// no bind: all addresses" if sip.bind is None else f"bind {sip.bind};"
    yield from _interface("sip", sip, (bind, f"port {sip.port};", f"messaging {_bool(sip)};"))
    yield "}"
    yield "mailboxes {"
    yield f"  retry_hours {configuration.retry_hours};"
    for box in configuration.mailboxes:
        yield f'  {box.kind} {{ path "{box.path}";'
        yield f"    map_from translate_map {box.map_from.name};"
        yield f"    map_to translate_map {box.map_to.name}; }}"
    yield "}"


def _entries(uri_map: UriMap, most: int) -> Iterator[str]:
    for index in range(min(most, len(uri_map.entries))):
        entry = uri_map.entries[index]
        yield f'  entry {entry.name} sip "{entry.sip.text}" tel "{entry.tel.text}";'
    if len(uri_map.entries) > most:
        yield f"  // and {len(uri_map.entries) - most} entries more"


def _interface(name: str, block: TelInterface, more: tuple[str, ...]) -> Iterator[str]:
    yield f"  {name} {{"
    for use in block.extension_maps:
        yield f"    extension map {use.map.name};"
    for use in block.source_maps:
        yield f"    source map {use.map.name};"
    for line in more:
        yield f"    {line}"
    yield f"    rtp_port_range {_range(block)};"
    for rule in block.rtp_remote_addr_overrides:
        yield f"    rtp_remote_addr_override {rule.old} {rule.new};"
    yield "  }"
