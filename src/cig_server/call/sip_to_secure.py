# SPDX-License-Identifier: GPL-3.0-or-later
"""A call from SIP to the secure side: an INVITE in, a ``bang`` out."""

from __future__ import annotations

import ipaddress

from cig_common.control.messages import (
    CheckMacRequest,
    Done,
    PlaceCallReply,
    PlaceCallRequest,
    TelMediaRequest,
)
from cig_common.errors import CryptoError
from cig_server.call.direction import TEL_CODECS, TEL_DTMF, Direction, Interfaces
from cig_server.call.model import Ending, Parties
from cig_server.call.reason_header import reason_header
from cig_server.sif.events import IncomingInvite
from cig_server.sif.reasons import sip_status_for
from umsg.call_events import CallAnswered, CallGrowled
from umsg.messages import Bang


def _address_of(invite: IncomingInvite) -> str:
    """Give the address at which the PBX wants the sound; from which it calls, if it names none."""
    wanted = "" if invite.offer is None else invite.offer.media.addr
    if wanted and not ipaddress.ip_address(wanted).is_unspecified:
        return wanted
    return invite.source.rpartition(":")[0].strip("[]")


class SipToSecure(Direction):
    """The steps of a call that a SIP phone began.

    ``umsg_id`` is the id under which the secure side will know the call.
    """

    def __init__(
        self,
        handle: str,
        parties: Parties,
        interfaces: Interfaces,
        invite: IncomingInvite,
        umsg_id: str,
    ) -> None:
        super().__init__(
            handle,
            parties,
            interfaces,
            umsg_id=umsg_id,
            sip_call=invite.call,
            sip_call_id=invite.call_id,
        )
        self.media = invite.offer.media if invite.offer is not None else None
        self._sip_peer = _address_of(invite)
        self._mikey = b""
        self._answered = False
        self.answer: CallGrowled | CallAnswered | None = None

    @property
    def caller_if_id(self) -> str:
        """The SIP Call-ID."""
        return self.sip_call_id

    @property
    def callee_if_id(self) -> str:
        """The UMSG id."""
        return self.umsg_id

    async def open(self) -> None:
        """Make the I_MESSAGE for the callee and reserve ports."""
        request = PlaceCallRequest(
            call=self.handle,
            id=self.umsg_id,
            from_uri=self.parties.out_from,
            to_uri=self.parties.out_to,
            offer=TEL_CODECS,
            dtmf=TEL_DTMF,
            sip_peer=self._sip_peer,
        )
        reply = await self.relay.request(request, PlaceCallReply)
        self._mikey = reply.mikey
        self.sip_addr, self.sip_port = reply.sip_addr, reply.sip_port

    def dial(self) -> None:
        """Send the ``bang``."""
        bang = Bang(
            id=self.umsg_id,
            from_uri=self.parties.out_from,
            to_uri=self.parties.out_to,
            mikey=self._mikey,
            offer=TEL_CODECS,
            dtmf=TEL_DTMF,
        )
        self._uif.place(bang)

    def ring_in(self) -> None:
        """Answer 180."""
        self._sif.ring(self.sip_call)

    async def connect_early(self) -> None:
        """Check the ``growl``'s MAC and connect its media."""
        await self._connect("growl")

    def progress_in(self) -> None:
        """Answer 183 with SDP."""
        self._sif.progress(self.sip_call, self.sip_addr, self.sip_port)

    async def connect(self) -> None:
        """Check the ``talk``'s MAC and connect its media."""
        await self._connect("talk")
        self._uif.proved(self.umsg_id)

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
        self._sif.answer(self.sip_call, self.sip_addr, self.sip_port)

    def end_in(self, ending: Ending) -> None:
        """Refuse the INVITE with a final response, or send BYE once it is answered."""
        if self._answered:
            self._sif.hangup(self.sip_call, reason_header(ending))
            return
        status = ending.sip_status or sip_status_for(ending.reason)
        self._sif.reject(self.sip_call, status, reason_header(ending))

    def end_out(self, ending: Ending) -> None:
        """Send ``hangup``."""
        self._uif.hangup(self.umsg_id, ending.reason, ending.text)
