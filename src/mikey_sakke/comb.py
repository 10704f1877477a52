# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixed-base tables (combs, Lim and Lee 1994): many multiples of one point, or powers of g.

A scalar of 1024 bits is cut into 8 rows of 128 bits; a column of 8 bits picks one of 256
prepared sums. Two tables, one for each half of the columns, leave 64 doublings and at most
128 additions of the 1022 and 170 that a scalar multiplication otherwise needs.
"""

from collections.abc import Sequence

from mikey_sakke._gmp import invert, mpz
from mikey_sakke.curve import INFINITY, Affine, Curve
from mikey_sakke.errors import ParameterError

_ROWS = 8
_ROW_BITS = 128
_HALF = _ROW_BITS // 2
_SCALAR_BITS = _ROWS * _ROW_BITS


def _columns(scalar: mpz) -> list[int]:
    """Give the 128 column indices of a scalar below 2^1024, most significant column first.

    Bit i of an index is the scalar's bit at 128·i + column.
    """
    bits = format(int(scalar), f"0{_SCALAR_BITS}b")
    return [int(bits[column::_ROW_BITS], 2) for column in range(_ROW_BITS)]


class FixedBase:
    """A table of one affine point's multiples, for scalars below 2^1024.

    Building it costs about as much as two scalar multiplications. The table is as public (or
    as secret) as the point.
    """

    __slots__ = ("curve", "halves")

    def __init__(self, curve: Curve, point: Affine) -> None:
        self.curve = curve
        bases: list[Affine] = []
        current = (point[0], point[1], mpz(1))
        for _ in range(_SCALAR_BITS // _HALF):
            affine = curve.to_affine(current)
            if affine is None:
                raise ParameterError("a fixed-base table needs a point of large order")
            bases.append(affine)
            current = (affine[0], affine[1], mpz(1))
            for _ in range(_HALF):
                current = curve.double(current)
        self.halves = (self._subset_sums(bases[1::2]), self._subset_sums(bases[0::2]))

    def _subset_sums(self, bases: Sequence[Affine]) -> list[Affine | None]:
        """Give the sum of each subset of the bases; bit i of the index takes base i."""
        sums: list[Affine | None] = [None]
        for base in bases:
            sums += [self.curve.add(entry, base) for entry in sums]
        return sums


def multiply_sum(terms: Sequence[tuple[FixedBase, mpz]]) -> Affine | None:
    """Give the sum of [scalar]base over all terms (one curve); they share the doublings."""
    curve = terms[0][0].curve
    prepared = [(base.halves, _columns(scalar)) for base, scalar in terms]
    accumulator = INFINITY
    for column in range(_HALF):
        accumulator = curve.double(accumulator)
        for (high, low), columns in prepared:
            for table, index in ((high, columns[column]), (low, columns[column + _HALF])):
                entry = table[index]
                if entry is not None:
                    accumulator = curve.add_mixed(accumulator, entry)
    return curve.to_affine(accumulator)


class FixedPower:
    """A table of one element's powers in PF_p, the quotient F_p²*/F_p* of RFC 6508 §2.1.

    An element a+ib is held as b/a, so that a product of two is (x+y)/(1-xy).
    """

    __slots__ = ("_halves", "_p")

    def __init__(self, p: mpz, element: mpz) -> None:
        self._p = p
        bases = []
        current = element
        for _ in range(_SCALAR_BITS // _HALF):
            bases.append(current)
            for _ in range(_HALF):
                current = self._product(current, current)
        self._halves = (self._subset_products(bases[1::2]), self._subset_products(bases[0::2]))

    def _product(self, left: mpz, right: mpz) -> mpz:
        return (left + right) * invert(1 - left * right, self._p) % self._p

    def _subset_products(self, bases: Sequence[mpz]) -> list[mpz]:
        products = [mpz(0)]
        for base in bases:
            products += [self._product(entry, base) for entry in products]
        return products

    def power(self, exponent: mpz) -> mpz:
        """Give the element to the power of an exponent below 2^1024, as a representative."""
        p = self._p
        high, low = self._halves
        columns = _columns(exponent)
        a, b = mpz(1), mpz(0)
        for column in range(_HALF):
            a, b = (a + b) * (a - b) % p, 2 * a * b % p
            for t in (high[columns[column]], low[columns[column + _HALF]]):
                a, b = (a - b * t) % p, (b + a * t) % p
        return b * invert(a, p) % p
