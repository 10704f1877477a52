# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands between a request of the server and a text's key: the order of the checks.

For the I_MESSAGE of a text that came in, in the order of their cost:

1. parse in bounds, profile, age, month; the initiator is who ``from`` says, the responder is the
   gateway and whom ``to`` names; the extension binds `umsg.binding.text_digest`;
2. ECCSI signature, decapsulation, the text's key, all in one engine.

A text may have waited: its T may lie 7 days back, and its month's keys serve 8 days longer. It is
not put into the replay journal. A text that was opened and then lost in a crash has to be openable
again; what keeps one from being taken twice is the server's journal of (``from``, ``mid``), which
remembers longer than T may be old, and that both are part of what is sealed.
"""

from __future__ import annotations

import hmac

from cig_common.clock import Clock
from cig_common.control.texts import (
    CheckReceiptRequest,
    OpenTextRequest,
    SealTextRequest,
    SignReceiptRequest,
)
from cig_common.errors import ControlError
from cig_relay.control.call_crypto import CallCrypto, bare_uri
from cig_relay.control.refusals import refused, word
from cig_relay.engines.errors import RefusedError
from cig_relay.engines.pool import EnginePool
from cig_relay.engines.wire import TextSecrets
from cig_relay.keys import periods
from cig_relay.keys.errors import NoKeysError
from cig_relay.keys.holder import KeyHolder
from mikey_sakke import receiver
from mikey_sakke.errors import MikeySakkeError, StaleError
from mikey_sakke.message import IMessage
from mikey_sakke.periods import acceptable_months, from_ntp, month_of
from umsg.binding import receipt_text, text_associated_data, text_digest
from umsg.errors import FieldError
from umsg.fields import PERIOD
from umsg.messages import ReceiptStatus
from umsg.sealing import TextOpener, TextSealer
from umsg.texts import MAX_AGE

_STATUSES = frozenset(ReceiptStatus)


class TextCrypto:
    """Opens, seals and signs for texts, with the engines and the keys in use.

    ``calls`` lends what must be one for all I_MESSAGEs: a T that never repeats, and CSB IDs.
    """

    def __init__(
        self,
        *,
        pool: EnginePool,
        holder: KeyHolder,
        calls: CallCrypto,
        clock: Clock,
        accept_short: bool = False,
    ) -> None:
        self._pool = pool
        self._holder = holder
        self._calls = calls
        self._clock = clock
        self._accept_short = accept_short

    async def open(self, request: OpenTextRequest) -> tuple[TextOpener, str, bool]:
        """Check the I_MESSAGE of a text that came; gives its opener and its signer.

        The last value tells whether the signature leaves out the SIGN header. Raises
        RefusedError, NoKeysError or EngineError.
        """
        own = self._holder.require().public_id
        now = self._clock.utc()
        parsed = self._precheck(request, own, now)
        try:
            secrets = await self._pool.open_text(
                parsed.raw, now=now, accept_short=self._accept_short
            )
        except RefusedError as error:
            raise RefusedError(word(error.detail), str(error)) from None
        opener = TextOpener(secrets.key, _associated(request))
        return opener, parsed.initiator_uri, secrets.short

    async def seal(self, request: SealTextRequest) -> tuple[TextSealer, bytes]:
        """Make the I_MESSAGE of a text of ours; gives its sealer and the message.

        Raises RefusedError for a recipient or sender that can have no keys, NoKeysError,
        EngineError.
        """
        own = self._holder.require().public_id
        now = self._calls.next_t()
        self._holder.require_month(month_of(now))
        if bare_uri(request.from_uri) != own:
            raise RefusedError("wrong-signer", f"{request.from_uri[:64]!r} is not {own}")
        secrets = await self._build(request, now)
        return TextSealer(secrets.key, _associated(request)), secrets.message

    async def sign_receipt(self, request: SignReceiptRequest) -> tuple[str, bytes]:
        """Sign a receipt with a key that counts now; gives the period and the signature.

        Raises NoKeysError, EngineError, or ControlError for a status or digest that cannot be.
        """
        identity = self._holder.require()
        now = self._clock.utc()
        usable = periods.for_login(identity.periods, now=now)
        if not usable:
            raise NoKeysError(month_of(now), f"no keys of {month_of(now)} are loaded")
        text = _receipt_text(request)
        return usable[0], await self._pool.sign_auth(period=usable[0], text=text)

    async def check_receipt(self, request: CheckReceiptRequest) -> None:
        """Check the signature of a receipt that came; raises RefusedError for a wrong one."""
        text = _receipt_text(request)
        if not PERIOD.check(request.period):
            raise ControlError(f"{request.period[:40]!r} is no period")
        month = request.period[:7]
        now = self._clock.utc()
        if month not in acceptable_months(now, days_after=periods.TEXT_DAYS_AFTER):
            raise RefusedError(word("period"), f"a receipt of {month} does not count now")
        self._holder.require_month(month)
        signer = bare_uri(request.signer)
        try:
            await self._pool.check_signature(signer=signer, month=month, text=text, sig=request.sig)
        except RefusedError as error:
            raise RefusedError(word(error.detail), f"the receipt is not {signer}'s") from None

    # --- the inside -----------------------------------------------------------------------------

    def _precheck(self, request: OpenTextRequest, own: str, now: float) -> receiver.Parsed:
        try:
            parsed = receiver.precheck(
                request.mikey,
                now=now,
                own_uri=own,
                max_age=MAX_AGE,
                days_after=periods.TEXT_DAYS_AFTER,
            )
        except StaleError as error:
            t = from_ntp(IMessage.parse(request.mikey).timestamp.ntp, near=now)
            raise RefusedError("too-old" if t < now else "too-new", str(error)) from None
        except MikeySakkeError as error:
            raise refused(error) from None
        if parsed.initiator_uri != bare_uri(request.from_uri):
            text = f"made by {parsed.initiator_uri}, not by {request.from_uri[:64]!r}"
            raise RefusedError("wrong-signer", text)
        if parsed.responder_uri != own or bare_uri(request.to_uri) != own:
            raise RefusedError("not-for-us", f"it is for {parsed.responder_uri}, we are {own}")
        if not hmac.compare_digest(parsed.binding or b"", _digest(request)):
            raise RefusedError("binding", "the text's fields are not those that its sender signed")
        self._holder.require_month(parsed.month)
        return parsed

    async def _build(self, request: SealTextRequest, now: float) -> TextSecrets:
        ssrc, csb_id = self._calls.draw_sessions()
        try:
            return await self._pool.build_text(
                responder=bare_uri(request.to_uri),
                now=now,
                ssrc=ssrc,
                csb_id=csb_id,
                binding=_digest(request),
            )
        except RefusedError as error:
            raise RefusedError(word(error.detail), str(error)) from None


def _digest(request: OpenTextRequest | SealTextRequest) -> bytes:
    return text_digest(mid=request.mid, from_uri=request.from_uri, to_uri=request.to_uri)


def _associated(request: OpenTextRequest | SealTextRequest) -> bytes:
    return text_associated_data(mid=request.mid, from_uri=request.from_uri, to_uri=request.to_uri)


def _receipt_text(request: SignReceiptRequest | CheckReceiptRequest) -> bytes:
    if request.status not in _STATUSES:
        raise ControlError(f"{request.status[:20]!r} is no status of a receipt")
    try:
        return receipt_text(
            mid=request.mid, status=request.status, content_digest=request.content_digest
        )
    except FieldError as error:
        raise ControlError(str(error)) from None
