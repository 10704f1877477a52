# SPDX-License-Identifier: GPL-3.0-or-later
"""What a receiver refuses in messages whose signature is good, and in bad signers."""

from dataclasses import replace

import pytest

from mikey_sakke import (
    DecapsulationError,
    IdentityError,
    MalformedError,
    PolicyError,
    UnsupportedError,
    VerificationError,
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
from unit.mikey_sakke.calls import MESSAGE, built, process, signed, with_payload
from unit.mikey_sakke.support import (
    CALLEE,
    CALLER,
    MONTH,
    NOW,
    deterministic,
    kms,
    user,
)


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


@pytest.mark.parametrize("role", [IdRole.INITIATOR_UID, IdRole.RESPONDER_UID])
@pytest.mark.parametrize("demands", [profile.UMSG, profile.RFC6509], ids=["umsg", "rfc"])
def test_a_uid_has_no_place_beside_a_tel_uri(role, demands):
    message = with_payload(IMessage.parse(MESSAGE), Idr(role, bytes(32)))
    with pytest.raises(UnsupportedError) as caught:
        process(signed(message), profile=demands)
    assert caught.value.error_number is ErrorNumber.INVALID_ID


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


@pytest.mark.parametrize(
    "first",
    [
        GenericCs(1, 1, False, b"\0", b"", b""),
        GenericCs(1, 0, False, b"\0\1", b"", b""),
        GenericCs(1, 0, False, b"\0", bytes(3), b""),
        GenericCs(1, 0, False, b"\0", bytes(10), b""),
        GenericCs(1, 0, True, b"\0", bytes(4), b""),
    ],
    ids=["no-srtp", "a-choice", "half-an-ssrc", "roc-without-s", "s-without-roc"],
)
def test_sessions_that_are_not_srtp_or_unclear_are_refused(first):
    raw = with_map(GenericIdMap((first, GenericCs(2, 0, False, b"\0", b"", b""))))
    with pytest.raises(UnsupportedError):
        process(raw, profile=profile.RFC6509)


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
