# SPDX-License-Identifier: GPL-3.0-or-later
"""RdRand as a source of entropy: whether this host has it, and octets that passed the health tests.

The instruction itself is in the extension module `_rdrand`, which the set-up compiles.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cig_common.processor import flags
from cig_relay.randomness.errors import EntropyError, NoRdRandError
from cig_relay.randomness.health import WORD_OCTETS, HealthTests

try:
    from cig_relay.randomness import _rdrand
except ImportError:
    # A tree that was not set up: who needs RdRand is told, who does without it is not held up.
    _rdrand = None  # type: ignore[assignment]

CPUINFO = Path("/proc/cpuinfo")

_WAY_OUT = (
    "Mostly this is a virtual machine whose host hides the processor's features: have it pass "
    "them on (in QEMU and libvirt: CPU model host-passthrough). Otherwise use another processor "
    "(Intel since 2012, AMD since 2015). For a laboratory only: start cig-relay with --no-rdrand"
)


def has_rdrand(cpuinfo: Path = CPUINFO) -> bool | None:
    """Tell whether the processor has RdRand; None where ``cpuinfo`` cannot be read."""
    try:
        text = cpuinfo.read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return any("rdrand" in listed for listed in flags(text)[:1])


def require_rdrand(cpuinfo: Path = CPUINFO) -> None:
    """Raise NoRdRandError unless the kernel and the processor both say that there is RdRand.

    The kernel takes the flag away where it knows the instruction to be broken, or was told to.
    """
    listed = has_rdrand(cpuinfo)
    if listed is None:
        raise NoRdRandError(f"{cpuinfo} cannot be read, so RdRand is not known to be there")
    if not listed:
        raise NoRdRandError(
            "the manual's prerequisite is not met: the processor must support RdRand, and "
            f"{cpuinfo} does not list rdrand among its flags. {_WAY_OUT}"
        )
    require_instruction()


def require_instruction() -> None:
    """Raise NoRdRandError unless the extension is there and the processor says it has RdRand.

    It opens no file, so that a process may do it that must not.
    """
    if _rdrand is None:
        raise NoRdRandError(
            "the extension module for RdRand is not compiled: run `make setup`, which does it"
        )
    if not _rdrand.available():
        raise NoRdRandError(
            "the manual's prerequisite is not met: the processor must support RdRand, and says by "
            f"CPUID that it has none. {_WAY_OUT}"
        )


def instruction(count: int) -> bytes | None:
    """Give ``count`` octets of the instruction; None if it gives none in ten tries."""
    return _rdrand.fill(count)


class RdRand:
    """Octets of RdRand, each of which was looked at by the health tests before it is given out.

    ``fill`` reads the instruction. Every read belongs to one series of samples, so the tests go on
    from one to the next. Once a test has failed, nothing is given any more.
    """

    def __init__(self, fill: Callable[[int], bytes | None] = instruction) -> None:
        self._fill = fill
        self._tests = HealthTests()

    def read(self, count: int) -> bytes:
        """Give ``count`` octets, a whole number of words; raises EntropyError."""
        if count % WORD_OCTETS:
            raise ValueError(f"{count} octets of RdRand are not a whole number of words")
        self._require_health()
        octets = self._fill(count)
        if octets is None:
            raise EntropyError(
                "RdRand gave nothing in ten tries in a row: the processor may be broken"
            )
        self._tests.feed(octets)
        self._require_health()
        return octets

    def _require_health(self) -> None:
        if self._tests.failures:
            raise EntropyError(
                f"RdRand failed its health tests ({', '.join(self._tests.failures)}): do not use "
                "this processor; restart cig-relay to test it anew"
            )
