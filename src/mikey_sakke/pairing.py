# SPDX-License-Identifier: GPL-3.0-or-later
"""The Tate-Lichtenbaum pairing of RFC 6508 §3.2, with one argument fixed and prepared.

Values live in PF_p = F_p²*/F_p*, where a factor from F_p does not count: a+ib is represented
by b/a. The pairing is symmetric on E[q], so the Miller loop can run over the argument that
stays the same (a receiver's own RSK); its lines are computed once and evaluated for each
message. A line through C with slope l gives l·(x+Cx)-Cy + i·y at the point (x, y), which,
divided by y, is l·(x/y) + (l·Cx-Cy)·(1/y) + i: two multiplications.
"""

from mikey_sakke._gmp import invert, mpz
from mikey_sakke.curve import Affine, Curve, signed_digits
from mikey_sakke.errors import ParameterError
from mikey_sakke.secret import Guarded


class PreparedPairing(Guarded):
    """The pairing with one fixed point of order q.

    The table (about 1,360 lines, 0.5 MB) is as secret as the point, and is in Python numbers
    that cannot be wiped. The point must have order q: raises `ParameterError` where the
    computation meets a point of tiny order.
    """

    __slots__ = ("_lines", "_p")

    def __init__(self, curve: Curve, point: Affine) -> None:
        self._p = curve.p
        try:
            self._lines = _miller_lines(curve, point)
        except ZeroDivisionError:
            raise ParameterError("the fixed point of a pairing must have order q") from None

    def pair(self, point: Affine) -> mpz:
        """Give <point, fixed point> as its representative b/a, a number of 128 octets.

        Needs a y coordinate not 0.

        The sequence of operations is the same for every point.
        """
        p = self._p
        y_inverse = invert(point[1], p)
        x_over_y = point[0] * y_inverse % p
        a, b = mpz(1), mpz(0)
        for is_doubling, slope, constant in self._lines:
            if is_doubling:
                a, b = (a + b) * (a - b) % p, 2 * a * b % p
            t = (slope * x_over_y + constant * y_inverse) % p
            a, b = (a * t - b) % p, (a + b * t) % p
        for _ in range(2):  # the final power (p+1)/q = 4
            a, b = (a + b) * (a - b) % p, 2 * a * b % p
        # a is never 0: the value's order divides q, which is odd, and i has order 2.
        return b * invert(a, p) % p


def _miller_lines(curve: Curve, point: Affine) -> list[tuple[bool, mpz, mpz]]:
    """Give (is a doubling, slope, slope·Cx - Cy) for each line of the loop over q - 1.

    The loop follows signed digits: a digit -1 adds -P, whose vertical line lies in F_p and so
    does not count; that takes a third fewer additions than the bits of RFC 6508 §3.2.
    Coordinates are affine, with an inversion in each step: this runs once a key, and so the
    slopes come out as they are needed.
    """
    p = curve.p
    x, y = point
    cx, cy = point
    lines: list[tuple[bool, mpz, mpz]] = []

    def step(is_doubling: bool, slope: mpz, other_x: mpz) -> tuple[mpz, mpz]:
        lines.append((is_doubling, slope, (slope * cx - cy) % p))
        sum_x = (slope * slope - cx - other_x) % p
        return sum_x, (slope * (cx - sum_x) - cy) % p

    for digit in signed_digits(curve.q - 1, 2)[1:]:
        cx, cy = step(True, 3 * (cx * cx - 1) * invert(2 * cy, p) % p, cx)
        if digit:
            cx, cy = step(False, (cy - digit * y) * invert(cx - x, p) % p, x)
    return lines
