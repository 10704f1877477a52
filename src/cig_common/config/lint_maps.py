# SPDX-License-Identifier: GPL-3.0-or-later
"""Warnings about maps: unused ones (W103) and their entries and rules (see lint_entries.py)."""

from __future__ import annotations

from collections.abc import Iterable

from cig_common.config.lint_entries import Finding, adjacent_message, adjacent_names, judge
from cig_common.config.model import (
    Configuration,
    Interface,
    MapUse,
    Position,
    TranslateMap,
    UriMap,
)
from cig_common.config.notes import Notes
from cig_common.config.patterns import Kind


def lint_maps(config: Configuration, notes: Notes) -> None:
    """Add the warnings about maps and translate_maps."""
    _unused(config, notes)
    makes = _directions(config)
    for uri_map in config.maps:
        produced = frozenset(side for side in Interface if uri_map.name in makes[side])
        for index, (sip, tel) in enumerate(uri_map.entries.texts()):
            for finding in judge(sip, tel, produced):
                _tell(uri_map, index, finding, notes)
    for translate_map in config.translate_maps:
        _adjacent_in_rules(translate_map, notes)


def _unused(config: Configuration, notes: Notes) -> None:
    used = {use.map.name for use in _uses(config)}
    for uri_map in config.maps:
        if uri_map.name not in used:
            message = f"map `{uri_map.name}` is never used"
            hint = f"name it in an interface: `extension map {uri_map.name};` or `source map …;`"
            notes.warn("W103", uri_map.position, message, hint)
    translators = {box.map_from.name for box in config.mailboxes}
    translators |= {box.map_to.name for box in config.mailboxes}
    for translate_map in config.translate_maps:
        if translate_map.name not in translators:
            message = f"translate_map `{translate_map.name}` is never used"
            hint = "name it in a mailbox, as its `map_from` or `map_to`"
            notes.warn("W103", translate_map.position, message, hint)


def _uses(config: Configuration) -> Iterable[MapUse]:
    for interface in Interface:
        block = config.interface(interface)
        yield from block.extension_maps
        yield from block.source_maps


def _directions(config: Configuration) -> dict[Interface, set[str]]:
    """Return, for each side, the names of the maps that are asked for a URI of that side.

    Extension maps are read backwards only where calls can come in from the other interface.
    """
    makes: dict[Interface, set[str]] = {}
    for side in Interface:
        here, there = config.interface(side), config.interface(side.other)
        backwards = here.extension_maps if there.extension_maps else ()
        uses = (*there.extension_maps, *(here.source_maps or backwards))
        makes[side] = {use.map.name for use in uses}
    return makes


def _tell(uri_map: UriMap, index: int, finding: Finding, notes: Notes) -> None:
    if notes.full:
        notes.untold_warnings += 1
        return
    entry = uri_map.entries[index]
    place = entry.position
    if finding.side is not None:
        pattern = entry.side(finding.side)
        place = Position(pattern.line, pattern.column + finding.offset)
    notes.warn(finding.code, place, f"entry `{entry.name}`: {finding.message}", finding.hint)


def _adjacent_in_rules(translate_map: TranslateMap, notes: Notes) -> None:
    # A parameter that only the translation has is not told here, unlike in an entry: the manual's
    # Migration chapter prints such a rule, and a header value needs no host.
    for rule in translate_map.rules:
        for pattern in (rule.match, rule.translation):
            for offset, left, right in adjacent_names(pattern.text, Kind.TEXT):
                place = Position(pattern.line, pattern.column + offset)
                notes.warn("W106", place, *adjacent_message(left, right))
