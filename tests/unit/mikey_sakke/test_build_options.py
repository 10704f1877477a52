# SPDX-License-Identifier: GPL-3.0-or-later
"""What a message can be made to look like, and that each of it is taken as it was made."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mikey_sakke import MalformedError, MikeySakkeError, ParameterError, UnsupportedError, profile
from mikey_sakke.errors import ErrorNumber
from mikey_sakke.header import GenericCs, GenericIdMap, MapType, SrtpCs, SrtpIdMap
from mikey_sakke.initiator import BuildOptions, Initiator, two_sessions
from mikey_sakke.message import IMessage
from mikey_sakke.payloads import ExtensionType, GeneralExtension, IdRole, KeyId
from mikey_sakke.policy import AEAD_AES_128_GCM, DEFAULT_POLICY, NAMED_POLICIES, policy_name
from mikey_sakke.prf import PrfFunction
from unit.mikey_sakke import strategies
from unit.mikey_sakke.calls import built, process
from unit.mikey_sakke.support import CALLEE, CALLER, NOW, user

PLAIN = BuildOptions(profile=profile.RFC6509)


def made(options: BuildOptions, **changes):
    return built(**({"options": options, "binding": None} | changes))


def taken(call):
    return process(call.message, profile=profile.RFC6509)


@pytest.mark.parametrize(
    ("prf", "map_type", "policy"),
    list(product(PrfFunction, MapType, [DEFAULT_POLICY, AEAD_AES_128_GCM])),
)
def test_every_profile_is_made_and_taken(prf, map_type, policy):
    call = made(replace(PLAIN, prf_func=prf, map_type=map_type, policy=policy))
    message = IMessage.parse(call.message)
    assert message.header.prf_func == prf
    assert message.header.cs_map.map_type is map_type
    keys = taken(call)
    assert keys == call.keys
    assert keys.policy == policy
    assert len(keys.initiator.master_salt) == policy.salt_length
    assert [session.cs_id for session in keys.sessions] == [1, 2]
    stated = 0 if map_type is MapType.EMPTY else 0xCAFEBABE
    assert keys.sessions[0].ssrc == stated


def test_prf_and_session_change_the_keys():
    first, second = (made(replace(PLAIN, prf_func=prf)).keys for prf in PrfFunction)
    assert first.ssv == second.ssv
    assert first.initiator != second.initiator
    assert first.initiator != first.responder


def test_no_policy_means_the_default_one():
    call = made(replace(PLAIN, policy=None, map_type=MapType.EMPTY))
    assert IMessage.parse(call.message).policies == ()
    assert taken(call).policy == DEFAULT_POLICY


def test_a_map_of_ones_own():
    sessions = tuple(
        GenericCs(cs_id, 0, True, b"\0", bytes(9) + bytes((cs_id,)), b"spi") for cs_id in (7, 9)
    )
    call = made(replace(PLAIN, cs_map=GenericIdMap(sessions)), ssrc=0)
    assert [session.cs_id for session in taken(call).sessions] == [7, 9]
    four = SrtpIdMap(tuple(SrtpCs(0, ssrc) for ssrc in (1, 0, 3, 0)))
    assert len(taken(made(replace(PLAIN, cs_map=four))).srtp) == 4


def test_the_extensions_keep_their_order():
    wanted = (
        GeneralExtension(ExtensionType.SDP_IDS, b"mikey"),
        GeneralExtension.of_key_ids(KeyId(1, b"mtk"), KeyId(2, b"")),
        GeneralExtension(ExtensionType.KEY_PARAMETERS, bytes(71)),
    )
    call = made(replace(PLAIN, extensions=wanted))
    message = IMessage.parse(call.message)
    assert message.extensions == wanted
    assert message.extension(ExtensionType.KEY_ID).key_ids() == (KeyId(1, b"mtk"), KeyId(2, b""))
    taken(call)
    both = built(options=replace(PLAIN, extensions=wanted))
    assert len(IMessage.parse(both.message).extensions) == 4
    process(both.message)


@given(st.lists(st.builds(KeyId, strategies.octet, strategies.short), max_size=6))
def test_key_ids_round_trip(key_ids):
    assert GeneralExtension.of_key_ids(*key_ids).key_ids() == tuple(key_ids)


@given(st.binary(max_size=40))
def test_any_key_ids_raise_nothing_else(data):
    extension = GeneralExtension(ExtensionType.KEY_ID, data)
    try:
        key_ids = extension.key_ids()
    except MalformedError:
        return
    assert GeneralExtension.of_key_ids(*key_ids) == extension


def test_the_kms_is_named_where_it_is_known():
    options = replace(PLAIN, name_kms=True)
    assert IMessage.parse(made(options).message).identity(IdRole.INITIATOR_KMS) is None
    keys = user(CALLER)
    keys_of_kms = type(keys)(
        CALLER,
        keys.month,
        keys.kpak,
        keys.z,
        keys.ssk.reveal(),
        keys.pvt,
        keys.rsk.reveal(),
        kms_uri="kms.example.org",
    )
    message = IMessage.parse(made(options, keys=keys_of_kms).message)
    assert message.identity(IdRole.RESPONDER_KMS).data == b"kms.example.org"


def test_wrong_options_are_told():
    long = GeneralExtension(ExtensionType.VENDOR, bytes(4000))
    for options, changes in (
        (replace(PLAIN, extensions=(long,)), {}),
        (replace(PLAIN, extensions=(GeneralExtension(0, b""),) * 40), {}),
        (replace(PLAIN, prf_func=2), {}),
        (replace(PLAIN, map_type=3), {}),
        (replace(PLAIN, cs_map=SrtpIdMap((SrtpCs(0, 1),))), {}),
        (PLAIN, {"ssrc": 0}),
        (PLAIN, {"ssv": bytes(15)}),
        (PLAIN, {"rand": bytes(15)}),
    ):
        with pytest.raises(MikeySakkeError):
            made(options, **changes)
    with pytest.raises(UnsupportedError) as caught:
        made(replace(PLAIN, prf_func=2))
    assert caught.value.error_number is ErrorNumber.INVALID_PRF
    for map_type in MapType:
        for ssrc in (-1, 1 << 32):
            with pytest.raises(ParameterError):
                two_sessions(map_type, ssrc)


@settings(max_examples=20)
@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=255))
def test_a_key_and_rand_of_ones_own(ssv, rand):
    call = made(PLAIN, ssv=ssv, rand=rand)
    keys = taken(call)
    assert (keys.ssv.reveal(), keys.rand) == (ssv, rand)


def test_an_initiator_takes_options_too():
    options = replace(PLAIN, map_type=MapType.EMPTY)
    call = Initiator().build(user(CALLER), to_uri=CALLEE, binding=None, now=NOW, options=options)
    assert taken(call) == call.keys


def test_policies_have_names():
    for name, policy in NAMED_POLICIES.items():
        policy.check_acceptable()
        assert policy_name(policy) == name
    assert policy_name(replace(DEFAULT_POLICY, tag_length=12)) is None


def test_gcm_is_stated_as_3gpp_states_it():
    stated = AEAD_AES_128_GCM.to_payload(0).parameters
    assert stated == ((0, b"\6"), (1, b"\x10"), (4, b"\x0c"), (5, b"\0"), (6, b"\0"), (20, b"\x10"))
    assert len(AEAD_AES_128_GCM.to_payload(0).encode()) == 22
    assert len(DEFAULT_POLICY.to_payload(0).encode()) == 37
