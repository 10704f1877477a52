# SPDX-License-Identifier: GPL-3.0-or-later
"""Curve arithmetic against itself: special cases of addition, windows, encodings."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mikey_sakke._gmp import mpz
from mikey_sakke.curve import INFINITY, signed_digits
from mikey_sakke.eccsi import P256, G
from mikey_sakke.errors import ParameterError

TWO_G = P256.add(G, G)
MINUS_G = (G[0], P256.p - G[1])


def test_special_cases_of_mixed_addition():
    jacobian_g = (G[0], G[1], mpz(1))
    assert P256.to_affine(P256.add_mixed(INFINITY, G)) == G
    assert P256.to_affine(P256.add_mixed(jacobian_g, G)) == TWO_G
    assert P256.to_affine(P256.add_mixed(jacobian_g, MINUS_G)) is None
    assert P256.to_affine(P256.double(jacobian_g)) == TWO_G
    assert P256.to_affine(P256.double(INFINITY)) is None


def test_special_cases_of_affine_addition():
    assert P256.add(None, G) == P256.add(G, None) == G
    assert P256.add(None, None) is None
    assert P256.add(G, MINUS_G) is None


@pytest.mark.parametrize("scalar", [0, 1, 2, 3, 15, 16, 17, 31, 32, 33])
def test_small_multiples(scalar):
    expected = None
    for _ in range(scalar):
        expected = P256.add(expected, G)
    assert P256.multiply(scalar, G) == expected


def test_order_of_the_base_point():
    assert P256.multiply(P256.q, G) is None
    assert P256.multiply(P256.q - 1, G) == MINUS_G
    assert P256.multiply(P256.q + 1, G) == G


@settings(max_examples=30, deadline=None)
@given(left=st.integers(0, 2**256), right=st.integers(0, 2**256))
def test_multiplication_distributes(left, right):
    total = P256.add(P256.multiply(left, G), P256.multiply(right, G))
    assert P256.multiply(left + right, G) == total


@given(scalar=st.integers(0, 2**300), width=st.integers(2, 6))
def test_signed_digits(scalar, width):
    digits = signed_digits(scalar, width)
    value = 0
    for digit in digits:
        value = 2 * value + digit
        assert digit == 0 or (digit % 2 and abs(digit) < 1 << (width - 1))
    assert value == scalar
    for start in range(len(digits) - width + 1):
        assert sum(1 for digit in digits[start : start + width] if digit) <= 1


def test_points_round_trip():
    octets = P256.encode(G)
    assert len(octets) == 65
    assert P256.decode(octets) == G


@pytest.mark.parametrize("prefix", [0, 2, 3, 5, 6, 7])
def test_other_prefixes_are_refused(prefix):
    with pytest.raises(ParameterError):
        P256.decode(bytes((prefix,)) + P256.encode(G)[1:])


def test_coordinates_not_reduced_are_refused():
    for x, y in ((P256.p, 0), (0, P256.p), (2**256 - 1, 1)):
        with pytest.raises(ParameterError):
            P256.decode(b"\x04" + int(x).to_bytes(32, "big") + int(y).to_bytes(32, "big"))
