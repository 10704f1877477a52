# SPDX-License-Identifier: GPL-3.0-or-later
"""The MIKEY PRF against its vectors; HKDF against RFC 5869."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mikey_sakke import MikeySakkeError, prf
from mikey_sakke.errors import ErrorNumber
from mikey_sakke.srtp import key_label
from unit.mikey_sakke.support import unhex, vector

CASES = vector("mikey_prf")["computed"]


@pytest.mark.parametrize("index", range(len(CASES)))
def test_vectors(index):
    case = CASES[index]
    function = 1 if "PRF func 1" in case["prf"] else 0
    label = key_label(
        unhex(case["constant"]),
        cs_id=case["cs_id"],
        csb_id=int(case["csb_id"], 16),
        rand=unhex(case["rand"]),
    )
    output = prf.derive(function, unhex(case["inkey"]), label, case["outlen"])
    assert output.hex() == case["out"]


@pytest.mark.parametrize(
    ("function", "inkey", "length"), [(2, b"k", 16), (-1, b"k", 16), (0, b"", 16), (1, b"k", -1)]
)
def test_wrong_arguments(function, inkey, length):
    with pytest.raises(MikeySakkeError):
        prf.derive(function, inkey, b"label", length)


def test_unknown_function_has_its_error_number():
    with pytest.raises(MikeySakkeError) as caught:
        prf.derive(9, b"k", b"", 1)
    assert caught.value.error_number is ErrorNumber.INVALID_PRF


@given(st.binary(min_size=1, max_size=100), st.binary(max_size=50), st.integers(0, 100))
def test_shorter_output_is_a_prefix(inkey, label, length):
    for function in prf.PrfFunction:
        assert prf.derive(function, inkey, label, 100)[:length] == prf.derive(
            function, inkey, label, length
        )


def test_hkdf_rfc5869_case_1():
    output = prf.hkdf(
        b"\x0b" * 22,
        salt=bytes(range(13)),
        info=bytes(range(0xF0, 0xFA)),
        length=42,
    )
    assert output.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


def test_hkdf_rfc5869_case_3():
    output = prf.hkdf(b"\x0b" * 22, salt=b"", info=b"", length=42)
    assert output.hex() == (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    )


@pytest.mark.parametrize("length", [-1, 8161])
def test_hkdf_length(length):
    with pytest.raises(MikeySakkeError):
        prf.hkdf(b"k", salt=b"", info=b"", length=length)


def test_answer_key_is_of_its_purpose():
    first = prf.answer_key(b"s" * 16, b"r" * 16, b"UMSG/1 answer")
    assert len(first) == 32
    assert first == prf.hkdf(b"s" * 16, salt=b"r" * 16, info=b"UMSG/1 answer", length=32)
    assert first != prf.answer_key(b"s" * 16, b"r" * 16, b"UMSG/1 text")
