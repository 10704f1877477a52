# SPDX-License-Identifier: GPL-3.0-or-later
"""The few names of gmpy2 that the library uses; `_gmp.pyi` beside this file gives their types."""

from gmpy2 import bit_scan1, invert, mpz, powmod

__all__ = ["bit_scan1", "invert", "mpz", "powmod"]
