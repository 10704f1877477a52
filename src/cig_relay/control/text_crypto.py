# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands between a request of the server and a text's key: the order of the checks.

For the I_MESSAGE of a text that came in, in the order of their cost:

1. parse in bounds, profile, T at most seven days old, month; the initiator is who ``from`` says,
   the responder is the gateway and whom ``to`` names; the extension binds ``mid``, ``from`` and
   ``to``; there are keys of the month;
2. ECCSI signature, decapsulation and key, in an engine and in one go; where the operator allows it,
   also a signature that leaves out the SIGN header.

No replay journal: a text that was opened, but is not safe on disk yet, must be openable again. What
keeps it from being taken twice is the server's journal of (from, mid), which the extension binds;
it remembers for eight days, a day longer than a T is taken.

Keys that are missing may come, so that is no refusal (NoKeysError); nor is an engine that fails.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from cig_common.clock import Clock
from cig_common.control.texts import (
    CheckReceiptRequest,
    OpenTextRequest,
    SealTextRequest,
    SignReceiptReply,
    SignReceiptRequest,
)
from cig_common.errors import ControlError
from cig_relay.control.message_numbers import MessageNumbers
from cig_relay.control.refusals import bare, refused, stale, word
from cig_relay.engines.errors import RefusedError
from cig_relay.engines.pool import EnginePool
from cig_relay.engines.texts import TextEngines
from cig_relay.engines.wire import TextSecrets
from cig_relay.keys import periods
from cig_relay.keys.errors import NoKeysError
from cig_relay.keys.holder import KeyHolder
from mikey_sakke import receiver
from mikey_sakke.errors import MikeySakkeError, Reason, StaleError
from mikey_sakke.periods import acceptable_months, month_of
from mikey_sakke.secret import Secret
from umsg.binding import receipt_text, text_digest
from umsg.errors import FieldError
from umsg.fields import CALL_ID, PERIOD
from umsg.messages import ReceiptStatus
from umsg.texts import MAX_AGE

_STATUSES = frozenset(ReceiptStatus)


@dataclass(frozen=True, slots=True)
class OpenedText:
    """A text's key (16 octets), its signer's bare tel URI, and the signer's security domain.

    ``short``: the signature leaves out the SIGN header.
    """

    signer: str
    domain: str
    short: bool
    key: Secret = field(repr=False)


class TextCrypto:
    """Makes and takes the I_MESSAGEs of texts, signs and checks receipts.

    ``numbers`` are those of the calls too. ``accept_short`` as for `CallCrypto`.
    """

    def __init__(
        self,
        *,
        pool: EnginePool,
        holder: KeyHolder,
        clock: Clock,
        numbers: MessageNumbers,
        accept_short: bool = False,
    ) -> None:
        self._engines = TextEngines(pool)
        self._holder = holder
        self._clock = clock
        self._numbers = numbers
        self._accept_short = accept_short

    async def open(self, request: OpenTextRequest) -> OpenedText:
        """Check and open a text's I_MESSAGE.

        Raises RefusedError, NoKeysError, EngineError, OverloadError, or ControlError for a ``mid``
        of another form.
        """
        identity = self._holder.require()
        now = self._clock.utc()
        parsed = self._precheck(request, identity.public_id, now)
        self._holder.require_month(parsed.month)
        try:
            secrets = await self._engines.open(parsed.raw, now=now, accept_short=self._accept_short)
        except RefusedError as error:
            raise _final(error, parsed.month) from None
        return OpenedText(parsed.initiator_uri, identity.domain, secrets.short, Secret(secrets.key))

    async def seal(self, request: SealTextRequest) -> tuple[Secret, bytes]:
        """Make a text's I_MESSAGE; gives the text's key (16 octets) and the message's octets.

        Raises RefusedError for a sender that is not the gateway or a recipient that can have no
        keys, NoKeysError, EngineError, OverloadError, ControlError.
        """
        _check_mid(request.mid)
        own = self._holder.require().public_id
        if bare(request.from_uri) != own:
            raise RefusedError("wrong-signer", f"{request.from_uri[:64]!r} is not {own}")
        responder = bare(request.to_uri)
        now = self._numbers.next_t()
        month = month_of(now)
        self._holder.require_month(month)
        try:
            made: TextSecrets = await self._engines.build(
                responder=responder,
                now=now,
                ssrc=self._numbers.ssrc(),
                csb_id=self._numbers.csb_id(),
                binding=_binding(request),
            )
        except RefusedError as error:
            raise _final(error, month) from None
        return Secret(made.key), made.message

    async def sign_receipt(self, request: SignReceiptRequest) -> SignReceiptReply:
        """Sign a receipt with the keys of the present month.

        Raises NoKeysError, EngineError, OverloadError; ControlError for what is no receipt: the
        relay signs nothing else.
        """
        text = _receipt_text(request)
        now = self._clock.utc()
        month = month_of(now)
        held = self._holder.require_month(month).periods
        period = periods.serving(held, moment=now, now=now)
        if period is None:
            raise NoKeysError(month, f"no keys of {month} are loaded")
        try:
            return SignReceiptReply(
                period, await self._engines.sign_receipt(period=period, text=text)
            )
        except RefusedError as error:
            raise _final(error, month) from None

    async def check_receipt(self, request: CheckReceiptRequest) -> None:
        """Check a receipt's signature by ``signer``, of a month whose keys serve texts now.

        Raises RefusedError for a wrong one, NoKeysError where we have no keys of that month,
        EngineError, OverloadError, ControlError.
        """
        text = _receipt_text(request)
        if not PERIOD.check(request.period):
            raise ControlError(f"period {request.period[:40]!r} is no {PERIOD.words}")
        signer, month = bare(request.signer), request.period[:7]
        days = periods.TEXT_DAYS_AFTER
        if month not in acceptable_months(self._clock.utc(), days_after=days):
            raise RefusedError(word(Reason.PERIOD), f"keys of {month} do not count now")
        self._holder.require_month(month)
        try:
            await self._engines.check_receipt(
                signer=signer, month=month, text=text, sig=request.sig
            )
        except RefusedError as error:
            raise _final(error, month) from None

    # --- the inside -----------------------------------------------------------------------------

    def _precheck(self, request: OpenTextRequest, own: str, now: float) -> receiver.Parsed:
        _check_mid(request.mid)
        try:
            parsed = receiver.precheck(
                request.mikey,
                now=now,
                own_uri=own,
                max_age=MAX_AGE,
                days_after=periods.TEXT_DAYS_AFTER,
            )
        except StaleError as error:
            raise stale(error, request.mikey, now) from None
        except MikeySakkeError as error:
            raise refused(error) from None
        if parsed.initiator_uri != bare(request.from_uri):
            text = f"made by {parsed.initiator_uri}, not by {request.from_uri[:64]!r}"
            raise RefusedError("wrong-signer", text)
        if parsed.responder_uri != own or bare(request.to_uri) != own:
            raise RefusedError("not-for-us", f"it is for {parsed.responder_uri}, we are {own}")
        if parsed.binding is None or not hmac.compare_digest(parsed.binding, _binding(request)):
            raise RefusedError("binding", "mid, from or to are not those that its sender signed")
        return parsed


def _final(error: RefusedError, month: str) -> RefusedError | NoKeysError:
    """Give the refusal in the stable words; that engines lack the keys is none, but may pass."""
    if error.detail == Reason.PERIOD:
        return NoKeysError(month, str(error))
    return RefusedError(word(error.detail), str(error))


def _binding(request: OpenTextRequest | SealTextRequest) -> bytes:
    return text_digest(mid=request.mid, from_uri=request.from_uri, to_uri=request.to_uri)


def _receipt_text(request: SignReceiptRequest | CheckReceiptRequest) -> bytes:
    # The forms are what keeps the signed text from reading as any other.
    _check_mid(request.mid)
    if request.status not in _STATUSES:
        raise ControlError(f"a receipt has no status {request.status[:20]!r}")
    try:
        return receipt_text(
            mid=request.mid, status=request.status, content_digest=request.content_digest
        )
    except FieldError as error:
        raise ControlError(str(error)) from None


def _check_mid(mid: str) -> None:
    if not CALL_ID.check(mid):
        raise ControlError(f"mid {mid[:40]!r} is not {CALL_ID.words}")
