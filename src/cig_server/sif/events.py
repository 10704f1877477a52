# SPDX-License-Identifier: GPL-3.0-or-later
"""What the SIP interface tells the rest of the gateway, as plain values.

``call`` names a call: for an incoming one the interface chose it (``sip-1``), for an outgoing one
the caller of `SipInterface.dial` did. Every call that was dialled or reported as `IncomingInvite`
ends with exactly one `Ended`, and nothing comes for it after that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from cig_common.control.media import SipMedia
from cig_server.sif.offer_answer import SdpOffer

__all__ = [
    "Answered",
    "Dialled",
    "Ended",
    "IncomingInvite",
    "IncomingMessage",
    "MediaChanged",
    "MessageEvent",
    "MessageListener",
    "MessageResult",
    "Progress",
    "Refused",
    "SdpOffer",
    "SipEvent",
    "SipListener",
    "SipMedia",
]


@dataclass(frozen=True, slots=True)
class IncomingInvite:
    """The PBX calls; 100 has been sent.

    ``request_uri`` and ``from_uri`` are as received, parameters included, without display name,
    angle brackets and headers. ``offer`` is None when the INVITE had no SDP; then our offer goes
    out in the 200 and the answer comes with the ACK. ``source`` is ``address:port``.
    """

    call: str
    request_uri: str
    from_uri: str
    call_id: str
    offer: SdpOffer | None
    source: str


@dataclass(frozen=True, slots=True)
class Dialled:
    """The INVITE of an outgoing call has been sent; ``call_id`` is its Call-ID header."""

    call: str
    call_id: str


@dataclass(frozen=True, slots=True)
class Progress:
    """An outgoing call got a provisional response; ``media`` when it had SDP that suits us."""

    call: str
    status: int
    media: SipMedia | None


@dataclass(frozen=True, slots=True)
class Answered:
    """An outgoing call got its 200 and was acknowledged; ``media`` None: no SDP came at all."""

    call: str
    media: SipMedia | None


@dataclass(frozen=True, slots=True)
class MediaChanged:
    """The PBX moved or held the call's sound, and has had its answer; or a late answer came."""

    call: str
    media: SipMedia


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over.

    ``status`` is 0 for a BYE, 487 for a CANCEL, else the final status; 503 when the PBX could not
    be reached or did not respond in time, 408 when it fell silent later. ``reason`` is for people.
    """

    call: str
    status: int
    reason: str
    by: Literal["peer", "us"]


SipEvent = IncomingInvite | Dialled | Progress | Answered | MediaChanged | Ended
SipListener = Callable[[SipEvent], None]


@dataclass(frozen=True, slots=True)
class Refused:
    """An INVITE that was refused before it became a call: malformed, no G.711, too many calls.

    ``request_uri`` and ``from_uri`` are empty where they could not be read.
    """

    request_uri: str
    from_uri: str
    status: int
    reason: str
    source: str


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """The PBX sends a MESSAGE outside of a call, and waits for its final response.

    ``name`` is the interface's (``msg-1``). The URIs are as in `IncomingInvite`. ``call_id``,
    ``cseq`` and ``from_tag`` are the same when a client tries once more (RFC 3261 section 8.1.3.5
    leaves that to it). ``content_type`` is ``type/subtype``, ``charset`` its parameter and
    ``encoding`` Content-Encoding, all in lower case and empty where there is none. ``body`` is as
    received.
    """

    name: str
    request_uri: str
    from_uri: str
    call_id: str
    cseq: int
    from_tag: str
    content_type: str
    charset: str
    encoding: str
    body: bytes = field(repr=False)
    source: str


@dataclass(frozen=True, slots=True)
class MessageResult:
    """What became of a MESSAGE of ours: its final status, 2xx for taken.

    Not ``heard``: no response came at all; then ``status`` is 408 for silence, and 503 where
    nothing could be sent. ``reason`` is for people.
    """

    name: str
    status: int
    reason: str
    heard: bool


MessageEvent = IncomingMessage | MessageResult
MessageListener = Callable[[MessageEvent], None]
