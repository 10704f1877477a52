# SPDX-License-Identifier: GPL-3.0-or-later
"""One server's requests and the calls that it has opened; knows no socket.

The rules:

1. A request of a call waits for those that came before it for the same call; other calls go on.
2. A call exists from the moment its request is taken: a second one of the same name is refused.
   One that could not be opened leaves nothing behind.
3. The MAC of an answer is made only for calls that came in, and checked only for calls that went
   out, over `talk` and `growl`: the relay is no oracle for other octets.
4. Every failure becomes one `ErrorReply`, a refused I_MESSAGE besides a WARN line that says why.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from cig_common.control.messages import (
    AcceptCallReply,
    AcceptCallRequest,
    AnswerMacRequest,
    CheckMacRequest,
    CloseCallRequest,
    CommitReloadRequest,
    Done,
    ErrorCode,
    ErrorReply,
    HelloRequest,
    KeysRequest,
    MacReply,
    MediaLostEvent,
    PlaceCallReply,
    PlaceCallRequest,
    PrepareReloadRequest,
    SignAuthReply,
    SignAuthRequest,
    SipMediaRequest,
    StatisticsReply,
    StatisticsRequest,
    StatusRequest,
    TelBoundEvent,
    TelLegRequest,
    TelMediaRequest,
)
from cig_common.control.record import Record
from cig_common.control.texts import OpenTextRequest
from cig_common.errors import CigError, CodecError, ControlError
from cig_common.loading import LOAD_SECONDS
from cig_relay.control.call_crypto import CallKeys
from cig_relay.control.refusals import error_reply
from cig_relay.control.service import RelayService
from cig_relay.control.text_session import TextSession
from cig_relay.engines.errors import RefusedError
from cig_relay.media.engine import (
    CallStatistics,
    SipAddress,
    UnknownCallError,
)
from umsg.binding import answer_mac

_log = logging.getLogger("Control")

MAX_NAME = 128
REQUEST_TIMEOUT = 25.0
"""Seconds that a request may take: more than an engine that hangs and the same once more on
another cost (`cig_relay.engines.pool`), less than the server waits for its answer."""
_LONGER: dict[type[Record], float] = {PrepareReloadRequest: LOAD_SECONDS + REQUEST_TIMEOUT}
"""Those that take their time."""
_ANSWERS = frozenset(("talk", "growl"))
_G711 = frozenset(("PCMA/8000", "PCMU/8000"))

_Extra = TypeVar("_Extra")


class Role(StrEnum):
    """What the gateway is in a call, as the secure side sees it."""

    CALLER = "caller"
    CALLEE = "callee"


@dataclass(slots=True)
class _Call:
    """One call of the server. ``keys`` is None until it is open."""

    name: str
    media_name: str
    id: str
    role: Role
    keys: CallKeys | None = field(default=None, repr=False)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Session:
    """The requests of one connection. ``send_event`` takes what the relay reports on its own."""

    def __init__(
        self, service: RelayService, number: int, send_event: Callable[[Record], None]
    ) -> None:
        self._service = service
        self._number = number
        self._send_event = send_event
        self._calls: dict[str, _Call] = {}
        self._server_bind = ""
        self.texts = TextSession(service.texts, service.counters)
        self._handlers: dict[type[Record], Callable[[Any], Awaitable[Record]]] = {
            HelloRequest: self._hello,
            SignAuthRequest: self._sign_auth,
            AcceptCallRequest: self._accept_call,
            PlaceCallRequest: self._place_call,
            TelLegRequest: self._tel_leg,
            TelMediaRequest: self._tel_media,
            SipMediaRequest: self._sip_media,
            AnswerMacRequest: self._answer_mac,
            CheckMacRequest: self._check_mac,
            CloseCallRequest: self._close_call,
            StatisticsRequest: self._statistics,
            StatusRequest: self._status,
            KeysRequest: self._keys,
            PrepareReloadRequest: self._prepare_reload,
            CommitReloadRequest: self._commit_reload,
            **self.texts.handlers,
        }

    @property
    def calls(self) -> int:
        """How many calls this server has open, or is opening."""
        return len(self._calls)

    async def handle(self, request: Record) -> Record:
        """Carry out a request; gives its answer, an `ErrorReply` for whatever fails."""
        handler = self._handlers.get(type(request))
        name = type(request).__name__
        if handler is None:
            return ErrorReply(ErrorCode.PROTOCOL, "control", f"{name} is no request")
        limit = _LONGER.get(type(request), REQUEST_TIMEOUT)
        try:
            async with asyncio.timeout(limit):
                return await handler(request)
        except CigError as error:
            return self._failure(request, error)
        except TimeoutError:
            _log.warning("%s took more than %g s and was given up", name, limit)
            return ErrorReply(ErrorCode.INTERNAL, "timeout", f"{name} took too long")
        except Exception as error:
            # The traceback names places, never values.
            _log.exception("%s failed through a fault of our own", name)
            return ErrorReply(ErrorCode.INTERNAL, "internal", type(error).__name__)

    async def close(self) -> None:
        """Close all calls and texts of this server and wipe their keys."""
        self.texts.close()
        for name in list(self._calls):
            try:
                await self._close_call(CloseCallRequest(name))
            except CigError as error:
                _log.warning("call %s could not be closed cleanly: %s", name, error)

    # --- what the media engine reports ----------------------------------------------------------

    def tel_bound(self, call: str) -> None:
        """The CRS answered the STUN binding of a call's tel leg."""
        self._send_event(TelBoundEvent(self._own_name(call)))

    def media_lost(self, call: str, side: str, seconds: float) -> None:
        """Nothing authentic came on a call's ``side`` for ``seconds``."""
        self._send_event(MediaLostEvent(self._own_name(call), side, seconds))

    def _own_name(self, media_name: str) -> str:
        return media_name.partition("/")[2]

    # --- requests -------------------------------------------------------------------------------

    async def _hello(self, request: HelloRequest) -> Record:
        # The server's SIP stays on this address while it lives, whatever cig.conf says by now.
        self._server_bind = _checked_address("sip_bind", request.sip_bind)
        return await self._service.hello()

    async def _status(self, request: StatusRequest) -> Record:
        return self._service.status()

    async def _keys(self, request: KeysRequest) -> Record:
        return self._service.keys()

    async def _prepare_reload(self, request: PrepareReloadRequest) -> Record:
        await self._service.configuration.prepare(request.digest)
        return Done()

    async def _commit_reload(self, request: CommitReloadRequest) -> Record:
        self._service.configuration.commit(request.digest)
        return Done()

    async def _sign_auth(self, request: SignAuthRequest) -> Record:
        return SignAuthReply(await self._service.crypto.sign_auth(request))

    async def _accept_call(self, request: AcceptCallRequest) -> Record:
        if request.codec not in _G711 or request.codec not in request.offer:
            raise CodecError(f"codec {request.codec[:40]!r} is not G.711 or was not offered")
        address, signer = await self._open(
            request, Role.CALLEE, lambda: self._service.crypto.accept(request)
        )
        if signer.short:
            self._service.counters["signatures_short"] += 1
            _log.warning(
                "call %s: the signature of %s leaves out the SIGN header and was taken, as "
                "--accept-short-signatures says",
                request.id[:MAX_NAME],
                signer.uri,
            )
        return AcceptCallReply(address.addr, address.port, signer.uri)

    async def _place_call(self, request: PlaceCallRequest) -> Record:
        address, message = await self._open(
            request, Role.CALLER, lambda: self._service.crypto.place(request)
        )
        return PlaceCallReply(message, address.addr, address.port)

    async def _open(
        self,
        request: AcceptCallRequest | PlaceCallRequest,
        role: Role,
        make_keys: Callable[[], Awaitable[tuple[CallKeys, _Extra]]],
    ) -> tuple[SipAddress, _Extra]:
        name = request.call
        sip_peer = _checked_address("sip_peer", request.sip_peer)
        if not 1 <= len(name) <= MAX_NAME or name in self._calls:
            raise ControlError(
                f"call name {name[:MAX_NAME]!r} is in use already or has a wrong length"
            )
        call = self._calls[name] = _Call(name, f"{self._number}/{name}", request.id, role)
        async with call.lock:
            try:
                keys, extra = await make_keys()
                address = await self._open_media(call, keys, sip_peer)
            except BaseException:
                del self._calls[name]
                raise
            call.keys = keys
        self._service.counters[f"calls_{role}"] += 1
        return address, extra

    async def _open_media(self, call: _Call, keys: CallKeys, sip_peer: str) -> SipAddress:
        service = self._service
        try:
            address = await service.media.open_call(
                call.media_name,
                tel_tx=keys.tx,
                tel_rx=keys.rx,
                tel_ssrc=keys.ssrc,
                tel_local_addr=service.tel_addr(),
                sip_local_addr=service.sip_addr(self._server_bind, sip_peer),
                listener=self,
            )
        except BaseException:
            keys.wipe()
            raise
        keys.wipe_srtp()
        return address

    async def _tel_leg(self, request: TelLegRequest) -> Record:
        async with self._locked(request.call) as call:
            await self._service.media.set_tel_leg(call.media_name, request.leg)
        return Done()

    async def _tel_media(self, request: TelMediaRequest) -> Record:
        async with self._locked(request.call) as call:
            self._service.media.set_tel_media(call.media_name, request.codec, request.dtmf)
        return Done()

    async def _sip_media(self, request: SipMediaRequest) -> Record:
        async with self._locked(request.call) as call:
            self._service.media.set_sip_media(call.media_name, request.media)
        return Done()

    async def _answer_mac(self, request: AnswerMacRequest) -> Record:
        async with self._locked(request.call) as call:
            return MacReply(_mac(call, Role.CALLEE, request))

    async def _check_mac(self, request: CheckMacRequest) -> Record:
        async with self._locked(request.call) as call:
            if not hmac.compare_digest(_mac(call, Role.CALLER, request), request.mac):
                raise RefusedError("wrong-mac", f"the {request.t} is not by the one who was called")
        return Done()

    async def _statistics(self, request: StatisticsRequest) -> Record:
        async with self._locked(request.call) as call:
            return _reply(call, self._service.media.statistics(call.media_name))

    async def _close_call(self, request: CloseCallRequest) -> Record:
        async with self._locked(request.call) as call:
            del self._calls[call.name]
            if call.keys is not None:
                call.keys.wipe()
                call.keys = None
            return _reply(call, await self._service.media.close_call(call.media_name))

    # --- the inside -----------------------------------------------------------------------------

    @asynccontextmanager
    async def _locked(self, name: str) -> AsyncIterator[_Call]:
        call = self._calls.get(name)
        if call is not None:
            async with call.lock:
                # It may have ended, or never got open, while we waited for our turn.
                if call.keys is not None:
                    yield call
                    return
        raise UnknownCallError(f"no call {name[:MAX_NAME]!r} is open")

    def _failure(self, request: Record, error: CigError) -> ErrorReply:
        reply = error_reply(error)
        self._service.counters[f"refused_{reply.detail}"] += 1
        if isinstance(request, AcceptCallRequest | OpenTextRequest):
            kind, name = _named(request)
            _log.warning(
                "%s %s from %s to %s refused, %s: %s",
                kind,
                name[:MAX_NAME],
                request.from_uri[:MAX_NAME],
                request.to_uri[:MAX_NAME],
                reply.detail,
                error,
            )
        else:
            _log.warning("%s failed, %s: %s", type(request).__name__, reply.detail, error)
        return reply


def _checked_address(name: str, text: str) -> str:
    """Return the address in its usual form; empty stays empty. Raises ControlError."""
    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError:
        raise ControlError(f"{name} {text[:40]!r} is no IP address") from None


def _named(request: AcceptCallRequest | OpenTextRequest) -> tuple[str, str]:
    if isinstance(request, AcceptCallRequest):
        return "call", request.id
    return "text", request.mid


def _mac(call: _Call, role: Role, request: AnswerMacRequest | CheckMacRequest) -> bytes:
    if call.role is not role or request.t not in _ANSWERS or call.keys is None:
        raise ControlError(f"a MAC of {request.t[:20]!r} has no place where we are the {call.role}")
    return answer_mac(
        call.keys.answer_key.reveal(),
        t=request.t,
        id=call.id,
        codec=request.codec,
        dtmf=request.dtmf,
        message_digest=call.keys.message_digest,
    )


def _reply(call: _Call, statistics: CallStatistics) -> StatisticsReply:
    return StatisticsReply(call.name, statistics.seconds, statistics.legs)
