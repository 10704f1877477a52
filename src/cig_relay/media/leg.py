# SPDX-License-Identifier: GPL-3.0-or-later
"""One leg of a call: who is on the other end, what it sent, what was sent to it."""

from __future__ import annotations

import ipaddress
from collections import Counter

from cig_common.control.media import LegStatistics
from cig_common.errors import MediaError
from cig_relay.media.codec import CLOCK_RATE, Codec
from cig_relay.media.reception import Source
from cig_relay.media.report import Reporter
from cig_relay.media.stream import OutputStream

Sockaddr = tuple[str, int] | tuple[str, int, int, int]
"""A socket address as the socket module gives it, of IPv4 or IPv6."""


def sockaddr(addr: str, port: int) -> Sockaddr:
    """Give the socket address of an IP literal and a port; raises MediaError when it is none."""
    try:
        address = ipaddress.ip_address(addr)
    except ValueError as error:
        raise MediaError(f"media address {addr[:64]!r} is no IP address") from error
    if not 0 < port < 65536:
        raise MediaError(f"media port {port} for {addr} is not between 1 and 65535")
    if address.version == 6:
        return (address.compressed, port, 0, 0)
    return (address.compressed, port)


def check_reach(remote: Sockaddr, local: str, side: str) -> None:
    """Raise MediaError, naming ``side``, unless a socket on ``local`` can send to ``remote``.

    An unspecified address is one to which nothing is sent.
    """
    theirs, ours = (ipaddress.ip_address(addr).version for addr in (remote[0], local))
    if theirs != ours and not is_unspecified(remote):
        raise MediaError(
            f"{side}: media to {_text(remote)} (IPv{theirs}) cannot leave from {local} (IPv{ours})"
        )


def is_unspecified(remote: Sockaddr) -> bool:
    """Tell 0.0.0.0 and ::, with which old SIP phones say hold (RFC 3264 section 8.4)."""
    return ipaddress.ip_address(remote[0]).is_unspecified


def _text(remote: Sockaddr | None) -> str:
    if remote is None:
        return ""
    host = f"[{remote[0]}]" if len(remote) == 4 else remote[0]
    return f"{host}:{remote[1]}"


class Leg:
    """State of one leg, ``side`` being ``tel`` or ``sip``.

    ``output`` is our stream towards it, ``reporter`` its RTCP. `remote` is where RTP goes to and
    must come from. `heard` tells whether a packet of a negotiated payload type came since `remote`
    was set. `drops` counts, by reason, valid packets that were not forwarded.
    """

    __slots__ = (
        "auth_failed",
        "codec",
        "drops",
        "heard",
        "lost_before",
        "octets_received",
        "output",
        "packets_received",
        "rejected",
        "remote",
        "replayed",
        "reporter",
        "side",
        "source",
    )

    def __init__(self, side: str, output: OutputStream, reporter: Reporter) -> None:
        self.side = side
        self.output = output
        self.reporter = reporter
        self.codec: Codec | None = None
        self.remote: Sockaddr | None = None
        self.source: Source | None = None
        self.heard = False
        self.packets_received = 0
        self.octets_received = 0
        self.rejected = 0
        self.auth_failed = 0
        self.replayed = 0
        self.lost_before = 0
        self.drops: Counter[str] = Counter()

    def switch_source(self, ssrc: int, sequence: int) -> Source:
        """Begin a new source whose first packet has ``sequence``; the old one's loss is kept."""
        if self.source is not None:
            self.lost_before += self.source.lost
        self.source = Source(ssrc, sequence)
        return self.source

    def statistics(self) -> LegStatistics:
        """Give the counters as the control socket has them."""
        source = self.source
        trip = self.reporter.round_trip
        return LegStatistics(
            side=self.side,
            codec=self.codec.name if self.codec else "",
            remote=_text(self.remote),
            packets_received=self.packets_received,
            octets_received=self.octets_received,
            packets_sent=self.output.packets,
            octets_sent=self.output.octets,
            lost=self.lost_before + (source.lost if source else 0),
            jitter_ms=1000 * source.jitter / CLOCK_RATE if source else 0.0,
            round_trip_ms=None if trip is None else 1000 * trip,
            rejected=self.rejected,
            auth_failed=self.auth_failed,
            replayed=self.replayed,
        )
