# SPDX-License-Identifier: GPL-3.0-or-later
"""What the SIP core tells its phone. ``call`` is always the Call-ID; ``sdp`` is unread."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Incoming:
    """A new INVITE; ``sdp`` is None when the offer is left to us."""

    call: str
    from_uri: str
    to_uri: str
    sdp: bytes | None


@dataclass(frozen=True, slots=True)
class Progress:
    """A provisional response above 100."""

    call: str
    status: int
    sdp: bytes | None


@dataclass(frozen=True, slots=True)
class Answered:
    """A 2xx to our INVITE; the ACK is sent."""

    call: str
    sdp: bytes | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Our INVITE failed; 408 when nobody answered at all, 487 after our CANCEL."""

    call: str
    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The ACK to our 2xx came; ``sdp`` is the answer when the 2xx made the offer."""

    call: str
    sdp: bytes | None


@dataclass(frozen=True, slots=True)
class Reoffered:
    """A re-INVITE, to be answered with `UserAgent.respond`."""

    call: str
    sdp: bytes | None


@dataclass(frozen=True, slots=True)
class Reanswered:
    """The final response to our re-INVITE."""

    call: str
    status: int
    sdp: bytes | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over; ``by`` is ``peer`` (BYE), ``cancel`` or ``timeout`` (no ACK came)."""

    call: str
    by: str


@dataclass(frozen=True, slots=True)
class IncomingText:
    """A MESSAGE outside of calls, which has been answered with 2xx."""

    call: str
    from_uri: str
    to_uri: str
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class TextResult:
    """The final response to a MESSAGE of ours; 408 when nobody answered at all."""

    call: str
    status: int
    reason: str


CallEvent = (
    Incoming | Progress | Answered | Rejected | Acknowledged | Reoffered | Reanswered | Ended
)
SipEvent = CallEvent | IncomingText | TextResult
"""Any of them."""
