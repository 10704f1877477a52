# SPDX-License-Identifier: GPL-3.0-or-later
"""What the relay takes from cig.conf: port ranges, address overrides, the SIP side's address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cig_common.config import Configuration, Diagnostic, TelInterface
from cig_relay.media.engine import MediaSettings, PortRange


@dataclass(frozen=True, slots=True)
class MediaPart:
    """All that the relay keeps of a cig.conf, whatever the number of its entries.

    ``bind`` is the IP address of the sip interface, empty where the file has none. ``lines`` are
    the same facts for the log.
    """

    settings: MediaSettings
    bind: str
    lines: tuple[str, ...]
    warnings: tuple[Diagnostic, ...]


def media_part(configuration: Configuration) -> MediaPart:
    """Take the relay's part."""
    return MediaPart(
        media_settings(configuration),
        "" if configuration.sip.bind is None else str(configuration.sip.bind),
        tuple(describe(configuration)),
        configuration.warnings,
    )


def media_settings(configuration: Configuration) -> MediaSettings:
    """Give the media engine's settings."""
    return MediaSettings(
        tel_ports=_ports(configuration.tel),
        sip_ports=_ports(configuration.sip),
        tel_override=_override(configuration.tel),
        sip_override=_override(configuration.sip),
    )


def describe(configuration: Configuration) -> Iterator[str]:
    """Give the relay's part of the configuration as lines for the log."""
    for name, block in (("tel", configuration.tel), ("sip", configuration.sip)):
        ports = block.rtp_port_range
        yield f"{configuration.filename}: {name} rtp_port_range {ports.low} {ports.high}"
        for rule in block.rtp_remote_addr_overrides:
            yield f"{configuration.filename}: {name} rtp_remote_addr_override {rule.old} {rule.new}"
    bind = configuration.sip.bind or "not set, the host's routes decide where media comes from"
    yield f"{configuration.filename}: sip bind {bind}"


def _ports(block: TelInterface) -> PortRange:
    return PortRange(block.rtp_port_range.low, block.rtp_port_range.high)


def _override(block: TelInterface) -> dict[str, str]:
    # The first rule that names an address wins, as in TelInterface.remote_address.
    rules = reversed(block.rtp_remote_addr_overrides)
    return {str(rule.old): str(rule.new) for rule in rules}
