# SPDX-License-Identifier: GPL-3.0-or-later
"""What a secure phone computes with its keys: the login, and the keys of a call.

It decides nothing about calls and does no I/O; time comes in as UTC seconds.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cig_lab.phone.keys import PhoneKeys
from mikey_sakke import receiver
from mikey_sakke.errors import MikeySakkeError
from mikey_sakke.identifiers import bare_tel_uri
from mikey_sakke.initiator import Initiator
from mikey_sakke.keys import UserKeys
from mikey_sakke.periods import month_of
from mikey_sakke.replay import ReplayCache
from mikey_sakke.secret import Secret
from mikey_sakke.session import SessionKeys
from mikey_sakke.srtp import SrtpKeys
from umsg.binding import ANSWER_INFO, answer_mac, call_digest
from umsg.events import SignatureWanted
from umsg.messages import Bang


class BindingError(MikeySakkeError):
    """The clear fields of a ``bang`` are not those that its caller signed."""


@dataclass(frozen=True, slots=True)
class CallSecrets:
    """A call's keys from the phone's side: ``tx`` for what it sends under ``ssrc``, ``rx``."""

    tx: SrtpKeys
    rx: SrtpKeys
    ssrc: int
    message_digest: bytes
    answer_key: Secret

    def mac(self, t: str, *, id: str, codec: str, dtmf: int | None) -> bytes:
        """Give the ``mac`` (32 octets) of a ``talk`` or ``growl``."""
        return answer_mac(
            self.answer_key.reveal(),
            t=t,
            id=id,
            codec=codec,
            dtmf=dtmf,
            message_digest=self.message_digest,
        )

    def proves(self, mac: bytes, t: str, *, id: str, codec: str, dtmf: int | None) -> bool:
        """Tell whether a ``mac`` that came is right."""
        return hmac.compare_digest(mac, self.mac(t, id=id, codec=codec, dtmf=dtmf))


class PhoneCrypto:
    """The keys of one tel URI; ``keys`` has them by period (``YYYY-MM-REVISION``)."""

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
        self._replay = ReplayCache()

    def sign_auth(self, wanted: SignatureWanted, now: float) -> tuple[str, bytes]:
        """Sign a login; gives the period and the signature (129 octets). Raises PeriodError."""
        period, keys = self._keys.of_month(month_of(now))
        return period, keys.signer.sign(wanted.text(period), random_bytes=self._random)

    def place(
        self, *, id: str, from_uri: str, to_uri: str, offer: Sequence[str], dtmf: int, now: float
    ) -> tuple[bytes, CallSecrets]:
        """Make the I_MESSAGE of a call and its keys; raises MikeySakkeError."""
        ssrc = self._ssrc(taken=0)
        binding = call_digest(id=id, from_uri=from_uri, to_uri=to_uri, offer=offer, dtmf=dtmf)
        built = self._initiator.build(
            self._keys.of_month(month_of(now))[1],
            to_uri=to_uri,
            ssrc=ssrc,
            binding=binding,
            now=now,
        )
        keys = built.keys
        return built.message, _secrets(keys, tx=keys.initiator, rx=keys.responder, ssrc=ssrc)

    def take(self, bang: Bang, now: float) -> CallSecrets:
        """Check and open the I_MESSAGE of a call that comes in; raises MikeySakkeError."""
        parsed = receiver.precheck(
            bang.mikey, now=now, own_uri=self.uri, initiator=bang.from_uri, replay=self._replay
        )
        keys = self._keys.of_month(parsed.month)[1]
        verified = receiver.verify(parsed, verifier=keys.verifier)
        # The lab's phone lives no longer than its cache, so the line needs no disk.
        receiver.accept(verified, replay=self._replay, now=now)
        digest = call_digest(
            id=bang.id,
            from_uri=bang.from_uri,
            to_uri=bang.to_uri,
            offer=bang.offer,
            dtmf=bang.dtmf,
        )
        for_us = bare_tel_uri(bang.to_uri) == self.uri
        if not for_us or not hmac.compare_digest(parsed.binding or b"", digest):
            raise BindingError("the call's fields are not those that its caller signed")
        session = receiver.open(verified, keys)
        ssrc = self._ssrc(taken=session.sessions[0].ssrc)
        return _secrets(session, tx=session.responder, rx=session.initiator, ssrc=ssrc)

    def _ssrc(self, *, taken: int) -> int:
        while (ssrc := int.from_bytes(self._random(4), "big")) in (0, taken):
            pass
        return ssrc


def _secrets(session: SessionKeys, *, tx: SrtpKeys, rx: SrtpKeys, ssrc: int) -> CallSecrets:
    answer_key = session.answer_key(ANSWER_INFO)
    session.ssv.wipe()
    return CallSecrets(tx, rx, ssrc, session.message_digest, answer_key)
