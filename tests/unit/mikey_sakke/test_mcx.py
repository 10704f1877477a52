# SPDX-License-Identifier: GPL-3.0-or-later
"""3GPP's messages: those of another product open, and ours are made and taken alike."""

from dataclasses import replace

import pytest

from mikey_sakke import (
    IdentityError,
    MalformedError,
    MikeySakkeError,
    ParameterError,
    PeriodError,
    StaleError,
    UnsupportedError,
    VerificationError,
    initiator,
    mcx,
    profile,
    receiver,
)
from mikey_sakke.header import EmptyMap, GenericIdMap
from mikey_sakke.identity import HashedUid
from mikey_sakke.message import IMessage
from mikey_sakke.payloads import Idr, IdRole, IdType, Timestamp
from mikey_sakke.periods import to_ntp
from mikey_sakke.policy import AEAD_AES_128_GCM
from mikey_sakke.replay import ReplayCache
from unit.mikey_sakke.calls import process, signed, with_payload
from unit.mikey_sakke.mcx_calls import (
    ALICE,
    BOB,
    PERIOD,
    SCHEME,
    THEIR_MESSAGES,
    THEIR_NOW,
    UID_MESSAGE,
    take,
    their_message,
    their_user,
    uid_built,
    uid_user,
)
from unit.mikey_sakke.support import NOW, unhex, user


@pytest.mark.parametrize("name", THEIR_MESSAGES)
def test_messages_of_another_product_open(name):
    entry = THEIR_MESSAGES[name]
    raw = their_message(name)
    assert IMessage.parse(raw).encode() == raw
    keys = take(
        raw,
        their_user(entry["responder"]),
        now=THEIR_NOW,
        initiator=their_user(entry["initiator"]).uri,
    )
    assert keys.ssv.reveal().hex() == entry["key"]
    assert keys.rand.hex() == entry["rand"]
    assert f"{keys.csb_id:08x}" == entry["csb_id"]
    purpose = mcx.Purpose(mcx.purpose_of(int(entry["key_id"], 16)))
    assert purpose.name == name
    cs_ids = {"GMK": (mcx.CS_ID_GROUP,), "CSK": (mcx.CS_ID_CSK,), "PCK": (0, 1)}[name]
    assert tuple(session.cs_id for session in keys.sessions) == cs_ids
    assert (keys.policy.encryption, keys.policy.salt_length) == (6, 12)
    assert len(keys.initiator.master_salt) == 12


@pytest.mark.parametrize("name", ["gms", "alice", "bob"])
def test_keys_of_another_product_are_valid(name):
    their_user(name).validate()


def test_guk_id_of_another_product():
    entry = THEIR_MESSAGES["GMK"]
    gmk, gmk_id, guk_id = unhex(entry["key"]), int(entry["key_id"], 16), int(entry["guk_id"], 16)
    uri = their_user(entry["responder"]).uri
    assert mcx.guk_id(gmk, gmk_id, uri) == guk_id
    assert mcx.guk_id(gmk, guk_id, uri) == gmk_id
    with pytest.raises(ParameterError):
        mcx.guk_id(gmk[1:], gmk_id, uri)


def test_key_ids():
    assert mcx.key_id(mcx.Purpose.PCK, 0xFFFFFFFF) == 0x1FFFFFFF
    assert mcx.Purpose(mcx.purpose_of(0x2FE0B176)) is mcx.Purpose.CSK
    for wrong in (lambda: mcx.key_id(16, 0), lambda: mcx.purpose_of(1 << 32)):
        with pytest.raises(ParameterError):
            wrong()


def test_a_private_call_is_made_and_taken():
    built = uid_built()
    message = IMessage.parse(built.message)
    assert message.header.cs_map == EmptyMap()
    assert message.policies == (AEAD_AES_128_GCM.to_payload(0),)
    assert message.sakke.id_scheme == 2
    assert message.identity(IdRole.INITIATOR) is None
    assert message.identity(IdRole.INITIATOR_UID).data == SCHEME.identifier(ALICE, PERIOD)
    assert message.identity(IdRole.RESPONDER_UID).data == SCHEME.identifier(BOB, PERIOD)
    assert message.identity(IdRole.RESPONDER_KMS).data == b"kms.example.org"
    keys = take(built.message, uid_user(BOB), initiator=ALICE)
    assert keys == built.keys
    assert [session.cs_id for session in keys.sessions] == [0, 1]
    assert keys.policy == AEAD_AES_128_GCM
    assert keys.initiator != keys.responder


def test_a_group_key_is_sent_to_many():
    gmk, gmk_id, rand = bytes(range(16)), mcx.key_id(mcx.Purpose.GMK, 0xE144748), bytes(range(16))
    for uri in (BOB, "sip:carol@example.org"):
        guk_id = mcx.guk_id(gmk, gmk_id, uri)
        spi = gmk_id.to_bytes(4, "big") + guk_id.to_bytes(4, "big")
        options = replace(mcx.PRIVATE_CALL, cs_map=mcx.shared_key_map(mcx.CS_ID_GROUP, spi))
        built = uid_built(to_uri=uri, csb_id=guk_id, ssv=gmk, rand=rand, options=options)
        keys = take(built.message, uid_user(uri), initiator=ALICE)
        assert (keys.ssv.reveal(), keys.rand, keys.csb_id) == (gmk, rand, guk_id)
        cs_map = IMessage.parse(built.message).header.cs_map
        assert isinstance(cs_map, GenericIdMap)
        assert cs_map.sessions[0].spi == spi
        with pytest.raises(UnsupportedError):
            _ = keys.responder


def test_one_session_is_not_enough_for_two_directions():
    options = replace(
        mcx.PRIVATE_CALL, cs_map=mcx.shared_key_map(mcx.CS_ID_CSK, b"\x2f\xe0\xb1\x76")
    )
    raw = uid_built(options=options).message
    with pytest.raises(UnsupportedError):
        take(raw, uid_user(BOB), profile=profile.RFC6509)
    with pytest.raises(UnsupportedError):
        uid_built(options=replace(options, profile=profile.RFC6509))


def test_an_initiator_that_nobody_announced_is_known_by_its_uid():
    parsed = receiver.precheck(
        UID_MESSAGE, now=NOW, own_uri=BOB, profile=mcx.PROFILE, scheme=SCHEME
    )
    uid = SCHEME.identifier(ALICE, PERIOD)
    assert parsed.initiator_uri == uid.hex()
    assert parsed.initiator_identifier == uid
    assert parsed.responder_uri == BOB
    assert parsed.month == PERIOD
    receiver.verify(parsed, verifier=uid_user(BOB).verifier)


def test_an_initiator_other_than_announced():
    with pytest.raises(IdentityError):
        take(UID_MESSAGE, uid_user(BOB), initiator="sip:mallory@example.org")


def test_a_uri_that_looks_like_a_uid_is_not_that_uid():
    digits = SCHEME.identifier(ALICE, PERIOD).hex()
    with pytest.raises(IdentityError):
        take(UID_MESSAGE, uid_user(BOB), initiator=digits)
    with pytest.raises(MikeySakkeError):
        take(UID_MESSAGE, uid_user(SCHEME.identifier(BOB, PERIOD).hex()))


def test_a_message_for_another_and_our_own():
    with pytest.raises(IdentityError):
        take(UID_MESSAGE, uid_user("sip:carol@example.org"))
    with pytest.raises(IdentityError):
        take(UID_MESSAGE, uid_user(ALICE))


def with_idrs(*idrs: Idr) -> bytes:
    message = IMessage.parse(UID_MESSAGE)
    rest = tuple(p for p in message.payloads if not isinstance(p, Idr))
    return signed(replace(message, payloads=rest + idrs), uid_user(ALICE))


UID_A, UID_B = (SCHEME.identifier(uri, PERIOD) for uri in (ALICE, BOB))
NAMED = [
    (Idr(IdRole.INITIATOR, ALICE.encode()), Idr(IdRole.RESPONDER, BOB.encode())),
    (Idr(IdRole.INITIATOR, UID_A), Idr(IdRole.RESPONDER, UID_B)),
    (
        Idr(IdRole.INITIATOR, UID_A, IdType.BYTE_STRING),
        Idr(IdRole.RESPONDER, UID_B, IdType.BYTE_STRING),
    ),
    (Idr(IdRole.INITIATOR_UID, UID_A), Idr(IdRole.RESPONDER, BOB.encode(), IdType.NAI)),
    (
        Idr(IdRole.INITIATOR, ALICE.encode()),
        Idr(IdRole.INITIATOR_UID, UID_A),
        Idr(IdRole.RESPONDER, UID_B),
        Idr(IdRole.RESPONDER_UID, UID_B),
    ),
]


@pytest.mark.parametrize("idrs", NAMED, ids=["uris", "uids-as-uri", "octets", "mixed", "both"])
def test_parties_may_be_named_in_many_ways(idrs):
    assert take(with_idrs(*idrs), uid_user(BOB), initiator=ALICE).policy == AEAD_AES_128_GCM


@pytest.mark.parametrize(
    ("idrs", "error"),
    [
        ((), MalformedError),
        ((Idr(IdRole.INITIATOR_UID, UID_A),), MalformedError),
        ((Idr(IdRole.INITIATOR_UID, UID_A[1:]), Idr(IdRole.RESPONDER_UID, UID_B)), IdentityError),
        ((Idr(IdRole.INITIATOR_UID, UID_A), Idr(IdRole.RESPONDER_UID, b"")), IdentityError),
        (
            (
                Idr(IdRole.INITIATOR, ALICE.encode()),
                Idr(IdRole.INITIATOR_UID, UID_B),
                Idr(IdRole.RESPONDER_UID, UID_B),
            ),
            IdentityError,
        ),
        (
            (
                Idr(IdRole.INITIATOR, UID_A),
                Idr(IdRole.INITIATOR_UID, UID_B),
                Idr(IdRole.RESPONDER_UID, UID_B),
            ),
            IdentityError,
        ),
        (
            (
                Idr(IdRole.INITIATOR_UID, UID_A),
                Idr(IdRole.RESPONDER_UID, UID_B),
                Idr(IdRole.RESPONDER_KMS, b"kms.example.net"),
            ),
            IdentityError,
        ),
        (
            (Idr(IdRole.INITIATOR, b"sip:alice\0@x"), Idr(IdRole.RESPONDER_UID, UID_B)),
            IdentityError,
        ),
    ],
    ids=["nobody", "no-responder", "short", "empty", "clash", "two", "kms", "nul"],
)
def test_parties_named_badly_are_refused(idrs, error):
    with pytest.raises(error):
        take(with_idrs(*idrs), uid_user(BOB))


def test_a_uri_of_another_signs_nothing():
    raw = with_idrs(
        Idr(IdRole.INITIATOR, b"sip:carol@example.org"), Idr(IdRole.RESPONDER_UID, UID_B)
    )
    with pytest.raises(VerificationError):
        take(raw, uid_user(BOB))


def test_schemes_do_not_mix():
    with pytest.raises(UnsupportedError):
        process(UID_MESSAGE, keys=user("tel:+8888"), profile=mcx.PROFILE)
    tel = initiator.build(
        user("tel:+46701234567"), to_uri="tel:+8888", ssrc=1, binding=None, now=NOW
    )
    with pytest.raises(UnsupportedError):
        take(tel.message, uid_user(BOB))
    parsed = receiver.precheck(
        UID_MESSAGE, now=NOW, own_uri=BOB, profile=mcx.PROFILE, scheme=SCHEME
    )
    verified = receiver.verify(parsed, verifier=uid_user(BOB).verifier)
    other = HashedUid("kms.example.org", 2_592_000, 5)
    keys = uid_user(BOB, PERIOD, other)
    with pytest.raises(UnsupportedError):
        receiver.open(verified, keys)
    with pytest.raises(ParameterError):
        initiator.build(
            user("tel:+46701234567"),
            to_uri="tel:+8888",
            binding=None,
            now=NOW,
            options=mcx.PRIVATE_CALL,
        )


def test_periods_in_seconds_have_a_window():
    scheme = HashedUid("kms.example.org", 86_400)
    begin = float(scheme.period_begin(scheme.period_of(NOW)))
    last, present = scheme.period_of(begin - 1), scheme.period_of(begin)
    raw = uid_built(keys=uid_user(ALICE, last, scheme), now=begin - 1).message
    bob = uid_user(BOB, last, scheme)
    take(raw, bob, now=begin + 200)
    with pytest.raises(PeriodError):
        take(raw, bob, now=begin + 86_401, skew=200_000.0)
    with pytest.raises(PeriodError):
        uid_built(keys=uid_user(ALICE, last, scheme), now=begin)
    verified = receiver.verify(
        receiver.precheck(raw, now=begin, own_uri=BOB, profile=mcx.PROFILE, scheme=scheme),
        verifier=bob.verifier,
    )
    with pytest.raises(PeriodError):
        receiver.open(verified, uid_user(BOB, present, scheme))


def test_a_time_before_the_first_period_is_the_messages_fault():
    begin = NOW - 10
    young = HashedUid("kms.example.org", 86_400, int(begin) + 2_208_988_800)
    bob = uid_user(BOB, "0", young)
    take(uid_built(keys=uid_user(ALICE, "0", young)).message, bob)
    ancient = with_payload(IMessage.parse(UID_MESSAGE), Timestamp(0))
    with pytest.raises(StaleError):
        take(signed(ancient, uid_user(ALICE)), bob)
    early = with_payload(IMessage.parse(UID_MESSAGE), Timestamp(to_ntp(begin - 1)))
    with pytest.raises(PeriodError):
        take(signed(early, uid_user(ALICE)), bob)


def test_replay_of_a_uid_message():
    replay = ReplayCache()
    parsed = receiver.precheck(
        UID_MESSAGE, now=NOW, own_uri=BOB, profile=mcx.PROFILE, scheme=SCHEME, replay=replay
    )
    receiver.accept(
        receiver.verify(parsed, verifier=uid_user(BOB).verifier), replay=replay, now=NOW
    )
    with pytest.raises(MikeySakkeError):
        take(UID_MESSAGE, uid_user(BOB), replay=replay)


def test_signature_without_the_sign_header_is_an_option_here_too():
    raw = signed(IMessage.parse(UID_MESSAGE), uid_user(ALICE), cut=2)
    with pytest.raises(VerificationError):
        take(raw, uid_user(BOB))
    parsed = receiver.precheck(raw, now=NOW, own_uri=BOB, profile=mcx.PROFILE, scheme=SCHEME)
    verified = receiver.verify(parsed, verifier=uid_user(BOB).verifier, accept_short_coverage=True)
    assert verified.coverage is receiver.Coverage.WITHOUT_SIGN_HEADER
    receiver.open(verified, uid_user(BOB))


def test_another_extension_is_kept_and_found():
    message = IMessage.parse(their_message("GMK"))
    extension = message.extension(7)
    assert extension is not None
    assert len(extension.data) == 71
    assert message.extension(0) is None
    changed = with_payload(IMessage.parse(UID_MESSAGE), extension)
    take(signed(changed, uid_user(ALICE)), uid_user(BOB))
