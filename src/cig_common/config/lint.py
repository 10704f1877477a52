# SPDX-License-Identifier: GPL-3.0-or-later
"""What loads and yet is probably not meant: the warnings that the whole file is needed for.

Their codes are stable: W101 (a missing `;` after `bind`, noted by the reader) and those below.
"""

from __future__ import annotations

from collections.abc import Iterable

from cig_common.config.model import Configuration, Interface, MapUse, Position, UriMap
from cig_common.config.patterns import Pattern
from cig_common.config.reader import Notes
from cig_common.config.render import check_target

_TOP = Position(1, 1)


def lint(config: Configuration, notes: Notes, *, has_interfaces: bool) -> None:
    """Add the warnings about a compiled configuration to `notes`."""
    if not has_interfaces:
        notes.warn("W108", _TOP, "no `interfaces` block: no call can be routed")
    elif config.sip.bind is None:
        place = config.sip.position or _TOP
        hint = "add `bind ADDRESS;` to the sip block"
        notes.warn("W102", place, "no `bind`: SIP is open on all addresses", hint)
    _unused(config, notes)
    _shared_sources(config, notes)
    for uri_map in config.maps:
        _schemes(uri_map, notes)
    for pattern in _patterns(config):
        _adjacent(pattern, notes)
    _dead_targets(config, notes)
    _repeated_overrides(config, notes)


def _unused(config: Configuration, notes: Notes) -> None:
    used = {use.map.name for use in _uses(config)}
    for uri_map in config.maps:
        if uri_map.name not in used:
            notes.warn("W103", uri_map.position, f"map `{uri_map.name}` is never used")
    translators = {box.map_from.name for box in config.mailboxes}
    translators |= {box.map_to.name for box in config.mailboxes}
    for translate_map in config.translate_maps:
        if translate_map.name not in translators:
            message = f"translate_map `{translate_map.name}` is never used"
            notes.warn("W103", translate_map.position, message)


def _shared_sources(config: Configuration, notes: Notes) -> None:
    tel = {use.map.name for use in config.tel.source_maps}
    for use in config.sip.source_maps:
        if use.map.name in tel:
            tel.discard(use.map.name)
            message = f"map `{use.map.name}` is the source map of both interfaces"
            hint = "callers from one side would need URIs of the other; one of the two is a slip"
            notes.warn("W104", use.position, message, hint)


def _schemes(uri_map: UriMap, notes: Notes) -> None:
    for entry in uri_map.entries:
        sip, tel = entry.sip.literals[0], entry.tel.literals[0]
        good = {
            "sip": sip.startswith(("sip:", "sips:")),
            "tel": tel.startswith("tel:"),
        }
        wrong = [f"`{side}`" for side, right in good.items() if not right]
        if wrong:
            sides = " and of ".join(wrong)
            message = f"entry `{entry.name}`: the text of {sides} has another scheme"
            swapped = sip.startswith("tel:") and tel.startswith(("sip:", "sips:"))
            hint = "the two sides look swapped; as it stands the entry never matches"
            notes.warn("W105", entry.position, message, hint if swapped else None)


def _adjacent(pattern: Pattern, notes: Notes) -> None:
    inner = pattern.literals[1:-1]
    for index, literal in enumerate(inner):
        if not literal:
            left, right = pattern.names[index : index + 2]
            message = f"`{{{left}}}{{{right}}}` side by side: `{left}` is always empty"
            notes.warn("W106", Position(pattern.line, pattern.column), message)


def _dead_targets(config: Configuration, notes: Notes) -> None:
    """Warn of entries that are asked for a SIP URI and can give none, whatever is dialled."""
    asked = (*config.tel.extension_maps, *(config.sip.source_maps or config.sip.extension_maps))
    told: set[str] = set()
    for use in asked:
        if use.map.name in told:
            continue
        told.add(use.map.name)
        for entry in use.map.entries:
            if not entry.sip.literals[0].startswith(("sip:", "sips:")):
                continue
            why = check_target(entry.sip)
            if why is not None:
                message = f"entry `{entry.name}` gives no SIP URI to send: {why}"
                notes.warn("W107", Position(entry.sip.line, entry.sip.column), message)


def _repeated_overrides(config: Configuration, notes: Notes) -> None:
    for interface in Interface:
        seen: dict[object, Position] = {}
        for override in config.interface(interface).rtp_remote_addr_overrides:
            first = seen.setdefault(override.old, override.position)
            if first is not override.position:
                message = f"{override.old} is overridden a second time; the first one counts"
                hint = f"the first is in line {first.line}"
                notes.warn("W109", override.position, message, hint)


def _uses(config: Configuration) -> Iterable[MapUse]:
    for interface in Interface:
        block = config.interface(interface)
        yield from block.extension_maps
        yield from block.source_maps


def _patterns(config: Configuration) -> Iterable[Pattern]:
    for uri_map in config.maps:
        for entry in uri_map.entries:
            yield entry.sip
            yield entry.tel
    for translate_map in config.translate_maps:
        for rule in translate_map.rules:
            yield rule.match
            yield rule.translation
