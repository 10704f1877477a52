# SPDX-License-Identifier: GPL-3.0-or-later
"""What both daemons say about a call's sound: the values inside the messages of the control socket.

Codecs are named as in UMSG: ``PCMA/8000``. ``dtmf`` is an RFC 4733 payload type (0 to 127) or None.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from cig_common.control.record import Record


class Direction(StrEnum):
    """Direction of a SIP leg's stream as the gateway uses it (RFC 3264, our side's view)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class TelLeg(Record):
    """Where the CRS takes a call's packets (UDP), and the STUN credentials of that leg."""

    addr: str
    port: int
    ufrag: str
    pwd: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SipMedia(Record):
    """Where and how the PBX takes a call's sound.

    ``addr``, ``port`` and ``rtcp_port`` are where it receives. ``codec`` is ``PCMA/8000`` or
    ``PCMU/8000``. ``dtmf`` is the RFC 4733 payload type that the PBX wants to get,
    ``receive_dtmf`` the one that we told it to send, None where it has none. ``direction`` is ours.
    """

    addr: str
    port: int
    rtcp_port: int
    codec: str
    dtmf: int | None
    receive_dtmf: int | None
    direction: Direction


@dataclass(frozen=True, slots=True)
class LegStatistics(Record):
    """Counters of one leg; ``side`` is ``tel`` or ``sip``.

    ``lost`` is cumulative (RFC 3550 A.3) and may be negative with duplicates; ``jitter_ms`` is the
    interarrival jitter of section 6.4.1 in milliseconds; ``round_trip_ms`` is None until a report
    block gave it. ``rejected`` counts packets from a wrong source or that were no RTP,
    ``auth_failed`` and ``replayed`` those that SRTP refused.
    """

    side: str
    codec: str
    remote: str
    packets_received: int
    octets_received: int
    packets_sent: int
    octets_sent: int
    lost: int
    jitter_ms: float
    round_trip_ms: float | None
    rejected: int
    auth_failed: int
    replayed: int
