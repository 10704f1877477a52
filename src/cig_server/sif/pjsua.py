# SPDX-License-Identifier: GPL-3.0-or-later
"""The SIP stack: the only file that knows pjsua2.

One thread owns every object of pjsua2 (`cig_server.sif.stack_thread`). Events go out as plain
values. The stack carries signalling only: its media transports are loops without a socket, and the
SDP is ours.

What keeps this alive:

- A Call object must be referenced until its call is disconnected, and must die in this thread and
  outside callbacks: the trunk keeps it until the end of a turn.
- No exception may leave a callback for the C++ below it: it is counted and costs its own call.
- Where the stack's default would act on a stranger's word it is overruled: no REFER, no Replaces,
  no redirection, no subscription.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pjsua2 as pj

from cig_server.sif.commands import Headers, SendMessage
from cig_server.sif.events import Refused
from cig_server.sif.headers import SipMessage
from cig_server.sif.invites import refused
from cig_server.sif.leg import Leg, Phase
from cig_server.sif.messages import Messages
from cig_server.sif.settings import Address, cannot_listen
from cig_server.sif.stack_config import fill_account, fill_endpoint
from cig_server.sif.stack_log import StackLog
from cig_server.sif.stack_thread import StackThread
from cig_server.sif.trunk import StackError, Trunk

_POLL_MS = 20

_TRANSPORTS = {
    4: (pj.PJSIP_TRANSPORT_UDP, pj.PJSIP_TRANSPORT_TCP),
    6: (pj.PJSIP_TRANSPORT_UDP6, pj.PJSIP_TRANSPORT_TCP6),
}
_IP_VERSIONS = {
    frozenset({4}): pj.PJSUA_IPV6_DISABLED,
    frozenset({6}): pj.PJSUA_IPV6_ENABLED_USE_IPV6_ONLY,
    # A name that has addresses of both: the relay cannot know which one the stack will take, so
    # the stack takes the one for which the SDP is made.
    frozenset({4, 6}): pj.PJSUA_IPV6_ENABLED_PREFER_IPV4,
}

_Result = TypeVar("_Result")


def _guarded(callback: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Let no exception out of a callback of `_Call`: it ends the call instead."""

    @functools.wraps(callback)
    def wrapper(call: _Call, prm: Any) -> None:
        try:
            callback(call, prm)
        except Exception as error:
            call.trunk.callback_failed(call, error)

    return wrapper


def _translated(method: Callable[..., _Result]) -> Callable[..., _Result]:
    """Turn the stack's error into ours."""

    @functools.wraps(method)
    def wrapper(*args: Any) -> _Result:
        try:
            return method(*args)
        except pj.Error as error:
            raise StackError(_words(error)) from None

    return wrapper


class _LogWriter(pj.LogWriter):  # type: ignore[misc]
    def __init__(self, log: StackLog) -> None:
        super().__init__()
        self._log = log

    def write(self, entry: Any) -> None:
        with contextlib.suppress(Exception):
            self._log.write(entry.msg, time.monotonic())


class _Endpoint(pj.Endpoint):  # type: ignore[misc]
    def __init__(self, trunk: Trunk, post: Callable[[Refused], None]) -> None:
        super().__init__()
        self._trunk = trunk
        self._post = post

    def onRejectedIncomingCall(self, prm: Any) -> None:
        """The stack itself has refused an INVITE: bad SDP, no common codec, bad extension."""
        try:
            self._trunk.counters["invites-refused"] += 1
            reason = prm.reason or "refused by the SIP stack"
            self._post(refused(prm.rdata.wholeMsg, prm.statusCode, reason, prm.rdata.srcAddress))
        except Exception as error:
            self._trunk.callback_failed(None, error)


class _Account(pj.Account):  # type: ignore[misc]
    """The trunk's one account; it has no registration and takes INVITEs for any user."""

    def __init__(self, trunk: Trunk, messages: Messages) -> None:
        super().__init__()
        self._trunk = trunk
        self._messages = messages

    def onIncomingCall(self, prm: Any) -> None:
        try:
            make_call = functools.partial(_Call, self._trunk, self, call_id=prm.callId)
            self._trunk.incoming(make_call, prm.rdata.wholeMsg, prm.rdata.srcAddress)
        except Exception as error:
            self._trunk.callback_failed(None, error)

    def onInstantMessage(self, prm: Any) -> None:
        """A MESSAGE outside of calls; cig_message.c gives its token for the body."""
        token = int(prm.msgBody)
        try:
            self._messages.incoming(token, prm.rdata.wholeMsg, prm.rdata.srcAddress)
        except Exception as error:
            self._trunk.callback_failed(None, error)
            self._messages.broken(token)

    def onInstantMessageStatus(self, prm: Any) -> None:
        try:
            heard = bool(prm.rdata.wholeMsg)
            self._messages.sent(int(prm.userData or 0), int(prm.code), prm.reason, heard)
        except Exception as error:
            self._trunk.callback_failed(None, error)

    def onIncomingSubscribe(self, prm: Any) -> None:
        prm.code = pj.PJSIP_SC_BAD_EVENT


class _Call(pj.Call):  # type: ignore[misc]
    """A `cig_server.sif.trunk.StackCall`."""

    def __init__(
        self, trunk: Trunk, account: _Account, leg: Leg, call_id: int = pj.PJSUA_INVALID_ID
    ) -> None:
        super().__init__(account, call_id)
        self.trunk = trunk
        self.leg = leg
        self.announced = True
        self.heard = False
        self.refreshing = False

    # --- what the trunk asks for ----------------------------------------------------------------

    @_translated
    def dial(self, to_uri: str, from_uri: str, headers: Headers) -> str:
        param = _parameters(0, headers)
        _audio_only(param)
        param.txOption.localUri = from_uri
        self.makeCall(to_uri, param)
        return str(self.getInfo().callIdString)

    @_translated
    def respond(self, status: int, sdp: str | None) -> None:
        param = _parameters(status, ())
        if sdp is not None:
            param.sdp.wholeSdp = sdp
        self.answer(param)

    @_translated
    def hang_up(self, status: int, headers: Headers) -> None:
        self.hangup(_parameters(status, headers))

    @_translated
    def send_reinvite(self) -> None:
        param = _parameters(0, ())
        _audio_only(param)
        self.reinvite(param)

    # --- what the stack reports -----------------------------------------------------------------

    @_guarded
    def onCallState(self, prm: Any) -> None:
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_CONNECTING and self.leg.phase is Phase.CALLING:
            self.trunk.connecting(self, _sdp(prm.e))
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self.trunk.confirmed(self, _sdp(prm.e))
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.trunk.disconnected(self, info.lastStatusCode, info.lastReason, _received(prm.e))

    @_guarded
    def onCallTsxState(self, prm: Any) -> None:
        transaction = prm.e.body.tsxState.tsx
        ours = transaction.role == pj.PJSIP_ROLE_UAC and transaction.method == "INVITE"
        if not ours or _received(prm.e) is None:
            return
        self.heard = True
        if self.leg.phase is Phase.CALLING and transaction.statusCode < 200:
            self.trunk.provisional(self, transaction.statusCode, _sdp(prm.e))
        elif self.leg.phase is Phase.TALKING and transaction.statusCode >= 200:
            self.trunk.reinvite_done(self, transaction.statusCode, _sdp(prm.e))

    @_guarded
    def onCallSdpCreated(self, prm: Any) -> None:
        remote = prm.remSdp.wholeSdp
        if not remote:
            prm.sdp.wholeSdp = self.leg.our_offer()
        elif self.leg.phase is Phase.TALKING:
            prm.sdp.wholeSdp = self.leg.answer_to(remote)

    @_guarded
    def onCallRxOffer(self, prm: Any) -> None:
        if not self.trunk.check_offer(self, prm.offer.wholeSdp):
            prm.statusCode = pj.PJSIP_SC_NOT_ACCEPTABLE_HERE

    @_guarded
    def onCallMediaState(self, prm: Any) -> None:
        self.trunk.media_settled(self)

    def onCallRedirected(self, prm: Any) -> int:
        return int(pj.PJSIP_REDIRECT_REJECT)

    def onCallTransferRequest(self, prm: Any) -> None:
        prm.statusCode = pj.PJSIP_SC_DECLINE

    onCallReplaceRequest = onCallTransferRequest


class _MessageStack:
    """A `cig_server.sif.messages.MessageStack`; below it is tools/pjsua2/cig_message.c."""

    def send(self, token: int, command: SendMessage) -> None:
        option = _option(command.headers)
        option.localUri = command.from_uri
        _check(pj.cigSendMessage(token, command.to_uri, command.text, option))

    def answer(self, token: int, status: int, headers: Headers) -> None:
        _check(pj.cigAnswerMessage(token, status, _option(headers)))


class PjStack(StackThread):
    """The thread that owns pjsua2."""

    _endpoint: Any = None
    _account: Any = None

    def _poll(self) -> None:
        self._endpoint.libHandleEvents(_POLL_MS)

    def _message_stack(self) -> _MessageStack:
        return _MessageStack()

    def _words(self, error: Exception) -> str:
        return _words(error) if isinstance(error, pj.Error) else str(error)

    def _make_call(self, leg: Leg) -> _Call:
        return _Call(self.trunk, self._account, leg)

    def _set_up(self) -> None:
        settings = self._settings
        config = pj.EpConfig()
        fill_endpoint(config, settings)
        self._endpoint = _Endpoint(self.trunk, self._post)
        self._endpoint.libCreate()
        writer = _LogWriter(self.log)
        config.logConfig.writer = writer
        writer.__disown__()  # libDestroy deletes it, so Python must not
        self._endpoint.libInit(config)
        for address in self._listening:
            self._listen(address)
        self._endpoint.libStart()
        self._endpoint.audDevManager().setNoDev()
        self._account = _Account(self.trunk, self.messages)
        account = pj.AccountConfig()
        fill_account(account, settings, self._listening[0], _IP_VERSIONS[settings.families])
        self._account.create(account, True)

    def _listen(self, address: Address) -> None:
        transport = pj.TransportConfig()
        transport.port = self._settings.bind_port
        if not address.is_unspecified:
            transport.boundAddress = transport.publicAddress = str(address)
        try:
            for kind in _TRANSPORTS[address.version]:
                self._endpoint.transportCreate(kind, transport)
        except pj.Error as error:
            raise cannot_listen(address, transport.port, _words(error)) from None

    def _tear_down(self) -> None:
        trunk = self.trunk
        for call in trunk.abandon():
            call.this.disown()  # type: ignore[attr-defined]
        self._inbox.close()
        if self._account is not None:
            trunk.attempt(self._account.shutdown)
            self._account = None
        gc.collect()
        if self._endpoint is not None:
            # A second of waiting for responses inside is spared: the last words had their time.
            trunk.attempt(lambda: self._endpoint.libDestroy(pj.PJSUA_DESTROY_NO_RX_MSG))
            self._endpoint = None


def _parameters(status: int, headers: Headers) -> Any:
    param = pj.CallOpParam()
    param.statusCode = status
    _add(param.txOption, headers)
    return param


def _option(headers: Headers) -> Any:
    option = pj.SipTxOption()
    _add(option, headers)
    return option


def _add(option: Any, headers: Headers) -> None:
    for name, value in headers:
        header = pj.SipHeader()
        header.hName, header.hValue = name, value
        option.headers.append(header)


def _audio_only(param: Any) -> None:
    param.opt.audioCount = 1
    param.opt.videoCount = 0
    param.opt.textCount = 0


def _received(event: Any) -> str | None:
    """Give the message whose arrival is the event, or None."""
    if event.type == pj.PJSIP_EVENT_RX_MSG:
        return str(event.body.rxMsg.rdata.wholeMsg) or None
    state = event.body.tsxState
    if event.type == pj.PJSIP_EVENT_TSX_STATE and state.type == pj.PJSIP_EVENT_RX_MSG:
        return str(state.src.rdata.wholeMsg) or None
    return None


def _sdp(event: Any) -> str | None:
    text = _received(event)
    return None if text is None else SipMessage.parse(text).sdp()


def _words(error: Any) -> str:
    return f"{error.reason} ({error.status})"


def _check(status: int) -> None:
    if status != pj.PJ_SUCCESS:
        raise StackError(f"{pj.Endpoint.instance().utilStrError(status)} ({status})")
