# SPDX-License-Identifier: GPL-3.0-or-later
"""SAKKE: the vectors of RFC 6508 with intermediate values, every negative case, the algebra."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mikey_sakke import DecapsulationError, KeyValidationError, ParameterError, sakke
from mikey_sakke._gmp import mpz, powmod
from mikey_sakke.comb import FixedBase, multiply_sum
from mikey_sakke.pairing import PreparedPairing
from unit.mikey_sakke.support import unhex, vector

DATA = vector("sakke")
V = DATA["vector"]
ID, SSV, Z = unhex(V["b"]), unhex(V["SSV"]), unhex("04" + V["Zx"] + V["Zy"])
RSK = unhex("04" + V["Kbx"] + V["Kby"])
R = unhex("04" + V["Rbx"] + V["Rby"])
SED = R + unhex(V["H"])
KEYS = {"identifier": ID, "rsk": RSK, "z": Z}
NEGATIVE = vector("sakke_negative")


def number(name: str) -> mpz:
    return mpz(int(V[name], 16))


def test_parameters_equal_rfc():
    assert sakke.E1024.p == int(DATA["p"], 16)
    assert sakke.E1024.q == int(DATA["q"], 16)
    assert (int(DATA["Px"], 16), int(DATA["Py"], 16)) == sakke.P
    assert int(DATA["g"], 16) == sakke.G
    assert sakke.E1024.p + 1 == 4 * sakke.E1024.q


def test_encapsulation_equals_rfc_vector():
    assert sakke.encapsulate(SSV, identifier=ID, z=Z) == SED


def test_decapsulation_equals_rfc_vector():
    assert sakke.decapsulate(SED, **KEYS) == SSV


def test_prepared_forms_give_the_same():
    kms = sakke.KmsPublicKey(Z)
    identity = sakke.PublicIdentity(kms, ID, prepared=True)
    assert kms.encapsulate(SSV, identifier=ID) == SED
    assert identity.encapsulate(SSV) == SED
    for prepared in (False, True):
        decapsulator = sakke.Decapsulator(identifier=ID, rsk=RSK, kms=kms, prepared=prepared)
        decapsulator.validate()
        assert decapsulator.decapsulate(SED) == SSV


def test_intermediate_values_equal_rfc_vector():
    assert (SSV + ID).hex() == V["M"]
    r = sakke.hash_to_integer_range(SSV + ID, sakke.E1024.q)
    assert r == number("r") == number("v mod q")
    joined = mpz(int(V["v1"] + V["v2"] + V["v3"] + V["v4"], 16))
    assert joined % sakke.E1024.q == r
    identity = sakke.PublicIdentity(sakke.kms_public_key(Z), ID)
    assert identity.hash_point(SSV) == (r, unhex("04" + V["TESTx"] + V["TESTy"]))
    assert sakke._generator_powers().power(r) == number("g^r")
    pairing = PreparedPairing(sakke.E1024, sakke.E1024.decode(RSK))
    w = pairing.pair(sakke.E1024.decode(R))
    assert w == number("w")
    assert sakke._mask(w).hex() == V["mask"]


def test_z_is_the_multiple_of_p():
    assert sakke.E1024.encode(sakke.E1024.multiply(number("z"), sakke.P)) == Z


@pytest.mark.parametrize(
    "case", NEGATIVE["tests"], ids=lambda case: f"{case['tcId']}-{case['comment']}"
)
@pytest.mark.parametrize("prepared", [False, True])
def test_every_case(case, prepared):
    identifier, rsk, z = unhex(case["id"]), unhex(NEGATIVE["RSK"]), unhex(NEGATIVE["Z"])
    sed = unhex(case["sed"])

    def run() -> bytes:
        if not prepared:
            return sakke.decapsulate(sed, identifier=identifier, rsk=rsk, z=z)
        kms = sakke.kms_public_key(z)
        return sakke.Decapsulator(identifier=identifier, rsk=rsk, kms=kms).decapsulate(sed)

    if case["result"] == "valid":
        assert run().hex() == NEGATIVE["ssv"]
    else:
        with pytest.raises(DecapsulationError):
            run()


def test_point_of_order_two_is_refused():
    """(0, 0) is on the curve; its pairing does not exist."""
    with pytest.raises(DecapsulationError):
        sakke.decapsulate(b"\x04" + bytes(256) + bytes(16), **KEYS)


def test_all_refusals_read_the_same():
    decapsulator = sakke.Decapsulator(identifier=ID, rsk=RSK, kms=sakke.kms_public_key(Z))
    texts = set()
    for sed in (b"", SED[:-1], b"\x02" + SED[1:], SED[:-1] + b"\0", b"\x04" + bytes(272)):
        with pytest.raises(DecapsulationError) as caught:
            decapsulator.decapsulate(sed)
        texts.add(str(caught.value))
    assert len(texts) == 1


def test_validate():
    sakke.validate(**KEYS)
    other_point = sakke.E1024.encode(sakke.P)
    for name, value in (("identifier", b"someone"), ("rsk", other_point), ("z", other_point)):
        with pytest.raises(KeyValidationError):
            sakke.validate(**(KEYS | {name: value}))


def _outside_subgroup() -> bytes:
    """RSK + (0, 0): on the curve, but of order 2q."""
    point = sakke.E1024.add(sakke.E1024.decode(RSK), (mpz(0), mpz(0)))
    return sakke.E1024.encode(point)


@pytest.mark.parametrize("name", ["rsk", "z"])
@pytest.mark.parametrize(
    "value",
    [b"", b"\x04", bytes(257), b"\x04" + bytes(256), b"\xff" * 257, RSK[:-1] + b"\0"],
    ids=["empty", "one", "zero", "order-2", "ones", "off-curve"],
)
def test_garbage_keys_are_refused(name, value):
    with pytest.raises(KeyValidationError):
        sakke.validate(**(KEYS | {name: value}))
    with pytest.raises(DecapsulationError):
        sakke.decapsulate(SED, **(KEYS | {name: value}))


@pytest.mark.parametrize("name", ["rsk", "z"])
def test_keys_outside_the_subgroup_are_refused(name):
    with pytest.raises(KeyValidationError):
        sakke.validate(**(KEYS | {name: _outside_subgroup()}))


@pytest.mark.parametrize("identifier", [b"", b"\0", b"\1", b"\xff" * 128])
def test_identifiers_out_of_range_are_refused(identifier):
    with pytest.raises(ParameterError):
        sakke.encapsulate(SSV, identifier=identifier, z=Z)
    with pytest.raises(DecapsulationError):
        sakke.decapsulate(SED, **(KEYS | {"identifier": identifier}))
    with pytest.raises(KeyValidationError):
        sakke.validate(**(KEYS | {"identifier": identifier}))


@pytest.mark.parametrize("length", [0, 15, 17, 32])
def test_ssv_of_another_length_is_refused(length):
    with pytest.raises(ParameterError):
        sakke.encapsulate(bytes(length), identifier=ID, z=Z)


@settings(max_examples=15, deadline=None)
@given(ssv=st.binary(min_size=16, max_size=16))
def test_what_is_encapsulated_comes_out(ssv):
    sed = sakke.encapsulate(ssv, identifier=ID, z=Z)
    decapsulator = sakke.Decapsulator(identifier=ID, rsk=RSK, kms=sakke.kms_public_key(Z))
    assert decapsulator.decapsulate(sed) == ssv


@settings(max_examples=20, deadline=None)
@given(sed=st.binary(max_size=300) | st.binary(min_size=272, max_size=272).map(b"\x04".__add__))
def test_decapsulate_raises_nothing_else(sed):
    decapsulator = sakke.Decapsulator(identifier=ID, rsk=RSK, kms=sakke.kms_public_key(Z))
    with pytest.raises(DecapsulationError):
        decapsulator.decapsulate(sed)


def _pairing_by_the_book(left, right):
    """<left, right> as RFC 6508 §3.2 writes it, bit by bit, with elements a+ib of F_p²."""
    p = int(sakke.E1024.p)

    def product(v, w):
        return (v[0] * w[0] - v[1] * w[1]) % p, (v[0] * w[1] + v[1] * w[0]) % p

    rx, ry = map(int, left)
    qx, qy = map(int, right)
    cx, cy, v = rx, ry, (1, 0)
    for bit in bin(sakke.E1024.q - 1)[3:]:
        slope = 3 * (cx * cx - 1) * pow(2 * cy, -1, p)
        v = product(product(v, v), ((slope * (qx + cx) - cy) % p, qy))
        x = (slope * slope - 2 * cx) % p
        cx, cy = x, (slope * (cx - x) - cy) % p
        if bit == "1":
            slope = (cy - ry) * pow(cx - rx, -1, p)
            v = product(v, ((slope * (qx + cx) - cy) % p, qy))
            x = (slope * slope - cx - rx) % p
            cx, cy = x, (slope * (cx - x) - cy) % p
    v = product(v, v)
    a, b = product(v, v)
    return b * pow(a, -1, p) % p


def test_pairing_equals_the_rfc_algorithm():
    left, right = sakke.E1024.decode(R), sakke.E1024.decode(RSK)
    prepared = PreparedPairing(sakke.E1024, right).pair(left)
    assert prepared == _pairing_by_the_book(left, right) == number("w")


def test_pairing_is_bilinear():
    pairing = PreparedPairing(sakke.E1024, sakke.P)
    assert pairing.pair(sakke.P) == sakke.G
    assert pairing.pair(sakke.E1024.multiply(7, sakke.P)) == sakke._generator_powers().power(mpz(7))


def test_power_of_g_equals_plain_exponentiation():
    """(1 + ig)^e with e small enough to multiply out."""
    p = int(sakke.E1024.p)
    a, b = 1, 0
    for exponent in range(1, 20):
        a, b = (a - b * int(sakke.G)) % p, (b + a * int(sakke.G)) % p
        expected = b * int(powmod(a, p - 2, p)) % p
        assert sakke._generator_powers().power(mpz(exponent)) == expected


@settings(max_examples=20, deadline=None)
@given(scalar=st.integers(min_value=1, max_value=int(sakke.E1024.q) - 1))
def test_table_and_window_multiply_alike(scalar):
    table = sakke._base_table()
    assert multiply_sum([(table, mpz(scalar))]) == sakke.E1024.multiply(scalar, sakke.P)


def test_table_needs_a_point_of_large_order():
    with pytest.raises(ParameterError):
        FixedBase(sakke.E1024, (mpz(0), mpz(0)))


def test_secret_forms_show_nothing():
    decapsulator = sakke.Decapsulator(identifier=ID, rsk=RSK, kms=sakke.kms_public_key(Z))
    assert repr(decapsulator) == "Decapsulator(redacted)"
    assert repr(decapsulator._pairing) == "PreparedPairing(redacted)"
