# SPDX-License-Identifier: GPL-3.0-or-later
"""What a secure phone computes for texts: sealing, opening, receipts. No I/O."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping

from cig_lab.phone.keys import PhoneKeys
from mikey_sakke import receiver
from mikey_sakke.errors import IdentityError, PeriodError
from mikey_sakke.identifiers import bare_tel_uri, tel_identifier
from mikey_sakke.initiator import Initiator
from mikey_sakke.keys import UserKeys
from mikey_sakke.periods import acceptable_months, month_of
from mikey_sakke.session import SessionKeys
from umsg.binding import TEXT_INFO, receipt_text, text_associated_data, text_digest
from umsg.messages import Receipt, ReceiptStatus
from umsg.sealing import KEY_OCTETS, TextOpener, TextSealer
from umsg.texts import MAX_AGE, Envelope

DAYS_AFTER = 8
"""Days of a month through which texts of the month before are opened."""


class TextKeys:
    """The keys of one tel URI, for texts; ``keys`` has them by period (``YYYY-MM-REVISION``)."""

    def __init__(
        self,
        keys: Mapping[str, UserKeys],
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._keys = PhoneKeys(keys)
        self.uri = self._keys.uri
        self._random = random_bytes
        self._initiator = Initiator(random_bytes=random_bytes)

    def seal(self, mid: str, to_uri: str, content: bytes, now: float) -> tuple[Envelope, bytes]:
        """Make a text's I_MESSAGE and seal its content; raises MikeySakkeError."""
        named = {"mid": mid, "from_uri": self.uri, "to_uri": to_uri}
        built = self._initiator.build(
            self._keys.of_month(month_of(now))[1],
            to_uri=bare_tel_uri(to_uri),
            ssrc=int.from_bytes(self._random(4), "big") | 1,
            binding=text_digest(**named),
            now=now,
        )
        sealer = TextSealer(_key(built.keys), text_associated_data(**named))
        sealed = sealer.update(content) + sealer.finish()
        return Envelope(mid, self.uri, to_uri, built.message), sealed

    def open(self, envelope: Envelope, sealed: bytes, now: float) -> bytes:
        """Check and open a text; raises MikeySakkeError or SealError."""
        parsed = receiver.precheck(
            envelope.mikey,
            now=now,
            own_uri=self.uri,
            initiator=envelope.from_uri,
            max_age=MAX_AGE,
            days_after=DAYS_AFTER,
        )
        named = {
            "mid": envelope.mid,
            "from_uri": envelope.from_uri,
            "to_uri": envelope.to_uri,
        }
        if not hmac.compare_digest(parsed.binding or b"", text_digest(**named)):
            raise IdentityError("the text's fields are not those that its sender signed")
        keys = self._keys.of_month(parsed.month)[1]
        session = receiver.open(receiver.verify(parsed, verifier=keys.verifier), keys)
        opener = TextOpener(_key(session), text_associated_data(**named))
        content = opener.update(sealed)
        opener.finish()
        return content

    def sign_receipt(
        self, mid: str, status: ReceiptStatus, reason: str | None, digest: bytes, now: float
    ) -> Receipt:
        """Make a receipt."""
        period, keys = self._keys.of_month(month_of(now))
        text = receipt_text(mid=mid, status=status, content_digest=digest)
        sig = keys.signer.sign(text, random_bytes=self._random)
        return Receipt(mid=mid, status=status, reason=reason, period=period, sig=sig)

    def check_receipt(self, receipt: Receipt, signer: str, sealed: bytes, now: float) -> None:
        """Check that ``signer`` signed a receipt for this content; raises MikeySakkeError."""
        month = receipt.period[:7]
        if month not in acceptable_months(now, days_after=DAYS_AFTER):
            raise PeriodError(f"a receipt of {month} does not count now")
        digest = hashlib.sha256(sealed).digest()
        text = receipt_text(mid=receipt.mid, status=receipt.status, content_digest=digest)
        verifier = self._keys.of_month(month)[1].verifier
        identifier = tel_identifier(bare_tel_uri(signer), month)
        verifier.verify(receipt.sig, text, identifier=identifier)


def _key(session: SessionKeys) -> bytes:
    return session.answer_key(TEXT_INFO).reveal()[:KEY_OCTETS]
