# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins the interfaces: routes what comes in on one and follows the call on both.

It hears the UMSG interface, the SIP interface and the relay, finds the call that each event
belongs to, and feeds the call manager. It decides nothing that the call machine's table decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from cig_common.config import Configuration
from cig_common.config.routing import Interface, route
from cig_common.control.key_facts import Identity, KeysEnding
from cig_common.control.messages import (
    ConfigurationEvent,
    EnginesEvent,
    HelloReply,
    IdentityEvent,
    KeysEndingEvent,
    KeysReply,
    KeysRequest,
    MediaLostEvent,
    StatusReply,
    StatusRequest,
    TelBoundEvent,
)
from cig_common.control.record import Record
from cig_common.errors import (
    CigError,
    CrsUnavailableError,
    OverloadError,
    RelayUnavailableError,
)
from cig_server.call.direction import Direction, Interfaces
from cig_server.call.machine import Event, State
from cig_server.call.manager import Call, CallManager
from cig_server.call.model import NORMAL, Ending, Parties
from cig_server.call.reason_header import reason_header
from cig_server.call.secure_to_sip import SecureToSip
from cig_server.call.sip_to_secure import SipToSecure
from cig_server.relay.client import RelayClient
from cig_server.session_log import SessionState
from cig_server.sif.events import (
    Answered,
    Dialled,
    Ended,
    IncomingInvite,
    MediaChanged,
    Progress,
    Refused,
    SipEvent,
)
from cig_server.sif.interface import SipInterface
from cig_server.sif.reasons import reason_for_status
from cig_server.uif.interface import UmsgInterface
from umsg.call_events import CallAnswered, CallEnded, CallGrowled, CallTried
from umsg.messages import Bang, new_id
from umsg.reasons import Reason

logger = logging.getLogger("Gateway")

_STATUS_SECONDS = 2.0


class Gateway:
    """The route module of the manual's picture, with both interfaces around it.

    ``config`` is looked at once for each new call, and by nothing that belongs to a call: a reload
    puts another one there. ``on_relay_configuration`` hears the digest of the relay's cig.conf,
    and whether the relay has just come; ``on_keys_ending`` the relay's warning about the keys.
    """

    def __init__(
        self,
        config: Configuration,
        manager: CallManager,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.config = config
        self.manager = manager
        self._random_bytes = random_bytes
        self._by_umsg: dict[str, Call] = {}
        self._by_sip: dict[str, Call] = {}
        self.relay: RelayClient
        self.uif: UmsgInterface
        self.sif: SipInterface
        self._interfaces: Interfaces
        self.stopping = False
        self.on_relay_configuration: Callable[[bytes, bool], None] = lambda digest, fresh: None
        self.on_keys_ending: Callable[[KeysEnding | None], None] = lambda warning: None
        manager.on_retired = self._forget

    def attach(self, relay: RelayClient, uif: UmsgInterface, sif: SipInterface) -> None:
        """Say which interfaces to speak through."""
        self.relay, self.uif, self.sif = relay, uif, sif
        self._interfaces = Interfaces(relay, uif, sif)

    # --- calls from the secure side -------------------------------------------------------------

    def bang(self, bang: Bang) -> None:
        """A secure phone calls."""
        parties = Parties(bang.from_uri, bang.to_uri, "", "")
        try:
            parties = self._routed(Interface.TEL, parties, bang.id)
            self._admit()
        except CigError as error:
            logger.warning("call %s from %s: %s", bang.id, bang.from_uri, error)
            self.manager.log_unrouted(parties, SessionState.FAILED, bang.id)
            self.uif.hangup(bang.id, error.umsg_reason, str(error))
            return
        handle = self.manager.next_handle()
        self._begin(SecureToSip(handle, parties, self._interfaces, bang))

    def tel_tried(self, call_id: str, event: CallTried) -> None:
        """The CRS found the callee and names the leg for our media."""
        call = self._by_umsg.get(call_id)
        if call is not None and isinstance(call.direction, SipToSecure):
            self.manager.run(call, call.direction.bind(event.leg), None)
            self.manager.post(call, Event.TRYING)

    def tel_growled(self, call_id: str, event: CallGrowled) -> None:
        """The secure phone is being alerted, perhaps with early media."""
        call = self._by_umsg.get(call_id)
        if call is not None and isinstance(call.direction, SipToSecure):
            self.manager.post(call, Event.RINGING)
            if event.codec is not None:
                call.direction.answer = event
                self.manager.post(call, Event.PROGRESS)

    def tel_answered(self, call_id: str, event: CallAnswered) -> None:
        """The secure phone accepted."""
        call = self._by_umsg.get(call_id)
        if call is not None and isinstance(call.direction, SipToSecure):
            call.direction.answer = event
            self.manager.post(call, Event.ANSWERED)

    def tel_ended(self, call_id: str, event: CallEnded) -> None:
        """The secure side ended the call, or the call could not reach it."""
        call = self._by_umsg.get(call_id)
        if call is None:
            return
        outgoing = isinstance(call.direction, SipToSecure)
        kind = Event.OUT_ENDED if outgoing else Event.IN_ENDED
        self.manager.post(call, kind, Ending(event.reason, event.text or ""))

    # --- calls from the SIP side ----------------------------------------------------------------

    def sip_event(self, event: SipEvent) -> None:
        """Something happened on the SIP side."""
        if isinstance(event, IncomingInvite):
            self._invite(event)
            return
        call = self._by_sip.get(event.call)
        if call is None:
            return
        direction = call.direction
        match event:
            case Dialled(call_id=call_id) if isinstance(direction, SecureToSip):
                direction.sip_call_id = call_id
            case Progress(status=status, media=media):
                if status == 100:
                    self.manager.post(call, Event.TRYING)
                elif status == 180 or media is None:
                    self.manager.post(call, Event.RINGING)
                if media is not None:
                    direction.media = media
                    self.manager.post(call, Event.PROGRESS)
            case Answered(media=media):
                direction.media = media
                self.manager.post(call, Event.ANSWERED)
            case MediaChanged(media=media):
                direction.media = media
                self.manager.post(call, Event.MEDIA_CHANGED)
            case Ended(status=status, reason=reason):
                outgoing = isinstance(direction, SecureToSip)
                ending = NORMAL
                if status:
                    ending = Ending(reason_for_status(status), f"{status} {reason}".strip(), status)
                self.manager.post(call, Event.OUT_ENDED if outgoing else Event.IN_ENDED, ending)

    def sip_refused(self, refused: Refused) -> None:
        """The SIP interface refused an INVITE before it became a call."""
        parties = Parties(refused.from_uri, refused.request_uri, "", "")
        self.manager.log_unrouted(parties, SessionState.FAILED, "")

    def _invite(self, invite: IncomingInvite) -> None:
        parties = Parties(invite.from_uri, invite.request_uri, "", "")
        try:
            parties = self._routed(Interface.SIP, parties, invite.call_id)
            self._admit()
        except CigError as error:
            logger.warning("INVITE %s from %s: %s", invite.call_id, invite.source, error)
            self.manager.log_unrouted(parties, SessionState.FAILED, invite.call_id)
            ending = Ending.of(error)
            self.sif.reject(invite.call, error.sip_status, reason_header(ending))
            return
        handle = self.manager.next_handle()
        umsg_id = new_id(self._random_bytes)
        self._begin(SipToSecure(handle, parties, self._interfaces, invite, umsg_id))

    # --- both -----------------------------------------------------------------------------------

    def _routed(self, interface: Interface, parties: Parties, caller_if_id: str) -> Parties:
        self.manager.log_unrouted(parties, SessionState.ROUTING, caller_if_id)
        found = route(self.config, interface, parties.in_to, parties.in_from)
        return Parties(parties.in_from, parties.in_to, found.from_uri, found.to_uri)

    def _admit(self) -> None:
        if self.stopping:
            raise OverloadError("the gateway is being stopped")
        if self.manager.live_count >= self.config.max_calls:
            raise OverloadError(f"{self.config.max_calls} calls are up already (max_calls)")
        if not self.relay.connected:
            raise RelayUnavailableError("cig-relay is not connected")
        if not self.uif.connected:
            raise CrsUnavailableError("no connection to a CRS")

    def _begin(self, direction: Direction) -> None:
        call = self.manager.begin(direction)
        self._by_umsg[direction.umsg_id] = self._by_sip[direction.sip_call] = call

    def _forget(self, call: Call) -> None:
        self._by_umsg.pop(call.direction.umsg_id, None)
        self._by_sip.pop(call.direction.sip_call, None)

    # --- the relay ------------------------------------------------------------------------------

    def relay_connected(self, hello: HelloReply) -> None:
        """The relay is there: log in to the CRS as the identity that it holds."""
        self._identity_is(hello.identity)
        self.on_keys_ending(hello.keys_ending)
        self.on_relay_configuration(hello.configuration, True)

    def relay_lost(self) -> None:
        """The relay is gone and every call's media with it: both parties are told at once."""
        self.manager.abort_all(Ending(Reason.MEDIA, "the media relay failed", 503))

    def relay_event(self, event: Record) -> None:
        """The relay reports something."""
        match event:
            case MediaLostEvent(call=handle, side=side, seconds=seconds):
                for call in self.manager:
                    # Before the answer the parties need not send, so silence means nothing.
                    if call.handle == handle and call.machine.state is State.ANSWER:
                        text = f"no media from the {side} side for {seconds:.0f} s"
                        self.manager.post(call, Event.ABORT, Ending(Reason.MEDIA, text))
            case EnginesEvent(available=available, total=total):
                if available < total:
                    logger.warning("crypto engines available: %d/%d", available, total)
            case IdentityEvent(identity=identity):
                self._identity_is(identity)
            case KeysEndingEvent(warning=warning):
                self.on_keys_ending(warning)
            case ConfigurationEvent(digest=digest):
                self.on_relay_configuration(digest, False)
            case TelBoundEvent(call=handle):
                logger.debug("%s: the CRS answered the media binding", handle)

    def _identity_is(self, identity: Identity | None) -> None:
        if identity is None:
            logger.warning(
                "cig-relay holds no keys: install key material with `cig-cli set-key`; "
                "calls get 503 until then"
            )
        self.uif.set_identity(identity)

    async def relay_status(self) -> StatusReply | None:
        """Ask the relay for its state; None from one that is away or does not answer soon."""
        try:
            async with asyncio.timeout(_STATUS_SECONDS):
                return await self.relay.request(StatusRequest(), StatusReply)
        except (CigError, TimeoutError):
            return None

    async def relay_keys(self) -> KeysReply:
        """Ask the relay what keys there are; raises CigError or TimeoutError."""
        async with asyncio.timeout(_STATUS_SECONDS):
            return await self.relay.request(KeysRequest(), KeysReply)
