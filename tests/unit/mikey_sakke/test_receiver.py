# SPDX-License-Identifier: GPL-3.0-or-later
"""The responder's procedure, step by step: vectors, and everything that must be refused."""

import pickle
from dataclasses import replace

import pytest

from mikey_sakke import (
    DecapsulationError,
    IdentityError,
    MalformedError,
    MikeySakkeError,
    PeriodError,
    PolicyError,
    ReplayError,
    StaleError,
    UnsupportedError,
    VerificationError,
    eccsi,
    initiator,
    profile,
    receiver,
)
from mikey_sakke.errors import ErrorNumber, Reason
from mikey_sakke.header import EmptyMap, GenericCs, GenericIdMap, SrtpCs, SrtpIdMap
from mikey_sakke.keys import UserKeys
from mikey_sakke.kms import MasterKeys
from mikey_sakke.message import IMessage
from mikey_sakke.payloads import (
    GeneralExtension,
    Idr,
    IdRole,
    IdType,
    Sakke,
    SecurityPolicy,
    Sign,
    Timestamp,
)
from mikey_sakke.periods import to_ntp
from mikey_sakke.policy import DEFAULT_POLICY, SrtpPolicy
from mikey_sakke.replay import ReplayCache
from unit.mikey_sakke.support import (
    CALLEE,
    CALLER,
    MONTH,
    NOW,
    deterministic,
    kms,
    rfc_user,
    unhex,
    user,
    vector,
)

TEL = vector("imessage_tel")
TEL_NOW = 1_297_684_800.0
BINDING = bytes(range(32))
Q = int(eccsi.P256.q)


def built(**changes) -> initiator.Built:
    arguments = {
        "to_uri": CALLEE,
        "ssrc": 0xCAFEBABE,
        "binding": BINDING,
        "now": NOW,
        "random_bytes": deterministic("call"),
    } | changes
    keys = arguments.pop("keys", None) or user(CALLER)
    return initiator.build(keys, **arguments)


def signed(message: IMessage, keys: UserKeys | None = None, *, cut: int = 0) -> bytes:
    """Sign a message anew; `cut` leaves out the last octets from what is signed."""
    prefix = replace(message, sign=Sign(bytes(129))).encode()[:-129]
    return prefix + (keys or user(CALLER)).signer.sign(prefix[: len(prefix) - cut])


def with_payload(message: IMessage, new) -> IMessage:
    """Replace the payload of the same type (for IDRs also the same role), or add it."""

    def same(old) -> bool:
        return type(old) is type(new) and getattr(old, "role", 0) == getattr(new, "role", 0)

    rest = tuple(payload for payload in message.payloads if not same(payload))
    return replace(message, payloads=(*rest, new))


def process(raw, *, now=NOW, keys=None, replay=None, **options):
    """All steps, as one process would take them."""
    keys = keys or user(CALLEE)
    parsed = receiver.precheck(raw, now=now, own_uri=keys.uri, replay=replay, **options)
    verified = receiver.verify(parsed, verifier=keys.verifier)
    if replay is not None:
        receiver.accept(verified, replay=replay, now=now)
    return receiver.open(verified, keys)


MESSAGE = built().message


def process_tel(raw: bytes):
    return process(raw, now=TEL_NOW, keys=rfc_user("bob"), profile=profile.RFC6509)


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


def test_signer_of_another_name_is_refused():
    message = with_payload(IMessage.parse(MESSAGE), Idr(IdRole.INITIATOR, b"tel:+4611111"))
    with pytest.raises(VerificationError):
        process(signed(message))


def test_signer_of_another_kms_is_refused():
    stranger = MasterKeys.generate(deterministic("stranger")).issue(CALLER, MONTH)
    with pytest.raises(VerificationError):
        process(built(keys=stranger).message)


@pytest.mark.parametrize(
    "data", [b"tel:+8888\0", b"tel:+1\0tel:+8888", b"tel:+8888;101", b"tel:+88\xff", b"", b"8888"]
)
@pytest.mark.parametrize("role", [IdRole.INITIATOR, IdRole.RESPONDER])
def test_identities_not_canonical_are_refused(role, data):
    message = with_payload(IMessage.parse(MESSAGE), Idr(role, data))
    with pytest.raises(IdentityError):
        process(signed(message))


@pytest.mark.parametrize("role", [IdRole.INITIATOR, IdRole.RESPONDER])
def test_identities_must_be_uris_and_there(role):
    message = IMessage.parse(MESSAGE)
    no_uri = with_payload(message, Idr(role, b"tel:+8888", IdType.BYTE_STRING))
    absent = replace(
        message, payloads=tuple(p for p in message.payloads if getattr(p, "role", 0) != role)
    )
    for bad in (no_uri, absent):
        with pytest.raises(MalformedError):
            process(signed(bad))


WEAK = [
    SrtpPolicy(encryption=0),
    SrtpPolicy(authentication=0),
    SrtpPolicy(tag_length=4),
    SrtpPolicy(srtp_encrypted=0),
    SrtpPolicy(srtcp_encrypted=0),
]


@pytest.mark.parametrize("policy", WEAK, ids=["null", "no-auth", "short-tag", "rtp", "rtcp"])
@pytest.mark.parametrize("demands", [profile.UMSG, profile.RFC6509], ids=["umsg", "rfc"])
def test_weak_policies_are_refused(policy, demands):
    message = with_payload(IMessage.parse(MESSAGE), policy.to_payload(0))
    with pytest.raises(PolicyError) as caught:
        process(signed(message), profile=demands)
    assert caught.value.error_number is ErrorNumber.INVALID_SP_PARAMETER


def test_gcm_is_for_those_who_want_it():
    policy = SrtpPolicy(encryption=6, authentication=0, authentication_key_length=0, salt_length=12)
    raw = signed(with_payload(IMessage.parse(MESSAGE), policy.to_payload(0)))
    with pytest.raises(PolicyError):
        process(raw)
    keys = process(raw, profile=profile.RFC6509)
    assert len(keys.initiator.master_salt) == 12


def test_policy_must_be_the_one_that_is_named():
    message = with_payload(IMessage.parse(MESSAGE), DEFAULT_POLICY.to_payload(1))
    with pytest.raises(PolicyError):
        process(signed(message))
    other_protocol = with_payload(message, SecurityPolicy(0, (), protocol=1))
    with pytest.raises(PolicyError):
        process(signed(other_protocol))


def with_map(cs_map) -> bytes:
    message = IMessage.parse(MESSAGE)
    return signed(replace(message, header=replace(message.header, cs_map=cs_map)))


@pytest.mark.parametrize(
    "cs_map",
    [
        SrtpIdMap(()),
        SrtpIdMap((SrtpCs(0, 1),)),
        SrtpIdMap((SrtpCs(0, 1),) * 3),
        EmptyMap(),
        EmptyMap(2),
        GenericIdMap(()),
    ],
)
def test_profile_wants_two_sessions_of_the_srtp_map(cs_map):
    with pytest.raises((MalformedError, UnsupportedError)):
        process(with_map(cs_map))


def test_other_maps_work_without_the_profile():
    direct = process(MESSAGE)
    empty = process(with_map(EmptyMap()), profile=profile.RFC6509)
    sessions = (
        GenericCs(1, 0, False, b"\0", bytes.fromhex("cafebabe"), b""),
        GenericCs(2, 0, False, b"\0", bytes(4), b""),
    )
    generic = process(with_map(GenericIdMap(sessions)), profile=profile.RFC6509)
    assert direct.srtp == empty.srtp == generic.srtp
    assert generic.sessions == direct.sessions


def test_one_session_or_mixed_policies_are_refused_everywhere():
    for cs_map in (SrtpIdMap((SrtpCs(0, 1),)), SrtpIdMap((SrtpCs(0, 1), SrtpCs(1, 0)))):
        with pytest.raises(UnsupportedError):
            process(with_map(cs_map), profile=profile.RFC6509)


def test_prf_of_the_profile():
    message = IMessage.parse(MESSAGE)
    raw = signed(replace(message, header=replace(message.header, prf_func=0)))
    with pytest.raises(UnsupportedError) as caught:
        process(raw)
    assert caught.value.error_number is ErrorNumber.INVALID_PRF


def test_v_flag_is_ignored():
    message = IMessage.parse(MESSAGE)
    process(signed(replace(message, header=replace(message.header, v=True))))


@pytest.mark.parametrize(
    "data", [None, b"UMSG/1", b"UMSG/1" + bytes(31), b"UMSG/1" + bytes(33), b"umsg/1" + bytes(32)]
)
def test_binding_must_be_there_and_whole(data):
    message = IMessage.parse(MESSAGE)
    rest = tuple(p for p in message.payloads if not isinstance(p, GeneralExtension))
    extension = () if data is None else (GeneralExtension(0, data),)
    with pytest.raises(MalformedError):
        process(signed(replace(message, payloads=rest + extension)))


def test_two_bindings_are_refused():
    message = IMessage.parse(MESSAGE)
    second = GeneralExtension(0, b"UMSG/1" + bytes(32))
    with pytest.raises(MalformedError):
        process(signed(replace(message, payloads=(*message.payloads, second))))


def test_other_extensions_do_not_matter():
    message = IMessage.parse(MESSAGE)
    other = (GeneralExtension(1, b"mikey"), GeneralExtension(0, b"another vendor"))
    process(signed(replace(message, payloads=message.payloads + other)))


def test_signature_without_the_sign_header_is_an_option():
    raw = signed(IMessage.parse(MESSAGE), cut=2)
    parsed = receiver.precheck(raw, now=NOW, own_uri=CALLEE)
    verifier = user(CALLEE).verifier
    with pytest.raises(VerificationError):
        receiver.verify(parsed, verifier=verifier)
    verified = receiver.verify(parsed, verifier=verifier, accept_short_coverage=True)
    assert verified.coverage is receiver.Coverage.WITHOUT_SIGN_HEADER
    assert receiver.open(verified, user(CALLEE)).rand == IMessage.parse(MESSAGE).rand.value
    full = receiver.precheck(MESSAGE, now=NOW, own_uri=CALLEE)
    strict = receiver.verify(full, verifier=verifier, accept_short_coverage=True)
    assert strict.coverage is receiver.Coverage.FULL


def test_rsa_signatures_are_unsupported():
    message = IMessage.parse(MESSAGE)
    with pytest.raises(UnsupportedError):
        process(replace(message, sign=Sign(bytes(128), signature_type=0)).encode())


@pytest.mark.parametrize("change", [{"params": 2}, {"id_scheme": 2}, {"data": b""}])
def test_other_sakke_parameters_are_refused(change):
    message = IMessage.parse(MESSAGE)
    raw = signed(with_payload(message, replace(message.sakke, **change)))
    with pytest.raises((UnsupportedError, DecapsulationError)):
        process(raw)


def test_data_encapsulated_for_another_are_refused():
    message = IMessage.parse(MESSAGE)
    other = built(to_uri="tel:+9999").message
    sakke_payload: Sakke = IMessage.parse(other).sakke
    with pytest.raises(DecapsulationError) as caught:
        process(signed(with_payload(message, sakke_payload)))
    assert caught.value.reason is Reason.DECAPSULATION


def test_kms_of_the_responder_is_compared():
    keys = user(CALLEE)
    ours = UserKeys(
        CALLEE,
        MONTH,
        kms().kpak,
        kms().z_public,
        keys.ssk.reveal(),
        keys.pvt,
        keys.rsk.reveal(),
        kms_uri="kms.example.org",
    )
    message = IMessage.parse(MESSAGE)
    right = with_payload(message, Idr(IdRole.RESPONDER_KMS, b"kms.example.org"))
    wrong = with_payload(message, Idr(IdRole.RESPONDER_KMS, b"kms.example.net"))
    process(signed(right), keys=ours)
    process(signed(wrong))
    with pytest.raises(IdentityError):
        process(signed(wrong), keys=ours)


def test_timestamp_after_the_roll_over_of_2036():
    rollover = 2_085_978_496.0
    month = "2036-02"
    raw = built(keys=user(CALLER, month), now=rollover + 5).message
    assert IMessage.parse(raw).timestamp == Timestamp(to_ntp(rollover + 5))
    process(raw, now=rollover - 5, keys=user(CALLEE, month))
