# SPDX-License-Identifier: GPL-3.0-or-later
"""Arithmetic on elliptic curves y² = x³ - 3x + b over a prime field.

Both curves of the library have this form: NIST P-256 (ECCSI) and the supersingular curve of
RFC 6509 Appendix A (SAKKE), so one set of formulas serves both. The numbers are GMP's: fast,
but not constant in time; which secrets may pass through here is told in docs/mikey-sakke.md.

An affine point is a pair (x, y); None is the point at infinity. A Jacobian point (X, Y, Z)
stands for (X/Z², Y/Z³); Z = 0 is infinity.
"""

from dataclasses import dataclass

from mikey_sakke._gmp import bit_scan1, invert, mpz
from mikey_sakke.errors import ParameterError

_UNCOMPRESSED = 0x04

Affine = tuple[mpz, mpz]
Jacobian = tuple[mpz, mpz, mpz]

_ZERO = mpz(0)
_ONE = mpz(1)
INFINITY: Jacobian = (_ONE, _ONE, _ZERO)

_WINDOW = 5
"""Width of the signed sliding window: best for scalars between 256 and 1024 bits."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve y² = x³ - 3x + b: field prime `p`, coefficient `b`, prime subgroup order `q`.

    `size` is the length of a coordinate in octets.
    """

    p: mpz
    b: mpz
    q: mpz
    size: int

    def contains(self, point: Affine) -> bool:
        """Say whether the coordinates are reduced and satisfy the curve equation."""
        x, y = point
        if not (0 <= x < self.p and 0 <= y < self.p):
            return False
        return bool((y * y - (x * x - 3) * x - self.b) % self.p == 0)

    def decode(self, octets: bytes) -> Affine:
        """Read an uncompressed point `04||x||y` of 1 + 2·`size` octets and check it.

        Raises `ParameterError` for another length or prefix, a coordinate that is not reduced
        and a point off the curve.
        """
        if len(octets) != 1 + 2 * self.size or octets[0] != _UNCOMPRESSED:
            raise ParameterError(
                f"a point must be 04||x||y in {1 + 2 * self.size} octets, got {len(octets)} octets"
            )
        x = mpz(int.from_bytes(octets[1 : 1 + self.size], "big"))
        y = mpz(int.from_bytes(octets[1 + self.size :], "big"))
        if not self.contains((x, y)):
            raise ParameterError("a point is not on the curve")
        return x, y

    def encode(self, point: Affine) -> bytes:
        """Write an affine point as `04||x||y`, 65 octets on P-256 and 257 on SAKKE's curve."""
        x, y = point
        return b"\x04" + int(x).to_bytes(self.size, "big") + int(y).to_bytes(self.size, "big")

    def double(self, point: Jacobian) -> Jacobian:
        """Give twice a Jacobian point (8 multiplications; uses that the coefficient a is -3)."""
        x, y, z = point
        p = self.p
        delta = z * z % p
        gamma = y * y % p
        beta = x * gamma % p
        alpha = 3 * (x - delta) * (x + delta) % p
        x3 = (alpha * alpha - 8 * beta) % p
        y3 = (alpha * (4 * beta - x3) - 8 * gamma * gamma) % p
        return x3, y3, 2 * y * z % p

    def add_mixed(self, left: Jacobian, right: Affine) -> Jacobian:
        """Give the sum of a Jacobian and an affine point, whatever their relation."""
        x1, y1, z1 = left
        x2, y2 = right
        if not z1:
            return x2, y2, _ONE
        p = self.p
        zz = z1 * z1 % p
        h = (x2 * zz - x1) % p
        r = (y2 * (zz * z1 % p) - y1) % p
        if not h:
            return INFINITY if r else self.double(left)
        hh = h * h % p
        hhh = h * hh % p
        v = x1 * hh % p
        x3 = (r * r - hhh - 2 * v) % p
        return x3, (r * (v - x3) - y1 * hhh) % p, z1 * h % p

    def add(self, left: Affine | None, right: Affine | None) -> Affine | None:
        """Give the sum of two affine points (one inversion)."""
        if left is None or right is None:
            return right if left is None else left
        x1, y1 = left
        x2, y2 = right
        p = self.p
        if x1 == x2:
            if (y1 + y2) % p == 0:
                return None
            slope = 3 * (x1 * x1 - 1) * invert(2 * y1, p) % p
        else:
            slope = (y2 - y1) * invert(x2 - x1, p) % p
        x3 = (slope * slope - x1 - x2) % p
        return x3, (slope * (x1 - x3) - y1) % p

    def to_affine(self, point: Jacobian) -> Affine | None:
        """Give the affine form of a Jacobian point."""
        x, y, z = point
        if not z:
            return None
        inverse = invert(z, self.p)
        square = inverse * inverse % self.p
        return x * square % self.p, y * square * inverse % self.p

    def multiply(self, scalar: int | mpz, point: Affine) -> Affine | None:
        """Give [scalar]point for a scalar >= 0, by a signed sliding window.

        The scalar is not reduced, so [q]point tells whether the point has order q.
        """
        odd_multiples = self._odd_multiples(point)
        if odd_multiples is None:
            return self._multiply_binary(scalar, point)
        accumulator = INFINITY
        for digit in signed_digits(scalar, _WINDOW):
            if accumulator[2]:
                accumulator = self.double(accumulator)
            if digit > 0:
                accumulator = self.add_mixed(accumulator, odd_multiples[digit >> 1])
            elif digit < 0:
                x, y = odd_multiples[-digit >> 1]
                accumulator = self.add_mixed(accumulator, (x, self.p - y))
        return self.to_affine(accumulator)

    def _odd_multiples(self, point: Affine) -> list[Affine] | None:
        """Give [1]P, [3]P ... [15]P, or None where one of them is infinity (tiny order)."""
        twice = self.add(point, point)
        multiples = [point]
        for _ in range((1 << (_WINDOW - 2)) - 1):
            following = self.add(multiples[-1], twice)
            if following is None:
                return None
            multiples.append(following)
        return multiples

    def _multiply_binary(self, scalar: int | mpz, point: Affine) -> Affine | None:
        """Multiply bit by bit: for points of tiny order, which only a hostile peer sends."""
        result: Affine | None = None
        for bit in bin(scalar)[2:]:
            result = self.add(result, result)
            if bit == "1":
                result = self.add(result, point)
        return result


def signed_digits(scalar: int | mpz, width: int) -> list[int]:
    """Give the non-adjacent form of a scalar of some width, most significant digit first.

    Each digit is 0 or odd within ±(2^(width-1) - 1), and of any `width` neighbours at most one
    is not 0.
    """
    rest = mpz(scalar)
    full = 1 << width
    digits: list[int] = []
    while rest:
        zeros = bit_scan1(rest) or 0
        digits.extend([0] * zeros)
        rest >>= zeros
        digit = int(rest & (full - 1))
        if digit >= full >> 1:
            digit -= full
        digits.append(digit)
        rest = (rest - digit) >> 1
    digits.reverse()
    return digits
