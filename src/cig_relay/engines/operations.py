# SPDX-License-Identifier: GPL-3.0-or-later
"""What a crypto engine computes; runs in the engine's process and does no I/O."""

from __future__ import annotations

from collections.abc import Callable

from cig_common.control.record import Record
from cig_material import document
from cig_material.period import Period
from cig_relay.engines.wire import (
    Build,
    CallSecrets,
    Check,
    Load,
    Open,
    Ready,
    Sign,
    Signature,
    Verify,
)
from mikey_sakke import initiator, receiver
from mikey_sakke.errors import PeriodError
from mikey_sakke.keys import UserKeys
from mikey_sakke.periods import month_of


class Operations:
    """The keys with their precomputed tables, and the operations on them.

    Every method raises `mikey_sakke.MikeySakkeError` where the input is at fault.
    """

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._keys: dict[str, UserKeys] = {}

    def run(self, request: Record) -> Record:
        """Carry out one request and give its answer."""
        match request:
            case Load(material):
                return self._load(material)
            case Check(material):
                return _check(material)
            case Sign(period, text):
                return Signature(
                    self._of_period(period).signer.sign(text, random_bytes=self._random_bytes)
                )
            case Verify(message, utc):
                self._verify(message, utc)
                return Ready()
            case Open(message, utc):
                return self._open(message, utc)
            case Build():
                return self._build(request)
        raise TypeError(f"{type(request).__name__} is no request")

    def _load(self, octets: bytes) -> Ready:
        fresh: dict[str, UserKeys] = {}
        if octets:
            material = document.decode(octets)
            fresh = {keys.period: material.user_keys(keys) for keys in material.periods}
        old, self._keys = self._keys, fresh
        for keys in old.values():
            keys.wipe()
        return Ready()

    def _verify(self, message: bytes, utc: float) -> receiver.Verified:
        # The relay has made these checks with its own clock and replay cache; here they only
        # turn octets into a message again.
        any_keys = next(iter(self._keys.values()), None)
        if any_keys is None:
            raise PeriodError("no keys are loaded")
        parsed = receiver.precheck(message, now=utc, own_uri=any_keys.uri)
        return receiver.verify(parsed, verifier=any_keys.verifier)

    def _open(self, message: bytes, utc: float) -> CallSecrets:
        verified = self._verify(message, utc)
        session = receiver.open(verified, self._of_month(verified.parsed.month))
        try:
            return CallSecrets.of(session)
        finally:
            session.wipe()

    def _build(self, request: Build) -> CallSecrets:
        built = initiator.build(
            self._of_month(month_of(request.utc)),
            to_uri=request.responder,
            ssrc=request.ssrc,
            binding=request.binding,
            now=request.utc,
            csb_id=request.csb_id,
            random_bytes=self._random_bytes,
        )
        try:
            return CallSecrets.of(built.keys, built.message)
        finally:
            built.keys.wipe()

    def _of_period(self, period: str) -> UserKeys:
        keys = self._keys.get(period)
        if keys is None:
            raise PeriodError(f"no keys of period {period} are loaded")
        return keys

    def _of_month(self, month: str) -> UserKeys:
        # Periods of one month differ in SSK and PVT only: the RSK is the identity's alone.
        periods = [period for period in self._keys if Period.parse(period).month == month]
        if not periods:
            raise PeriodError(f"no keys of {month} are loaded")
        return self._keys[max(periods, key=Period.parse)]


def _check(octets: bytes) -> Ready:
    material = document.decode(octets)
    try:
        for keys in material.periods:
            material.user_keys(keys).wipe()
    finally:
        material.wipe()
    return Ready()
