# SPDX-License-Identifier: GPL-3.0-or-later
"""What the trunk's events say about messages of the PBX: an INVITE, a refused one, a call's end."""

from __future__ import annotations

from cig_common.errors import CigError
from cig_server.sif.events import IncomingInvite, Refused
from cig_server.sif.headers import SipMessage
from cig_server.sif.leg import Phase
from cig_server.sif.offer_answer import BOTH, read_offer


def read_invite(
    name: str, text: str, source: str, families: frozenset[int] = BOTH
) -> IncomingInvite:
    """Read an INVITE that begins call ``name``; raises a CigError that knows its SIP status.

    ``families`` are the IP versions that sound can be over.
    """
    message = SipMessage.parse(text)
    sdp = message.sdp()
    return IncomingInvite(
        call=name,
        request_uri=message.request_uri(),
        from_uri=message.from_uri(),
        call_id=message.call_id(),
        offer=None if sdp is None else read_offer(sdp, families),
        source=source,
    )


def refused(text: str, status: int, reason: str, source: str) -> Refused:
    """Give the event for an INVITE that was refused, with what of it can be read."""
    uris = ["", ""]
    for index, read in enumerate((SipMessage.request_uri, SipMessage.from_uri)):
        try:
            uris[index] = read(SipMessage.parse(text))
        except CigError:
            continue
    return Refused(uris[0], uris[1], status, reason, source)


def end_by_peer(phase: Phase, status: int, words: str, text: str | None) -> tuple[int, str]:
    """Give status and reason of an end that the PBX or the network brought about.

    ``status`` and ``words`` are the SIP stack's, ``text`` the message that ended the call, None
    when none came. An answered call ends with 0 for its BYE, else with the failure that cut it
    off; before the answer an incoming one can only be cancelled, an outgoing one has a final
    status or, failing that, could not be sent at all.
    """
    message = SipMessage.parse(text) if text else None
    told = message.reason() if message else ""
    if message is not None and message.start_line.startswith("BYE "):
        return 0, told
    if phase in (Phase.TALKING, Phase.ANSWERED):
        status = status if status >= 400 and status != 487 else 408
    elif phase is not Phase.CALLING:
        status = 487
    elif status < 300:
        status = 503
    return status, told or words
