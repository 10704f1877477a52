# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension module that `_rdrand.c` is compiled to."""

def available() -> bool:
    """Tell whether CPUID says that there is RdRand."""

def fill(count: int, /) -> bytes | None:
    """Give ``count`` octets of RdRand; None if it gives none in ten tries."""
