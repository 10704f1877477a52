# SPDX-License-Identifier: GPL-3.0-or-later
"""The compiled configuration: immutable, and each value remembers where it stands in the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from cig_common.config.errors import Diagnostic
from cig_common.config.patterns import Pattern

IpAddress = IPv4Address | IPv6Address

DEFAULT_SIP_PORT = 5060


class Interface(StrEnum):
    """The two interfaces between which calls are routed; the value is the block's name."""

    TEL = "tel"
    SIP = "sip"

    @property
    def other(self) -> Interface:
        """The interface on the gateway's other side."""
        return Interface.SIP if self is Interface.TEL else Interface.TEL


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the file; line and column count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Entry:
    """`entry NAME sip "…" tel "…";`."""

    name: str
    sip: Pattern
    tel: Pattern
    position: Position

    def side(self, interface: Interface) -> Pattern:
        """Return the pattern of one side."""
        return self.tel if interface is Interface.TEL else self.sip


@dataclass(frozen=True, slots=True)
class UriMap:
    """`map NAME { … }`, its entries in the order of the file."""

    name: str
    entries: tuple[Entry, ...]
    position: Position


@dataclass(frozen=True, slots=True)
class MapUse:
    """`extension map NAME;` or `source map NAME;`: a map, and where an interface names it."""

    map: UriMap
    position: Position


@dataclass(frozen=True, slots=True)
class PortRange:
    """`rtp_port_range LOW HIGH;`, both ends included; LOW is even. No position: the default."""

    low: int
    high: int
    position: Position | None = None


DEFAULT_PORT_RANGE = PortRange(16384, 32767)


@dataclass(frozen=True, slots=True)
class AddressOverride:
    """`rtp_remote_addr_override OLD NEW;`: media meant for OLD goes to NEW."""

    old: IpAddress
    new: IpAddress
    position: Position


@dataclass(frozen=True, slots=True)
class TelInterface:
    """The `tel { … }` block, or its defaults where the file has none."""

    extension_maps: tuple[MapUse, ...] = ()
    source_maps: tuple[MapUse, ...] = ()
    rtp_port_range: PortRange = DEFAULT_PORT_RANGE
    rtp_remote_addr_overrides: tuple[AddressOverride, ...] = ()
    position: Position | None = None

    def remote_address(self, address: IpAddress) -> IpAddress:
        """Return where media for `address` really goes; the first override that names it wins."""
        for override in self.rtp_remote_addr_overrides:
            if override.old == address:
                return override.new
        return address


@dataclass(frozen=True, slots=True)
class SipInterface(TelInterface):
    """The `sip { … }` block. `bind` None means all addresses; `port` is for UDP and TCP."""

    bind: IpAddress | None = None
    port: int = DEFAULT_SIP_PORT
    messaging: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """`rule match "…" translation "…";`."""

    match: Pattern
    translation: Pattern
    position: Position


@dataclass(frozen=True, slots=True)
class TranslateMap:
    """`translate_map NAME { … }`, its rules in the order of the file."""

    name: str
    rules: tuple[Rule, ...]
    position: Position


class MailboxKind(StrEnum):
    """`read`: watched for messages to send. `write`: received messages are put there."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A `read { … }` or `write { … }` block of `mailboxes`."""

    kind: MailboxKind
    path: str
    map_from: TranslateMap
    map_to: TranslateMap
    position: Position


@dataclass(frozen=True, slots=True)
class Configuration:
    """One whole cig.conf. `warnings` are what `cig-cli read` and start-up tell about it."""

    filename: str
    maps: tuple[UriMap, ...] = ()
    translate_maps: tuple[TranslateMap, ...] = ()
    tel: TelInterface = field(default_factory=TelInterface)
    sip: SipInterface = field(default_factory=SipInterface)
    mailboxes: tuple[Mailbox, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()

    def interface(self, interface: Interface) -> TelInterface:
        """Return the block of one interface."""
        return self.tel if interface is Interface.TEL else self.sip
