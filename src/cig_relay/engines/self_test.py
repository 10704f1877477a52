# SPDX-License-Identifier: GPL-3.0-or-later
"""What a crypto engine computes before it is given keys: a call between two users of its own.

It shows that the engine computes right, and has libraries load what they load on first use, which
the sandbox would not let them do later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from cig_common.control.record import Record
from cig_material import document
from cig_material.material import KeyMaterial, KmsParameters, PeriodKeys
from cig_relay.engines.operations import Operations
from cig_relay.engines.wire import (
    Authentic,
    Build,
    CallSecrets,
    Load,
    Open,
    Ready,
    Refused,
    Sign,
    Signature,
    Verify,
    decode,
    encode,
)
from mikey_sakke.errors import Reason
from mikey_sakke.identifiers import tel_identifier
from mikey_sakke.kms import MasterKeys
from mikey_sakke.periods import month_of
from mikey_sakke.secret import Secret
from umsg.framing import FrameDecoder

_CALLER, _CALLEE = "tel:+1", "tel:+2"
_UTC = 1_800_000_000.0
_PERIOD = f"{month_of(_UTC)}-1"

_Answer = TypeVar("_Answer", bound=Record)


class SelfTestError(Exception):
    """The engine computes wrong: the processor, the memory or a library is broken."""


def self_test(random_bytes: Callable[[int], bytes]) -> None:
    """Make, check and open a message; raises SelfTestError."""
    masters = MasterKeys.generate(random_bytes)
    caller, callee = (Operations(random_bytes) for _ in range(2))
    for operations, uri in ((caller, _CALLER), (callee, _CALLEE)):
        _expect(Ready, operations, Load(_material(masters, uri, random_bytes)))
    _expect(Signature, caller, Sign(_PERIOD, b"self-test"))
    made = _expect(CallSecrets, caller, Build(_CALLEE, _UTC, 1, 1, bytes(32)))
    _expect(Authentic, callee, Verify(made.message, _UTC))
    opened = _expect(CallSecrets, callee, Open(made.message, _UTC))
    altered = bytes((*made.message[:-1], made.message[-1] ^ 1))
    refused = _expect(Refused, callee, Verify(altered, _UTC))
    if replace(made, message=b"") != opened or refused.reason != Reason.SIGNATURE:
        raise SelfTestError("a message does not come back as it was made")


def _material(masters: MasterKeys, uri: str, random_bytes: Callable[[int], bytes]) -> bytes:
    identifier = tel_identifier(uri, month_of(_UTC))
    ssk, pvt = masters.issue_ssk(identifier, random_bytes=random_bytes)
    rsk = masters.issue_rsk(identifier)
    kms = KmsParameters("self-test", masters.kpak, masters.z_public)
    keys = PeriodKeys(_PERIOD, kms, Secret(ssk), pvt, Secret(rsk))
    return document.encode(
        KeyMaterial(uri, "self-test", ("localhost:1",), bytes(32), None, (keys,))
    )


def _expect(kind: type[_Answer], operations: Operations, request: Record) -> _Answer:
    (payload,) = FrameDecoder().feed(encode(1, request))
    (payload,) = FrameDecoder().feed(encode(1, operations.answer(decode(payload)[1])))
    _, answer = decode(payload)
    if not isinstance(answer, kind):
        raise SelfTestError(f"{type(request).__name__} was answered by {answer}")
    return answer
