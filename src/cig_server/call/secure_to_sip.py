# SPDX-License-Identifier: GPL-3.0-or-later
"""A call from the secure side to SIP: a ``bang`` in, an INVITE out."""

from __future__ import annotations

from cig_common.control.messages import (
    AcceptCallReply,
    AcceptCallRequest,
    AnswerMacRequest,
    Done,
    MacReply,
    TelMediaRequest,
)
from cig_common.errors import CodecError, CrsUnavailableError
from cig_server.call.direction import TEL_CODECS, TEL_DTMF, Direction, Interfaces
from cig_server.call.model import Ending, Parties
from cig_server.call.reason_header import reason_header
from cig_server.sif.outgoing import host_address
from umsg.messages import Bang
from umsg.reasons import Reason


class SecureToSip(Direction):
    """The steps of a call that a secure phone began."""

    def __init__(self, handle: str, parties: Parties, interfaces: Interfaces, bang: Bang) -> None:
        super().__init__(handle, parties, interfaces, umsg_id=bang.id, sip_call=handle)
        self._bang = bang
        self._codec = ""
        self._mac = b""

    @property
    def caller_if_id(self) -> str:
        """The UMSG id."""
        return self.umsg_id

    @property
    def callee_if_id(self) -> str:
        """The SIP Call-ID."""
        return self.sip_call_id

    async def open(self) -> None:
        """Check the caller's I_MESSAGE, reserve ports, begin to bind the leg at the CRS."""
        bang = self._bang
        self._codec = next((codec for codec in TEL_CODECS if codec in bang.offer), "")
        if not self._codec:
            raise CodecError("the secure phone offers no G.711")
        request = AcceptCallRequest(
            call=self.handle,
            mikey=bang.mikey,
            id=bang.id,
            from_uri=bang.from_uri,
            to_uri=bang.to_uri,
            offer=bang.offer,
            dtmf=bang.dtmf,
            codec=self._codec,
            sip_peer=str(host_address(self.parties.out_to) or ""),
        )
        reply = await self.relay.request(request, AcceptCallReply)
        self.sip_addr, self.sip_port = reply.sip_addr, reply.sip_port
        leg = bang.leg
        if leg is None:
            raise CrsUnavailableError("the CRS named no leg for this call's media")
        await self.bind(leg)

    def dial(self) -> None:
        """Send the INVITE."""
        self._sif.dial(
            self.handle,
            to_uri=self.parties.out_to,
            from_uri=self.parties.out_from,
            relay_addr=self.sip_addr,
            relay_port=self.sip_port,
        )

    def ring_in(self) -> None:
        """Send ``growl``."""
        self._uif.growl(self.umsg_id)

    async def connect_early(self) -> None:
        """Connect the 183's media and make the MAC of the ``growl``."""
        await self._connect("growl")

    def progress_in(self) -> None:
        """Send ``growl`` with codec and MAC."""
        self._uif.growl(self.umsg_id, codec=self._codec, dtmf=TEL_DTMF, mac=self._mac)

    async def connect(self) -> None:
        """Connect the 200's media and make the MAC of the ``talk``."""
        await self._connect("talk")

    async def _connect(self, message: str) -> None:
        if self.media is None:
            raise CodecError("the PBX answered without usable SDP")
        await self.set_sip_media(self.media)
        await self.relay.request(TelMediaRequest(self.handle, self._codec, self._bang.dtmf), Done)
        request = AnswerMacRequest(self.handle, message, self._codec, TEL_DTMF)
        self._mac = (await self.relay.request(request, MacReply)).mac

    def answer_in(self) -> None:
        """Send ``talk``."""
        self._uif.talk(self.umsg_id, codec=self._codec, dtmf=TEL_DTMF, mac=self._mac)

    def end_in(self, ending: Ending) -> None:
        """Send ``hangup`` with the reason; which check of its crypto failed is not for a caller."""
        text = "" if ending.reason is Reason.CRYPTO else ending.text
        self._uif.hangup(self.umsg_id, ending.reason, text)

    def end_out(self, ending: Ending) -> None:
        """Send CANCEL or BYE, whatever the SIP dialog's state asks for."""
        self._sif.hangup(self.handle, reason_header(ending))
