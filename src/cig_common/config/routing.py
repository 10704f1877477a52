# SPDX-License-Identifier: GPL-3.0-or-later
"""Routing a call: from the URIs it came with to those it goes on with, or why it cannot.

1. The new to-URI comes from the extension maps of the interface that the call came in on.
2. The new from-URI comes from the source maps of the outgoing interface; where that has none,
   from its extension maps, read from the other side.
3. The first entry to match wins, over the maps in the order in which the interface names them.
   A SIP URI that no entry matches is tried once more without its port and parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cig_common.config.chains import Chain
from cig_common.config.model import Configuration, Interface, Position
from cig_common.config.patterns import canonical_tel
from cig_common.config.render import render
from cig_common.errors import NoRouteError
from cig_common.uri import (
    MAX_LENGTH,
    UriError,
    addr_spec,
    without_headers,
    without_port_and_parameters,
)

__all__ = [
    "Cause",
    "Hit",
    "Interface",
    "Missing",
    "Route",
    "RouteRejected",
    "from_hit",
    "readings",
    "route",
    "to_hit",
]


class Missing(StrEnum):
    """Which of a call's two new URIs could not be found."""

    TO = "to-URI"
    FROM = "from-URI"


class Cause(StrEnum):
    """Why a URI could not be found."""

    NO_MAP = "no-map"
    TOO_LONG = "too-long"
    CHARACTER = "character"
    NO_MATCH = "no-match"
    NO_URI = "no-uri"
    """An entry matched, but what it gives is no URI that may be sent."""


@dataclass(frozen=True, slots=True)
class Hit:
    """The entry that gave a URI: the trace of one half of a route.

    `position` is the entry's place in the file, `values` what its parameters caught in order,
    `reduced` tells that the URI matched only without its port and parameters.
    """

    map_name: str
    entry_name: str
    position: Position
    values: tuple[tuple[str, str], ...]
    reduced: bool
    uri: str


@dataclass(frozen=True, slots=True)
class Route:
    """Where a call goes: its new URIs, the interface it leaves by, and what gave the two."""

    to_uri: str
    from_uri: str
    out_interface: Interface
    to_hit: Hit
    from_hit: Hit


class RouteRejected(NoRouteError):
    """A call that the maps do not let pass.

    `missing` says which URI, `cause` and `why` the reason, `why` in words that hold nothing of
    what the caller sent.
    """

    def __init__(self, missing: Missing, cause: Cause, why: str) -> None:
        self.missing = missing
        self.cause = cause
        self.why = why
        super().__init__(f"no {missing}: {why}")


def route(config: Configuration, interface: Interface, to_uri: str, from_uri: str) -> Route:
    """Route a call that came in on `interface`. Raises RouteRejected.

    `to_uri` is what was dialled (from SIP: the Request-URI) and `from_uri` the caller, both as
    received. Display name, angle brackets and `?headers` are taken off here.
    """
    to_found = to_hit(config, interface, to_uri)
    from_found = from_hit(config, interface, from_uri)
    return Route(to_found.uri, from_found.uri, interface.other, to_found, from_found)


def to_hit(config: Configuration, interface: Interface, to_uri: str) -> Hit:
    """Find the new to-URI of a call that came in on `interface`. Raises RouteRejected."""
    return _translate(config.to_chain(interface), to_uri, Missing.TO)


def from_hit(config: Configuration, interface: Interface, from_uri: str) -> Hit:
    """Find the new from-URI of a call that came in on `interface`. Raises RouteRejected."""
    return _translate(config.from_chain(interface), from_uri, Missing.FROM)


def _translate(chain: Chain, received: str, missing: Missing) -> Hit:
    """Find the first entry of a chain to match, and make the other side's URI of it."""
    if not chain.uses:
        raise RouteRejected(missing, Cause.NO_MAP, "the interface has no map for it")
    for attempt, text in enumerate(readings(received, chain.side, missing)):
        found = chain.first_written(text)
        if found is None:
            continue
        use, entry, values = found
        try:
            uri = render(entry.pattern(chain.side.other), values)
        except UriError as error:
            where = f"entry `{entry.name}` of map `{use.map.name}` matched"
            raise RouteRejected(missing, Cause.NO_URI, f"{where}, but {error}") from None
        caught = tuple(values.items())
        return Hit(use.map.name, entry.name, entry.position, caught, attempt > 0, uri)
    names = ", ".join(f"`{use.map.name}`" for use in chain.uses[:8])
    more = ", ..." if len(chain.uses) > 8 else ""
    raise RouteRejected(missing, Cause.NO_MATCH, f"no entry of {names}{more} matched")


def readings(received: str, side: Interface, missing: Missing) -> list[str]:
    """Return the texts to look up, one after the other, for a URI as received.

    Raises RouteRejected, in the name of `missing`, for a text that is not looked up at all.
    """
    text = received
    # A name-addr, and never the inside of what begins as a URI: `tel:+1;<tel:+2>` stays whole.
    if side is Interface.SIP and "<" in text and not text[:5].lower().startswith(("sip:", "sips:")):
        text = addr_spec(text)
    if len(text) > MAX_LENGTH:
        why = f"the URI received is longer than {MAX_LENGTH} characters"
        raise RouteRejected(missing, Cause.TOO_LONG, why)
    if not text.isprintable() or " " in text:
        why = "the URI received has a space or control character"
        raise RouteRejected(missing, Cause.CHARACTER, why)
    if side is Interface.TEL:
        return [canonical_tel(text)]
    text = without_headers(text)
    reduced = without_port_and_parameters(text)
    return [text] if reduced == text else [text, reduced]
