# SPDX-License-Identifier: GPL-3.0-or-later
"""A call from SIP to the secure side: an INVITE in, a ``bang`` out."""

from __future__ import annotations

from cig_common.control.messages import (
    CheckMacRequest,
    Done,
    PlaceCallReply,
    PlaceCallRequest,
    TelMediaRequest,
)
from cig_common.errors import CryptoError
from cig_server.call.direction import TEL_CODECS, TEL_DTMF, Direction
from cig_server.call.model import Ending, Parties
from cig_server.call.reason_header import reason_header
from cig_server.relay.client import RelayClient
from cig_server.sif.events import IncomingInvite
from cig_server.sif.interface import SipInterface
from cig_server.sif.reasons import sip_status_for
from cig_server.uif.interface import UmsgInterface
from umsg.call_events import CallAnswered, CallGrowled
from umsg.messages import Bang


class SipToSecure(Direction):
    """The steps of a call that a SIP phone began.

    ``umsg_id`` is the id under which the secure side will know the call.
    """

    def __init__(
        self,
        handle: str,
        parties: Parties,
        relay: RelayClient,
        uif: UmsgInterface,
        sif: SipInterface,
        invite: IncomingInvite,
        umsg_id: str,
    ) -> None:
        super().__init__(handle, parties, relay)
        self._uif = uif
        self._sif = sif
        self._invite = invite
        self._id = umsg_id
        self._mikey = b""
        self._answered = False
        self.answer: CallGrowled | CallAnswered | None = None

    @property
    def umsg_id(self) -> str:
        """The id that we gave the call."""
        return self._id

    @property
    def sip_call(self) -> str:
        """The name that the SIP interface gave the call."""
        return self._invite.call

    @property
    def caller_if_id(self) -> str:
        """The SIP Call-ID."""
        return self._invite.call_id

    @property
    def callee_if_id(self) -> str:
        """The UMSG id."""
        return self._id

    async def open(self) -> None:
        """Make the I_MESSAGE for the callee and reserve ports."""
        request = PlaceCallRequest(
            call=self.handle,
            id=self._id,
            from_uri=self.parties.out_from,
            to_uri=self.parties.out_to,
            offer=TEL_CODECS,
            dtmf=TEL_DTMF,
        )
        reply = await self.relay.request(request, PlaceCallReply)
        self._mikey = reply.mikey
        self.sip_addr, self.sip_port = reply.sip_addr, reply.sip_port

    def dial(self) -> None:
        """Send the ``bang``."""
        bang = Bang(
            id=self._id,
            from_uri=self.parties.out_from,
            to_uri=self.parties.out_to,
            mikey=self._mikey,
            offer=TEL_CODECS,
            dtmf=TEL_DTMF,
        )
        self._uif.place(bang)

    def ring_in(self) -> None:
        """Answer 180."""
        self._sif.ring(self._invite.call)

    async def connect_early(self) -> None:
        """Check the ``growl``'s MAC and connect its media."""
        await self._connect("growl")

    def progress_in(self) -> None:
        """Answer 183 with SDP."""
        self._sif.progress(self._invite.call, self.sip_addr, self.sip_port)

    async def connect(self) -> None:
        """Check the ``talk``'s MAC and connect its media."""
        await self._connect("talk")
        self._uif.proved(self._id)

    async def _connect(self, message: str) -> None:
        answer = self.answer
        if answer is None or answer.codec not in TEL_CODECS or answer.mac is None:
            raise CryptoError(f"the callee's {message} lacks a MAC or names no codec of the offer")
        await self.relay.request(
            CheckMacRequest(self.handle, message, answer.codec, answer.dtmf, answer.mac), Done
        )
        await self.relay.request(TelMediaRequest(self.handle, answer.codec, answer.dtmf), Done)
        if self.media is not None:
            await self.set_sip_media(self.media)

    def answer_in(self) -> None:
        """Answer 200 with SDP."""
        self._answered = True
        self._sif.answer(self._invite.call, self.sip_addr, self.sip_port)

    def end_in(self, ending: Ending) -> None:
        """Refuse the INVITE with a final response, or send BYE once it is answered."""
        if self._answered:
            self._sif.hangup(self._invite.call, reason_header(ending))
            return
        status = ending.sip_status or sip_status_for(ending.reason)
        self._sif.reject(self._invite.call, status, reason_header(ending))

    def end_out(self, ending: Ending) -> None:
        """Send ``hangup``."""
        self._uif.hangup(self._id, ending.reason, ending.text)
