# SPDX-License-Identifier: GPL-3.0-or-later
"""The responder's procedure, step by step: vectors, replay, time and months."""

import pickle

import pytest

from mikey_sakke import (
    IdentityError,
    MikeySakkeError,
    PeriodError,
    ReplayError,
    StaleError,
    VerificationError,
    profile,
    receiver,
)
from mikey_sakke.errors import ErrorNumber, Reason
from mikey_sakke.message import IMessage
from mikey_sakke.replay import ReplayCache
from unit.mikey_sakke.calls import (
    BINDING,
    MESSAGE,
    TEL,
    TEL_NOW,
    Q,
    built,
    process,
    process_tel,
    signed,
)
from unit.mikey_sakke.support import (
    CALLEE,
    CALLER,
    NOW,
    rfc_user,
    unhex,
    user,
)


@pytest.mark.parametrize("entry", TEL["messages"], ids=lambda entry: entry["prf_hash"])
def test_tel_vector(entry):
    raw = unhex(entry["i_message_hex"])
    parsed = receiver.precheck(
        raw, now=TEL_NOW, own_uri=TEL["responder_uri"], profile=profile.RFC6509
    )
    assert len(parsed.signed_prefix) == entry["signed_prefix_len"]
    assert parsed.initiator_identifier.hex() == TEL["ida"]
    keys = process_tel(raw)
    assert keys.ssv.reveal().hex() == TEL["ssv"]
    for index, cs_keys in enumerate(keys.srtp, start=1):
        assert cs_keys.master_key.reveal().hex() == entry["derived"][f"cs{index}_TEK_16"]
        assert cs_keys.master_salt.reveal().hex() == entry["derived"][f"cs{index}_SALT_14"]


def test_tel_vector_keys_come_from_the_rfc_masters():
    for name in ("alice", "bob"):
        keys = rfc_user(name)
        assert keys.ssk.reveal().hex() == TEL[name]["SSK"]
        assert keys.rsk.reveal().hex() == TEL[name]["RSK"]
        assert keys.pvt.hex() == TEL[name]["PVT"]
        assert keys.kpak.hex() == TEL["KPAK"]
        assert keys.z.hex() == TEL["Z"]


def test_every_truncation_of_the_tel_vector_is_refused():
    raw = unhex(TEL["messages"][1]["i_message_hex"])
    for length in range(len(raw)):
        with pytest.raises(MikeySakkeError):
            process_tel(raw[:length])


def test_every_bit_of_the_tel_vector_counts():
    raw = unhex(TEL["messages"][1]["i_message_hex"])
    process_tel(raw)
    for bit in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 0x80 >> bit % 8
        with pytest.raises(MikeySakkeError):
            process_tel(bytes(flipped))


def test_both_ends_hold_the_same_keys():
    call = built()
    keys = process(call.message, initiator=CALLER + ";101")
    assert keys == call.keys
    assert keys.initiator != keys.responder
    assert keys.answer_key(b"UMSG/1 answer") == call.keys.answer_key(b"UMSG/1 answer")
    assert [session.ssrc for session in keys.sessions] == [0xCAFEBABE, 0]
    assert [session.cs_id for session in keys.sessions] == [1, 2]
    keys.wipe()
    with pytest.raises(MikeySakkeError):
        keys.ssv.reveal()


def test_steps_can_run_in_different_processes():
    parsed = receiver.precheck(MESSAGE, now=NOW, own_uri=CALLEE)
    moved = pickle.loads(pickle.dumps(parsed))
    assert moved == parsed
    assert parsed.binding == BINDING
    verified = receiver.verify(moved, verifier=user(CALLEE).verifier)
    assert pickle.loads(pickle.dumps(verified)) == verified


def test_replay():
    replay = ReplayCache()
    process(MESSAGE, replay=replay)
    with pytest.raises(ReplayError) as caught:
        receiver.precheck(MESSAGE, now=NOW, own_uri=CALLEE, replay=replay)
    assert caught.value.reason is Reason.REPLAYED


def test_equal_messages_racing_past_the_lookup():
    replay = ReplayCache()
    verified = receiver.verify(
        receiver.precheck(MESSAGE, now=NOW, own_uri=CALLEE, replay=replay),
        verifier=user(CALLEE).verifier,
    )
    receiver.accept(verified, replay=replay, now=NOW)
    with pytest.raises(ReplayError):
        receiver.accept(verified, replay=replay, now=NOW)


def test_second_valid_signature_is_a_replay():
    """s replaced by q - s verifies too, so the replay key must not see the signature."""
    replay = ReplayCache()
    process(MESSAGE, replay=replay)
    s = int.from_bytes(MESSAGE[-97:-65], "big")
    variant = MESSAGE[:-97] + (Q - s).to_bytes(32, "big") + MESSAGE[-65:]
    assert process(variant) == process(MESSAGE)
    with pytest.raises(ReplayError):
        process(variant, replay=replay)


def test_a_message_signed_without_the_sign_header_is_taken_once():
    """The header, which such a signature leaves out, can be altered in no way that is taken."""
    raw = signed(IMessage.parse(MESSAGE), cut=2)
    replay = ReplayCache()

    def take(octets):
        parsed = receiver.precheck(octets, now=NOW, own_uri=CALLEE, replay=replay)
        verifier = user(CALLEE).verifier
        verified = receiver.verify(parsed, verifier=verifier, accept_short_coverage=True)
        receiver.accept(verified, replay=replay, now=NOW)

    take(raw)
    s = int.from_bytes(raw[-97:-65], "big")
    with pytest.raises(ReplayError):
        take(raw[:-97] + (Q - s).to_bytes(32, "big") + raw[-65:])
    for bit in range(16):
        header = int.from_bytes(raw[-131:-129], "big") ^ 1 << bit
        with pytest.raises(MikeySakkeError):
            take(raw[:-131] + header.to_bytes(2, "big") + raw[-129:])
    assert len(replay) == 1


def test_unverified_messages_do_not_enter_the_replay_cache():
    replay = ReplayCache()
    with pytest.raises(VerificationError):
        process(MESSAGE[:-1] + b"\0", replay=replay)
    assert len(replay) == 0


def test_reflected_message():
    with pytest.raises(IdentityError):
        process(MESSAGE, keys=user(CALLER))


def test_message_for_another():
    with pytest.raises(IdentityError):
        process(MESSAGE, keys=user("tel:+9999"))


def test_message_of_another_than_announced():
    for announced in ("tel:+46701234568", "tel:+8888;101"):
        with pytest.raises(IdentityError):
            receiver.precheck(MESSAGE, now=NOW, own_uri=CALLEE, initiator=announced)


@pytest.mark.parametrize("offset", [-301, 301, -86400, 86400])
def test_skew(offset):
    with pytest.raises(StaleError) as caught:
        process(MESSAGE, now=NOW + offset)
    assert caught.value.error_number is ErrorNumber.INVALID_TIMESTAMP


@pytest.mark.parametrize("offset", [-299, 0, 299])
def test_within_the_skew(offset):
    process(MESSAGE, now=NOW + offset)


def test_stored_texts_may_be_older_but_not_newer():
    week = 7 * 86400.0
    process(MESSAGE, now=NOW + week - 1, max_age=week, days_after=8)
    with pytest.raises(StaleError):
        process(MESSAGE, now=NOW + week + 1, max_age=week, days_after=8)
    with pytest.raises(StaleError):
        process(MESSAGE, now=NOW - 301, max_age=week, days_after=8)


DECEMBER = 1_796_083_200.0
"""2026-12-01 00:00:00 UTC."""


@pytest.mark.parametrize(
    ("month", "t", "now", "taken"),
    [
        ("2026-11", DECEMBER - 10, DECEMBER + 10, True),
        ("2026-12", DECEMBER + 10, DECEMBER - 10, True),
        ("2026-11", DECEMBER - 10, DECEMBER + 2 * 86400 - 1, True),
        ("2026-11", DECEMBER - 10, DECEMBER + 2 * 86400, False),
        ("2026-12", DECEMBER + 10, DECEMBER - 2 * 86400, True),
        ("2026-12", DECEMBER + 10, DECEMBER - 2 * 86400 - 1, False),
    ],
)
def test_month_window(month, t, now, taken):
    raw = built(keys=user(CALLER, month), now=t).message
    options = {"now": now, "keys": user(CALLEE, month), "skew": 4 * 86400.0}
    if taken:
        process(raw, **options)
    else:
        with pytest.raises(PeriodError):
            process(raw, **options)


def test_keys_of_another_month_open_nothing():
    verified = receiver.verify(
        receiver.precheck(MESSAGE, now=NOW, own_uri=CALLEE), verifier=user(CALLEE).verifier
    )
    with pytest.raises(PeriodError):
        receiver.open(verified, user(CALLEE, "2026-12"))
