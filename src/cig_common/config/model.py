# SPDX-License-Identifier: GPL-3.0-or-later
"""The compiled configuration: immutable, and each value remembers where it stands in the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from cig_common.config.errors import Diagnostic
from cig_common.config.index import PatternIndex
from cig_common.config.patterns import Kind, Pattern

if TYPE_CHECKING:
    from cig_common.config.chains import Chain, Chains
    from cig_common.config.entries import Entries

IpAddress = IPv4Address | IPv6Address

DEFAULT_SIP_PORT = 5060
DEFAULT_MAX_CALLS = 1000
MAX_CALLS = 1400
DEFAULT_RETRY_HOURS = 72
MAX_RETRY_HOURS = 168


class Interface(StrEnum):
    """The two interfaces between which calls are routed; the value is the block's name."""

    TEL = "tel"
    SIP = "sip"

    @property
    def other(self) -> Interface:
        """The interface on the gateway's other side."""
        return Interface.SIP if self is Interface.TEL else Interface.TEL

    @property
    def kind(self) -> Kind:
        """How the patterns of an entry's side of this name compare."""
        return Kind(self.value)


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
    entries: Entries
    position: Position


@dataclass(frozen=True, slots=True)
class MapUse:
    """`extension map NAME;` or `source map NAME;`: a map, and where its name stands there."""

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
    """The `sip { … }` block. `bind` None means all addresses; `port` is for UDP and TCP.

    Their positions are None where the file does not have the statement.
    """

    bind: IpAddress | None = None
    port: int = DEFAULT_SIP_PORT
    messaging: bool = False
    bind_position: Position | None = None
    port_position: Position | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """`rule match "…" translation "…";`.

    The kind of `match` is TEL where it begins with `tel:`: such a one is compared as tel URIs are.
    """

    match: Pattern
    translation: Pattern
    position: Position


@dataclass(frozen=True, slots=True)
class TranslateMap:
    """`translate_map NAME { … }`, its rules in the order of the file.

    `index` is built of what they match and adds nothing to them.
    """

    name: str
    rules: tuple[Rule, ...]
    position: Position
    index: PatternIndex = field(repr=False, compare=False)


class MailboxKind(StrEnum):
    """`read`: watched for messages to send. `write`: received messages are put there."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A `read { … }` or `write { … }` block of `mailboxes`.

    `position` is the block's, the others are those of the path and of the two maps' names.
    """

    kind: MailboxKind
    path: str
    map_from: TranslateMap
    map_to: TranslateMap
    position: Position
    path_position: Position
    map_from_position: Position
    map_to_position: Position


@dataclass(frozen=True, slots=True)
class Configuration:
    """One whole cig.conf. `warnings` are what `cig-cli read` and start-up tell about it.

    `max_calls` is how many calls there may be at once; `max_calls_position` is None where the
    file does not say. `retry_hours` is how long a text that the network does not take is tried
    again. Of very many warnings only the first are kept; `untold_warnings` more were found.
    `chains` are built of the two interfaces' maps and add nothing to them.
    """

    filename: str
    chains: Chains = field(repr=False, compare=False)
    maps: tuple[UriMap, ...] = ()
    translate_maps: tuple[TranslateMap, ...] = ()
    tel: TelInterface = field(default_factory=TelInterface)
    sip: SipInterface = field(default_factory=SipInterface)
    mailboxes: tuple[Mailbox, ...] = ()
    max_calls: int = DEFAULT_MAX_CALLS
    max_calls_position: Position | None = None
    retry_hours: int = DEFAULT_RETRY_HOURS
    warnings: tuple[Diagnostic, ...] = ()
    untold_warnings: int = 0

    def interface(self, interface: Interface) -> TelInterface:
        """Return the block of one interface."""
        return self.tel if interface is Interface.TEL else self.sip

    def to_chain(self, interface: Interface) -> Chain:
        """Return what the to-URI of a call that came in on `interface` is looked up in.

        The extension maps of that interface, matched on its side.
        """
        return self.chains.to_tel if interface is Interface.TEL else self.chains.to_sip

    def from_chain(self, interface: Interface) -> Chain:
        """Return what the from-URI of a call that came in on `interface` is looked up in.

        The source maps of the other interface or, where it has none, its extension maps; matched
        on the side of `interface`.
        """
        return self.chains.from_tel if interface is Interface.TEL else self.chains.from_sip
