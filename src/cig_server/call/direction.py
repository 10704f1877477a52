# SPDX-License-Identifier: GPL-3.0-or-later
"""What the two directions of a call have in common: the steps that the machine's actions name.

A step that has to wait for the relay is a coroutine and raises `cig_common.errors.CigError`; the
others act at once. `secure_to_sip` and `sip_to_secure` beside this file fill them in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from cig_common.control.media import TelLeg
from cig_common.control.messages import (
    CloseCallRequest,
    Done,
    SipMediaRequest,
    StatisticsReply,
    TelLegRequest,
)
from cig_server.call.model import Ending, Parties
from cig_server.relay.client import RelayClient
from cig_server.sif.events import SipMedia
from cig_server.sif.interface import SipInterface
from cig_server.uif.interface import UmsgInterface
from umsg.messages import Leg

TEL_CODECS = ("PCMA/8000", "PCMU/8000")
"""Codecs that the gateway offers and takes on the secure side, in order of preference."""

TEL_DTMF = 101
"""RFC 4733 payload type that the gateway wants to receive on the secure side."""


@dataclass(frozen=True, slots=True)
class Interfaces:
    """What a call is made of: the relay, and the interfaces of both sides."""

    relay: RelayClient
    uif: UmsgInterface
    sif: SipInterface


class Direction(ABC):
    """The steps of one call in one direction.

    ``handle`` names the call on the control socket, ``umsg_id`` on the secure side, ``sip_call`` in
    the SIP interface; ``sip_call_id`` is its SIP Call-ID, empty until the INVITE has been sent.
    """

    def __init__(
        self,
        handle: str,
        parties: Parties,
        interfaces: Interfaces,
        *,
        umsg_id: str,
        sip_call: str,
        sip_call_id: str = "",
    ) -> None:
        self.handle = handle
        self.parties = parties
        self.relay = interfaces.relay
        self.umsg_id = umsg_id
        self.sip_call = sip_call
        self.sip_call_id = sip_call_id
        self.sip_addr = ""
        self.sip_port = 0
        self.media: SipMedia | None = None
        self._uif = interfaces.uif
        self._sif = interfaces.sif

    @property
    @abstractmethod
    def caller_if_id(self) -> str:
        """The session's identity in the caller's domain."""

    @property
    @abstractmethod
    def callee_if_id(self) -> str:
        """The session's identity in the callee's domain; empty until it is known."""

    @abstractmethod
    async def open(self) -> None:
        """Have the relay check or make the I_MESSAGE and reserve the ports."""

    @abstractmethod
    def dial(self) -> None:
        """Call the outgoing side."""

    @abstractmethod
    def ring_in(self) -> None:
        """Tell the caller that the callee is being alerted."""

    @abstractmethod
    async def connect_early(self) -> None:
        """Connect the early media that the callee offered last."""

    @abstractmethod
    def progress_in(self) -> None:
        """Announce the connected early media to the caller."""

    @abstractmethod
    async def connect(self) -> None:
        """Connect the callee's answer."""

    @abstractmethod
    def answer_in(self) -> None:
        """Answer the caller."""

    @abstractmethod
    def end_in(self, ending: Ending) -> None:
        """End the caller's side."""

    @abstractmethod
    def end_out(self, ending: Ending) -> None:
        """End the callee's side."""

    async def bind(self, leg: Leg) -> None:
        """Have the relay bind the leg that the CRS named for this call's media."""
        tel_leg = TelLeg(leg.addr, leg.port, leg.ufrag, leg.pwd)
        await self.relay.request(TelLegRequest(self.handle, tel_leg), Done)

    async def set_sip_media(self, media: SipMedia) -> None:
        """Tell the relay where and what the SIP side receives from now on."""
        await self.relay.request(SipMediaRequest(self.handle, media), Done)

    async def update_media(self) -> None:
        """Tell the relay the SIP side's present media; nothing while there is none."""
        if self.media is not None:
            await self.set_sip_media(self.media)

    async def close_media(self) -> StatisticsReply:
        """Have the relay close the call; gives its last statistics."""
        return await self.relay.request(CloseCallRequest(self.handle), StatisticsReply)
