# SPDX-License-Identifier: GPL-3.0-or-later
"""SRTP policies: the default on the wire, what is refused, round trips."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mikey_sakke import MikeySakkeError, PolicyError
from mikey_sakke.errors import ErrorNumber
from mikey_sakke.message import IMessage
from mikey_sakke.payloads import SecurityPolicy
from mikey_sakke.policy import AES_GCM, DEFAULT_POLICY, SrtpPolicy
from unit.mikey_sakke.support import unhex, vector

GCM = SrtpPolicy(
    encryption=AES_GCM,
    authentication=0,
    authentication_key_length=0,
    salt_length=12,
    aead_tag_length=16,
)


def test_default_policy_is_that_of_the_vector():
    parsed = IMessage.parse(unhex(vector("imessage_tel")["messages"][0]["i_message_hex"]))
    assert parsed.policies == (DEFAULT_POLICY.to_payload(0),)
    assert SrtpPolicy.from_payload(parsed.policies[0]) == DEFAULT_POLICY
    DEFAULT_POLICY.check_acceptable()


def test_absent_parameters_have_their_defaults():
    assert SrtpPolicy.from_payload(SecurityPolicy(0, ())) == DEFAULT_POLICY


def test_gcm_of_the_3gpp_profile():
    stated = ((0, b"\6"), (1, b"\x10"), (4, b"\x0c"), (5, b"\0"), (6, b"\0"), (20, b"\x10"))
    policy = SrtpPolicy.from_payload(SecurityPolicy(0, stated))
    assert policy == GCM
    policy.check_acceptable()


@pytest.mark.parametrize(
    "stated",
    [
        ((0, b"\0"),),
        ((0, b"\2"),),
        ((0, b"\x63"),),
        ((1, b"\x08"),),
        ((2, b"\0"),),
        ((3, b"\x0a"),),
        ((4, b"\x00"),),
        ((5, b"\1"),),
        ((6, b"\1"),),
        ((7, b"\0"),),
        ((8, b"\0"),),
        ((9, b"\1"),),
        ((10, b"\0"),),
        ((11, b"\4"),),
        ((11, b"\x15"),),
        ((12, b"\1"),),
        ((18, b"\4"),),
        ((19, b"\4"),),
        ((0, b"\6"), (20, b"\x08")),
        ((0, b"\6"), (4, b"\x0e")),
    ],
)
def test_weak_or_unknown_protection_is_refused(stated):
    policy = SrtpPolicy.from_payload(SecurityPolicy(0, stated))
    with pytest.raises(PolicyError) as caught:
        policy.check_acceptable()
    assert caught.value.error_number is ErrorNumber.INVALID_SP_PARAMETER


@pytest.mark.parametrize(
    "stated", [((99, b"\1"),), ((0, b"\1"), (0, b"\1")), ((0, b""),), ((0, bytes(5)),)]
)
def test_misshapen_parameters_are_refused(stated):
    with pytest.raises(PolicyError):
        SrtpPolicy.from_payload(SecurityPolicy(0, stated))


def test_other_protocols_are_refused():
    with pytest.raises(PolicyError) as caught:
        SrtpPolicy.from_payload(SecurityPolicy(0, (), protocol=1))
    assert caught.value.error_number is ErrorNumber.INVALID_SP


@pytest.mark.parametrize("policy", [DEFAULT_POLICY, GCM, SrtpPolicy(key_length=32, tag_length=300)])
def test_round_trip(policy):
    assert SrtpPolicy.from_payload(policy.to_payload(5)) == policy


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=6)), max_size=8).map(tuple))
def test_any_parameters_raise_nothing_else(parameters):
    try:
        SrtpPolicy.from_payload(SecurityPolicy(0, parameters)).check_acceptable()
    except MikeySakkeError:
        return
