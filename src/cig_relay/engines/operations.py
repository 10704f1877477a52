# SPDX-License-Identifier: GPL-3.0-or-later
"""What a crypto engine computes; runs in the engine's process and does no I/O.

What comes of a month is served by the keys of the highest revision that is held of it: its
verifier, since each revision says under which KMS parameters it was made, as well as its RSK.
"""

from __future__ import annotations

from collections.abc import Callable

from cig_common.control.record import Record
from cig_material import document
from cig_material.period import Period
from cig_relay.engines.wire import (
    Authentic,
    Build,
    BuildText,
    CallSecrets,
    Check,
    CheckSignature,
    Failed,
    Load,
    Open,
    OpenText,
    Ping,
    Ready,
    Refused,
    Sign,
    Signature,
    TextSecrets,
    Verify,
)
from cig_relay.keys.periods import TEXT_DAYS_AFTER
from cig_relay.randomness.errors import EntropyError
from mikey_sakke import initiator, receiver
from mikey_sakke.errors import MikeySakkeError, PeriodError
from mikey_sakke.identifiers import tel_identifier
from mikey_sakke.initiator import Built
from mikey_sakke.keys import UserKeys
from mikey_sakke.periods import DAYS_AFTER, month_of
from umsg.texts import MAX_AGE


class Operations:
    """The keys with their precomputed tables, and the operations on them."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._uri = ""
        self._periods: dict[str, UserKeys] = {}
        self._months: dict[str, UserKeys] = {}

    def answer(self, request: Record) -> Record:
        """Carry out one request; whatever goes wrong with it becomes `Refused` or `Failed`.

        Raises EntropyError alone, since an engine without random octets is of no further use.
        """
        try:
            return self._run(request)
        except EntropyError:
            raise
        except MikeySakkeError as error:
            return Refused(error.reason.value, str(error))
        except Exception as error:
            # The exception's own text might quote what it stumbled over: a key.
            return Failed(type(error).__name__)

    def _run(self, request: Record) -> Record:
        match request:
            case Load(material):
                self._load(material)
                return Ready()
            case Check(material):
                _check(material)
                return Ready()
            case Ping():
                return Ready()
            case Sign(period, text):
                keys = self._of_period(period)
                return Signature(keys.signer.sign(text, random_bytes=self._random_bytes))
            case Verify():
                verified, _ = self._verify(request)
                return Authentic(_is_short(verified))
            case Open():
                return self._open(request)
            case Build():
                return self._build_call(request)
            case OpenText():
                return self._open_text(request)
            case BuildText():
                return self._build_text(request)
            case CheckSignature(signer, month, text, sig):
                identifier = tel_identifier(signer, month)
                self._of_month(month).verifier.verify(sig, text, identifier=identifier)
                return Ready()
        raise TypeError(f"{type(request).__name__} is no request")

    def _load(self, octets: bytes) -> None:
        uri, fresh = "", dict[str, UserKeys]()
        if octets:
            material = document.decode(octets)
            try:
                uri = material.uri
                fresh = {keys.period: material.user_keys(keys) for keys in material.periods}
            finally:
                material.wipe()
        old, self._uri, self._periods = self._periods, uri, fresh
        # Later ones replace earlier ones: of a month the highest revision is left.
        self._months = {
            Period.parse(period).month: fresh[period] for period in sorted(fresh, key=Period.parse)
        }
        for keys in old.values():
            keys.wipe()

    def _verify(self, request: Verify | Open | OpenText) -> tuple[receiver.Verified, UserKeys]:
        # The relay has made these checks with its own clock and replay cache; here they only
        # turn octets into a message again.
        if not self._uri:
            raise PeriodError("no keys are loaded")
        text = isinstance(request, OpenText)
        parsed = receiver.precheck(
            request.message,
            now=request.utc,
            own_uri=self._uri,
            max_age=MAX_AGE if text else None,
            days_after=TEXT_DAYS_AFTER if text else DAYS_AFTER,
        )
        keys = self._of_month(parsed.month)
        verified = receiver.verify(
            parsed, verifier=keys.verifier, accept_short_coverage=request.accept_short
        )
        return verified, keys

    def _open(self, request: Open) -> CallSecrets:
        session = receiver.open(*self._verify(request))
        try:
            return CallSecrets.of(session)
        finally:
            session.wipe()

    def _open_text(self, request: OpenText) -> TextSecrets:
        verified, keys = self._verify(request)
        session = receiver.open(verified, keys)
        try:
            return TextSecrets.of(session, short=_is_short(verified))
        finally:
            session.wipe()

    def _build_call(self, request: Build) -> CallSecrets:
        built = self._build(request)
        try:
            return CallSecrets.of(built.keys, built.message)
        finally:
            built.keys.wipe()

    def _build_text(self, request: BuildText) -> TextSecrets:
        built = self._build(request)
        try:
            return TextSecrets.of(built.keys, built.message)
        finally:
            built.keys.wipe()

    def _build(self, request: Build | BuildText) -> Built:
        return initiator.build(
            self._of_month(month_of(request.utc)),
            to_uri=request.responder,
            ssrc=request.ssrc,
            binding=request.binding,
            now=request.utc,
            csb_id=request.csb_id,
            random_bytes=self._random_bytes,
        )

    def _of_period(self, period: str) -> UserKeys:
        keys = self._periods.get(period)
        if keys is None:
            raise PeriodError(f"no keys of period {period} are loaded")
        return keys

    def _of_month(self, month: str) -> UserKeys:
        keys = self._months.get(month)
        if keys is None:
            raise PeriodError(f"no keys of {month} are loaded")
        return keys


def _is_short(verified: receiver.Verified) -> bool:
    return verified.coverage is not receiver.Coverage.FULL


def _check(octets: bytes) -> None:
    material = document.decode(octets)
    try:
        for keys in material.periods:
            material.user_keys(keys).wipe()
    finally:
        material.wipe()
