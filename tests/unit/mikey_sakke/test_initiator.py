# SPDX-License-Identifier: GPL-3.0-or-later
"""Building messages: the profile on the wire, wrong arguments, T and CSB ID that do not repeat."""

import hashlib

import pytest

from mikey_sakke import IdentifierError, ParameterError, PeriodError, initiator
from mikey_sakke.header import SrtpCs, SrtpIdMap
from mikey_sakke.message import IMessage
from mikey_sakke.payloads import (
    GeneralExtension,
    Idr,
    IdRole,
    Rand,
    Sakke,
    SecurityPolicy,
    Timestamp,
    TimestampType,
)
from mikey_sakke.policy import DEFAULT_POLICY
from unit.mikey_sakke.support import CALLEE, CALLER, NOW, deterministic, user

ARGUMENTS = {"to_uri": CALLEE + ";101", "ssrc": 7, "binding": bytes(32), "now": NOW}


def test_profile_on_the_wire():
    built = initiator.build(user(CALLER), **ARGUMENTS)
    message = IMessage.parse(built.message)
    assert len(built.message) == 580
    assert built.signed_prefix_len == len(built.message) - 129
    assert not message.header.v
    assert message.header.prf_func == 1
    assert message.header.csb_id == built.csb_id
    assert message.header.cs_map == SrtpIdMap((SrtpCs(0, 7), SrtpCs(0, 0)))
    assert [type(payload) for payload in message.payloads] == [
        Timestamp,
        Rand,
        Idr,
        Idr,
        SecurityPolicy,
        Sakke,
        GeneralExtension,
    ]
    assert message.timestamp.ts_type is TimestampType.NTP_UTC
    assert message.rand.value == built.rand
    assert len(built.rand) == 16
    assert message.identity(IdRole.INITIATOR).data == CALLER.encode()
    assert message.identity(IdRole.RESPONDER).data == CALLEE.encode()
    assert message.policies == (DEFAULT_POLICY.to_payload(0),)
    assert message.extensions == (GeneralExtension(0, b"UMSG/1" + bytes(32)),)
    assert (message.sakke.params, message.sakke.id_scheme) == (1, 1)
    prefix = built.message[: built.signed_prefix_len]
    assert prefix[-2:] == b"\x20\x81"
    assert built.keys.message_digest == hashlib.sha256(prefix).digest()
    assert len(built.ssv) == 16


def test_messages_are_fresh():
    first, second = (initiator.build(user(CALLER), **ARGUMENTS) for _ in range(2))
    assert first.rand != second.rand
    assert first.csb_id != second.csb_id
    assert first.ssv != second.ssv


def test_without_binding():
    built = initiator.build(user(CALLER), **(ARGUMENTS | {"binding": None}))
    assert IMessage.parse(built.message).extensions == ()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"to_uri": "sip:x"}, IdentifierError),
        ({"ssrc": 0}, ParameterError),
        ({"ssrc": 1 << 32}, ParameterError),
        ({"binding": b"short"}, ParameterError),
        ({"csb_id": 1 << 32}, ParameterError),
        ({"timestamp": -1}, (ParameterError, PeriodError)),
        ({"now": NOW + 31 * 86400}, PeriodError),
    ],
)
def test_wrong_arguments(change, error):
    with pytest.raises(error):
        initiator.build(user(CALLER), **(ARGUMENTS | change))


def test_initiator_repeats_no_timestamp_and_no_csb_id():
    maker = initiator.Initiator(random_bytes=deterministic("initiator"))
    messages = [IMessage.parse(maker.build(user(CALLER), **ARGUMENTS).message) for _ in range(4)]
    assert len({message.timestamp.ntp for message in messages}) == 4
    assert len({message.header.csb_id for message in messages}) == 4


def test_initiator_does_not_draw_a_csb_id_twice():
    maker = initiator.Initiator(random_bytes=lambda length: b"\x05" * length)
    maker.build(user(CALLER), **ARGUMENTS)
    with pytest.raises(ParameterError):
        maker.build(user(CALLER), **ARGUMENTS)
