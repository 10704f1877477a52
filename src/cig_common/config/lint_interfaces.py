# SPDX-License-Identifier: GPL-3.0-or-later
"""Warnings about the interfaces: addresses, ports, source maps (W102, W104, W109, W112, W113)."""

from __future__ import annotations

from cig_common.config.host import Host
from cig_common.config.model import Configuration, Interface, PortRange, Position
from cig_common.config.notes import Notes

PORTS_OF_A_CALL = {Interface.TEL: 1, Interface.SIP: 2}
"""The tel side has RTP and RTCP on one port, the SIP side on an even one and the next."""


def lint_interfaces(
    config: Configuration, interfaces: Position, notes: Notes, host: Host | None
) -> None:
    """Add the warnings about the block `interfaces`, whose place is `interfaces`."""
    if config.sip.bind is None:
        place = config.sip.position or interfaces
        hint = "add `bind ADDRESS;` to the sip block"
        notes.warn("W102", place, "no `bind`: SIP is open on all addresses", hint)
    _shared_sources(config, notes)
    _repeated_overrides(config, notes)
    _overlapping_ranges(config, notes, host)
    _small_ranges(config, notes)


def _shared_sources(config: Configuration, notes: Notes) -> None:
    tel = {use.map.name for use in config.tel.source_maps}
    for use in config.sip.source_maps:
        if use.map.name in tel:
            tel.discard(use.map.name)
            message = f"map `{use.map.name}` is the source map of both interfaces"
            hint = "callers from one side would need URIs of the other; one of the two is a slip"
            notes.warn("W104", use.position, message, hint)


def _repeated_overrides(config: Configuration, notes: Notes) -> None:
    for interface in Interface:
        seen: dict[object, Position] = {}
        for override in config.interface(interface).rtp_remote_addr_overrides:
            first = seen.setdefault(override.old, override.position)
            if first is not override.position:
                message = f"{override.old} is overridden a second time; the first one counts"
                hint = f"the first is in line {first.line}"
                notes.warn("W109", override.position, message, hint)


def _overlapping_ranges(config: Configuration, notes: Notes, host: Host | None) -> None:
    """Warn where both sides would take the same ports of one address."""
    tel, sip = config.tel.rtp_port_range, config.sip.rtp_port_range
    low, high = max(tel.low, sip.low), min(tel.high, sip.high)
    place = sip.position or tel.position
    # Both ranges left at their default: the manual has it so, and the ports suffice.
    if place is None or low > high:
        return
    bind = config.sip.bind
    if bind is None or bind.is_unspecified:
        address = "on all addresses"
    elif host is not None and host.default_address() == bind:
        address = f"on {bind}, which is the tel side's address too"
    else:
        return
    other = tel if place is sip.position else sip
    names = ("sip", "tel") if place is sip.position else ("tel", "sip")
    of_other = f"the {names[1]} side's {other.low} to {other.high}"
    known = "its default" if other.position is None else f"line {other.position.line}"
    message = f"ports {low} to {high} {address} are also in {of_other} ({known})"
    hint = "calls would take them from one another; give each side ports of its own"
    notes.warn("W112", place, message, hint)


def _small_ranges(config: Configuration, notes: Notes) -> None:
    """Warn where the file allows more calls than a side has ports for."""
    if config.max_calls_position is None:
        return
    for interface in Interface:
        ports, each = config.interface(interface).rtp_port_range, PORTS_OF_A_CALL[interface]
        calls = _room(ports, each)
        if calls < config.max_calls and ports.position is not None:
            message = f"these ports are enough for {calls} calls, `max_calls` allows"
            high = ports.low + config.max_calls * each - 1
            hint = f"a call takes {each} of them; "
            hint += f"write `rtp_port_range {ports.low} {high};`" if high < 65536 else "begin lower"
            notes.warn("W113", ports.position, f"{message} {config.max_calls}", hint)


def _room(ports: PortRange, each: int) -> int:
    return (ports.high - ports.low + 1) // each
