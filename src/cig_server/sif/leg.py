# SPDX-License-Identifier: GPL-3.0-or-later
"""One SIP call as the trunk sees it: which command fits which phase, and the call's sound.

The dialog's own states, timers and retransmissions are the SIP stack's. What is left is this:

- An incoming call is INVITED. 180 makes it RINGING, 183 with SDP makes it EARLY; 200 makes it
  ANSWERED, and the ACK makes it TALKING.
- An outgoing call is CALLING until its 200 makes it TALKING.
- REJECT and HANG_UP end a call in every phase, in the way that fits it: CANCEL before the answer
  of an outgoing call, a final response before that of an incoming one, BYE afterwards. While the
  ACK to our 200 is missing the BYE has to wait for it (RFC 3261 section 15).
- A second 180 or 183, or a 180 after the 183, says nothing new and is left out. An answer that
  crosses with another answer is left out too.
- SDP is sent once: after a 183 with SDP the 200 repeats it. A call whose INVITE had no SDP gets
  our offer in the 200 and not before, because an unreliable 183 must not carry an offer
  (RFC 3261 section 13.2.1); its 183 is sent as a 180.
- Every other pair is a mistake of the caller of `SipInterface`: counted, reported, not done.
"""

from __future__ import annotations

import ipaddress
from enum import Enum, auto

from cig_common.control.media import SipMedia
from cig_common.errors import CigError
from cig_server.sif.offer_answer import (
    BOTH,
    LocalSession,
    SdpOffer,
    check_family,
    read_answer,
    read_offer,
)


class Phase(Enum):
    """Where a call is."""

    INVITED = auto()
    RINGING = auto()
    EARLY = auto()
    ANSWERED = auto()
    CALLING = auto()
    TALKING = auto()


class Request(Enum):
    """The kinds of command; one for each class of `cig_server.sif.commands` but Dial."""

    RING = auto()
    PROGRESS = auto()
    ANSWER = auto()
    REJECT = auto()
    HANG_UP = auto()


class Action(Enum):
    """What the stack is to do."""

    SEND_180 = auto()
    SEND_183 = auto()
    SEND_200 = auto()
    SEND_FINAL = auto()
    SEND_CANCEL = auto()
    SEND_BYE = auto()
    WAIT_FOR_ACK = auto()
    NOTHING = auto()


TABLE: dict[tuple[Phase, Request], tuple[Action, Phase]] = {
    (Phase.INVITED, Request.RING): (Action.SEND_180, Phase.RINGING),
    (Phase.INVITED, Request.PROGRESS): (Action.SEND_183, Phase.EARLY),
    (Phase.INVITED, Request.ANSWER): (Action.SEND_200, Phase.ANSWERED),
    (Phase.INVITED, Request.REJECT): (Action.SEND_FINAL, Phase.INVITED),
    (Phase.INVITED, Request.HANG_UP): (Action.SEND_FINAL, Phase.INVITED),
    (Phase.RINGING, Request.RING): (Action.NOTHING, Phase.RINGING),
    (Phase.RINGING, Request.PROGRESS): (Action.SEND_183, Phase.EARLY),
    (Phase.RINGING, Request.ANSWER): (Action.SEND_200, Phase.ANSWERED),
    (Phase.RINGING, Request.REJECT): (Action.SEND_FINAL, Phase.RINGING),
    (Phase.RINGING, Request.HANG_UP): (Action.SEND_FINAL, Phase.RINGING),
    (Phase.EARLY, Request.RING): (Action.NOTHING, Phase.EARLY),
    (Phase.EARLY, Request.PROGRESS): (Action.NOTHING, Phase.EARLY),
    (Phase.EARLY, Request.ANSWER): (Action.SEND_200, Phase.ANSWERED),
    (Phase.EARLY, Request.REJECT): (Action.SEND_FINAL, Phase.EARLY),
    (Phase.EARLY, Request.HANG_UP): (Action.SEND_FINAL, Phase.EARLY),
    (Phase.ANSWERED, Request.ANSWER): (Action.NOTHING, Phase.ANSWERED),
    (Phase.ANSWERED, Request.REJECT): (Action.WAIT_FOR_ACK, Phase.ANSWERED),
    (Phase.ANSWERED, Request.HANG_UP): (Action.WAIT_FOR_ACK, Phase.ANSWERED),
    (Phase.CALLING, Request.REJECT): (Action.SEND_CANCEL, Phase.CALLING),
    (Phase.CALLING, Request.HANG_UP): (Action.SEND_CANCEL, Phase.CALLING),
    (Phase.TALKING, Request.REJECT): (Action.SEND_BYE, Phase.TALKING),
    (Phase.TALKING, Request.HANG_UP): (Action.SEND_BYE, Phase.TALKING),
}
"""What a command does in a phase, and the phase after it."""


class Leg:
    """What the trunk remembers of one call.

    ``relay`` is where the call's own side takes RTP, None until it is known; ``media`` what is
    agreed with the PBX; ``offer`` the unanswered offer of an incoming call. ``closing`` holds
    status and words of an end that we brought about, None while the call stands.
    """

    def __init__(
        self,
        name: str,
        phase: Phase,
        session_id: int,
        *,
        offer: SdpOffer | None = None,
        relay: tuple[str, int] | None = None,
    ) -> None:
        self.name = name
        self.phase = phase
        self.relay = relay
        self.media = offer.media if offer else None
        self.closing: tuple[int, str] | None = None
        self.codec_refused: CigError | None = None
        self.answer_wanted = False
        self._offer = offer
        self._session = LocalSession(session_id)
        self._changed: SipMedia | None = None

    @property
    def families(self) -> frozenset[int]:
        """The IP versions that the call's sound can be over: the relay's, once it is known."""
        if self.relay is None:
            return BOTH
        return frozenset({ipaddress.ip_address(self.relay[0]).version})

    def command(self, request: Request) -> Action | None:
        """Take a command and give what to do; None when it does not fit the phase."""
        unanswered = self.phase in (Phase.INVITED, Phase.RINGING)
        if request is Request.PROGRESS and unanswered and self._offer is None:
            request = Request.RING
        step = TABLE.get((self.phase, request))
        if step is None:
            return None
        action, self.phase = step
        return action

    def initial_answer(self) -> str | None:
        """Give the SDP for the 183 or 200 of an incoming call; None if it is our turn to offer.

        None too when a 183 has carried it already: the stack then repeats it. Raises CigError.
        """
        offer, self._offer = self._offer, None
        if offer is None:
            return None
        check_family(offer.media, self.families)
        return self._session.answer(offer, *self._relay())

    def our_offer(self) -> str:
        """Give the SDP of an offer of ours; the answer to it will be due."""
        self.answer_wanted = True
        return self._session.offer(*self._relay())

    def answer_to(self, text: str) -> str:
        """Give the SDP that answers an offer made inside the call; raises CigError.

        `media_settled` tells the change once the stack has sent the answer.
        """
        offer = read_offer(text, self.families)
        self._changed = offer.media
        self.answer_wanted = False
        return self._session.answer(offer, *self._relay())

    def media_settled(self) -> SipMedia | None:
        """An exchange is complete: give what is agreed now if it differs from before."""
        changed, self._changed = self._changed, None
        return self._agree(changed)

    def take_answer(self, text: str | None) -> SipMedia | None:
        """Read the answer to our offer; give what is agreed if it differs from before.

        SDP that does not suit us is remembered in ``codec_refused``.
        """
        if text is None:
            return None
        self.answer_wanted = False
        try:
            return self._agree(read_answer(text, self.families))
        except CigError as error:
            self.codec_refused = error
            return None

    def _agree(self, media: SipMedia | None) -> SipMedia | None:
        if media is None or media == self.media:
            return None
        self.media = media
        return media

    def _relay(self) -> tuple[str, int]:
        if self.relay is None:
            raise LateMediaError(f"call {self.name} has no RTP port yet")
        return self.relay


class LateMediaError(CigError):
    """SDP is due before the call has a port at the relay."""

    sip_status = 488
    log_code = "sip-no-port"
