# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands between a request of the server and a call's keys: the order of the checks.

For an I_MESSAGE that came in, the procedure of RFC 6509 and RFC 3830 in the order of its cost, so
that a stranger cannot make the gateway work:

1. parse in bounds, profile, clock skew, month, replay lookup; the initiator is who ``from`` says;
2. ECCSI signature, in an engine; where the operator allows it, also one that leaves out the SIGN
   header, which is told (`Signer`);
3. replay cache, in memory and on disk;
4. the responder is the gateway and whom ``to`` names; the extension binds the call's clear fields;
5. SRTP policy, decapsulation, keys, in an engine.

Crypto session 1 is the caller's stream, 2 the callee's.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from cig_common.clock import Clock
from cig_common.control.messages import AcceptCallRequest, PlaceCallRequest, SignAuthRequest
from cig_common.errors import ControlError
from cig_relay.control.message_numbers import MessageNumbers
from cig_relay.control.refusals import bare, refused, stale, word
from cig_relay.engines.errors import RefusedError
from cig_relay.engines.pool import EnginePool
from cig_relay.keys import periods
from cig_relay.keys.errors import NoKeysError
from cig_relay.keys.holder import KeyHolder
from cig_relay.keys.replay_journal import ReplayJournal
from mikey_sakke import receiver
from mikey_sakke.errors import MikeySakkeError, StaleError
from mikey_sakke.periods import month_of
from mikey_sakke.profile import crypto_sessions
from mikey_sakke.secret import Secret
from mikey_sakke.srtp import SrtpKeys
from umsg.binding import auth_text_from_digests, call_digest
from umsg.errors import FieldError

DEFAULT_SKEW = receiver.DEFAULT_SKEW

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class CallKeys:
    """A call's keys: ``tx`` for what the gateway sends to the CRS under ``ssrc``, ``rx`` for what
    it gets, ``answer_key`` (32 octets) and ``message_digest`` (32) for the answer's MAC.
    """

    tx: SrtpKeys
    rx: SrtpKeys
    ssrc: int
    message_digest: bytes
    answer_key: Secret = field(repr=False)

    def wipe(self) -> None:
        """Wipe all of them."""
        self.wipe_srtp()
        self.answer_key.wipe()

    def wipe_srtp(self) -> None:
        """Wipe the SRTP keys, once the media engine has made its contexts of them."""
        self.tx.wipe()
        self.rx.wipe()


@dataclass(frozen=True, slots=True)
class Signer:
    """Who made a call's I_MESSAGE; ``short``: the signature leaves out the SIGN header."""

    uri: str
    short: bool


class CallCrypto:
    """Makes and takes I_MESSAGEs with the engines, the keys in use and the replay journal.

    ``accept_short``: signatures that leave out the SIGN header are taken too (RFC 3830 section 5.2
    wants it covered; some products sign without).
    """

    def __init__(
        self,
        *,
        pool: EnginePool,
        holder: KeyHolder,
        journal: ReplayJournal,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        skew: float = DEFAULT_SKEW,
        accept_short: bool = False,
    ) -> None:
        self._pool = pool
        self._holder = holder
        self._journal = journal
        self._clock = clock
        self._skew = skew
        self.accept_short = accept_short
        self.numbers = MessageNumbers(clock, random_bytes)
        """Shared with the texts: no T or CSB ID is both a call's and a text's."""

    async def sign_auth(self, request: SignAuthRequest) -> bytes:
        """Sign the text of a UMSG ``auth``: only for a period that a CRS takes at present.

        Raises NoKeysError, or ControlError for digests of another length.
        """
        identity = self._holder.require()
        if request.period not in periods.for_login(identity.periods, now=self._clock.utc()):
            month = request.period[:7]
            raise NoKeysError(month, f"keys of period {request.period[:40]} do not count now")
        try:
            text = auth_text_from_digests(
                hello_digest=request.hello_digest,
                challenge_digest=request.challenge_digest,
                certificate_digest=request.certificate_digest,
                period=request.period,
            )
        except FieldError as error:
            raise ControlError(str(error)) from None
        return await self._pool.sign_auth(period=request.period, text=text)

    async def accept(self, request: AcceptCallRequest) -> tuple[CallKeys, Signer]:
        """Check and open the I_MESSAGE of a call that comes in; gives its keys and its signer.

        Raises RefusedError, NoKeysError, JournalError or EngineError.
        """
        own = self._holder.require().public_id
        now = self._clock.utc()
        parsed = self._precheck(request, own, now)
        short = await self._in_engine(
            self._pool.verify_message(parsed.raw, now=now, accept_short=self.accept_short)
        )
        try:
            await self._journal.insert(parsed.replay_key, parsed.t, now)
        except MikeySakkeError as error:
            raise refused(error) from None
        _check_callee(request, parsed, own)
        secrets = await self._in_engine(
            self._pool.open_message(parsed.raw, now=now, accept_short=short)
        )
        taken = {session.ssrc for session in crypto_sessions(parsed.message.header)}
        keys = CallKeys(
            tx=secrets.callee,
            rx=secrets.caller,
            ssrc=self.numbers.ssrc(taken),
            message_digest=secrets.message_digest,
            answer_key=Secret(secrets.answer_key),
        )
        return keys, Signer(parsed.initiator_uri, short)

    async def place(self, request: PlaceCallRequest) -> tuple[CallKeys, bytes]:
        """Make the I_MESSAGE of a call that goes out; gives its keys and its octets.

        Raises RefusedError for a callee or caller that can have no keys, NoKeysError, EngineError.
        """
        own = self._holder.require().public_id
        now = self.numbers.next_t()
        self._holder.require_month(month_of(now))
        if bare(request.from_uri) != own:
            raise RefusedError("wrong-signer", f"{request.from_uri[:64]!r} is not {own}")
        binding = _binding(request)
        ssrc, csb_id = self.numbers.ssrc(), self.numbers.csb_id()
        secrets = await self._in_engine(
            self._pool.build_message(
                responder=bare(request.to_uri), now=now, ssrc=ssrc, csb_id=csb_id, binding=binding
            )
        )
        keys = CallKeys(
            tx=secrets.caller,
            rx=secrets.callee,
            ssrc=ssrc,
            message_digest=secrets.message_digest,
            answer_key=Secret(secrets.answer_key),
        )
        return keys, secrets.message

    # --- the inside -----------------------------------------------------------------------------

    def _precheck(self, request: AcceptCallRequest, own: str, now: float) -> receiver.Parsed:
        try:
            parsed = receiver.precheck(
                request.mikey,
                now=now,
                own_uri=own,
                skew=self._skew,
                replay=self._journal.cache,
            )
        except StaleError as error:
            raise stale(error, request.mikey, now) from None
        except MikeySakkeError as error:
            raise refused(error) from None
        if parsed.initiator_uri != bare(request.from_uri):
            text = f"made by {parsed.initiator_uri}, not by {request.from_uri[:64]!r}"
            raise RefusedError("wrong-signer", text)
        self._holder.require_month(parsed.month)
        return parsed

    async def _in_engine(self, operation: Awaitable[_Result]) -> _Result:
        try:
            return await operation
        except RefusedError as error:
            raise RefusedError(word(error.detail), str(error)) from None


def _check_callee(request: AcceptCallRequest, parsed: receiver.Parsed, own: str) -> None:
    if parsed.responder_uri != own or bare(request.to_uri) != own:
        raise RefusedError("not-for-us", f"it is for {parsed.responder_uri}, we are {own}")
    if parsed.binding is None or not hmac.compare_digest(parsed.binding, _binding(request)):
        raise RefusedError("binding", "the call's fields are not those that its caller signed")


def _binding(request: AcceptCallRequest | PlaceCallRequest) -> bytes:
    return call_digest(
        id=request.id,
        from_uri=request.from_uri,
        to_uri=request.to_uri,
        offer=request.offer,
        dtmf=request.dtmf,
    )
