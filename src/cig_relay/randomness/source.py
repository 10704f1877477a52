# SPDX-License-Identifier: GPL-3.0-or-later
"""Random octets for j, SSV, RAND and identifiers: the kernel's generator and nothing else.

The manual asks for a processor with RdRand. Linux mixes RdRand into its pool by itself; adding it
again here would gain nothing and could only do harm. So what is left to do is to refuse to start
while the pool is not initialised, and to tell the operator whether the processor has RdRand.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cig_relay.randomness.errors import EntropyError

CPUINFO = Path("/proc/cpuinfo")


def random_bytes(count: int) -> bytes:
    """Give ``count`` octets of the kernel's generator (getrandom)."""
    return secrets.token_bytes(count)


def require_entropy() -> None:
    """Raise EntropyError while the kernel's pool is not initialised (early after a boot)."""
    try:
        os.getrandom(32, os.GRND_NONBLOCK)
    except BlockingIOError as error:
        raise EntropyError(
            "the kernel's random number generator is not initialised: start cig-relay later in "
            "the boot, or give the host a source of entropy (RdRand, virtio-rng)"
        ) from error


def has_rdrand(cpuinfo: Path = CPUINFO) -> bool | None:
    """Tell whether the processor has RdRand; None where ``cpuinfo`` cannot be read."""
    try:
        text = cpuinfo.read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return "rdrand" in flags.partition(":")[2].split()
