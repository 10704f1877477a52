# SPDX-License-Identifier: GPL-3.0-or-later
"""Random octets for j, SSV, RAND and numbers of calls: a DRBG over RdRand and the kernel.

The rules:

1. The DRBG (`drbg`) is seeded from RdRand and from the kernel's generator together, neither
   trusted alone: both go whole into one HMAC, so whoever knows or made one of them still lacks the
   other. RdRand is read first: what the processor gives cannot depend on the kernel's octets.
2. The first seed takes 16,384 octets of RdRand, which are condensed to 32. RdRand is a DRBG
   itself, and takes in fresh entropy after at most 511 blocks of 128 bits: 512 blocks hold 128
   fresh bits for sure, and 256 bits need that twice (Intel's guide, Generating Seeds from RDRAND).
   All of them pass the health tests before one is used, which is the start-up test.
3. A seed serves 1,024 requests or 60 seconds. A reseed takes 128 octets of RdRand and 48 of the
   kernel, and keeps what the state had.
4. A child process never goes on with its parent's state: it starts over with a seed of its own.
5. Where a source of entropy fails, there are no random octets: every request raises EntropyError,
   the state says so, and the log once. The next request tries again. Health tests that failed stay
   failed until the process is started anew.
6. Without RdRand (`--no-rdrand`) all is the same but for RdRand, and loud.
"""

from __future__ import annotations

import hmac
import logging
import os
import threading
import time
from collections.abc import Callable

from cig_relay.randomness.drbg import MAX_REQUEST, MIN_NONCE, HmacDrbg
from cig_relay.randomness.errors import EntropyError
from cig_relay.randomness.rdrand import RdRand, require_instruction

_log = logging.getLogger("Random")

RESEED_REQUESTS = 1024
RESEED_SECONDS = 60.0
FIRST_OCTETS, NEXT_OCTETS = 16384, 128
"""Octets of RdRand that go into the first seed and into each further one."""
KERNEL_OCTETS = 48

NO_RDRAND = "--no-rdrand"
"""The option of cig-relay and its engines that does without RdRand."""
BOTH = "RdRand and kernel"
KERNEL_ALONE = f"kernel alone ({NO_RDRAND})"
FAILED = "FAILED: "
"""What a state begins with that is none of these."""


def kernel_bytes(count: int) -> bytes:
    """Give up to 256 octets of the kernel's generator; raises EntropyError early after a boot."""
    try:
        return os.getrandom(count, os.GRND_NONBLOCK)
    except BlockingIOError:
        raise EntropyError(
            "the kernel's random number generator is not initialised: start cig-relay later in "
            "the boot, or give the host a source of entropy (RdRand, virtio-rng)"
        ) from None


class RandomSource:
    """The random generator of a process; `random_bytes` may be called by any thread.

    ``rdrand`` None means to do without it. ``kernel`` gives octets of the kernel's generator,
    ``clock`` monotonic time. A process has one for as long as it lives.
    """

    def __init__(
        self,
        rdrand: RdRand | None,
        *,
        kernel: Callable[[int], bytes] = kernel_bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failures = 0
        """How many requests got nothing because a source of entropy failed."""
        self._rdrand = rdrand
        self._kernel = kernel
        self._clock = clock
        self._problem = ""
        self._drbg: HmacDrbg | None = None
        self._seeded_at = 0.0
        self._pid = 0
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._start_over)

    def random_bytes(self, count: int) -> bytes:
        """Give ``count`` random octets; raises EntropyError."""
        if count <= MAX_REQUEST:
            with self._lock:
                return self._ready().generate(count)
        pieces = range(0, count, MAX_REQUEST)
        return b"".join(self.random_bytes(min(MAX_REQUEST, count - done)) for done in pieces)

    def require_entropy(self) -> None:
        """Raise EntropyError unless random octets can be given now: seeds if that is due."""
        with self._lock:
            self._ready()

    def state(self) -> str:
        """Say in words what the octets come from, or `FAILED` and why there are none."""
        try:
            self.require_entropy()
        except EntropyError as error:
            return f"{FAILED}{error}"
        return self.sources

    @property
    def sources(self) -> str:
        """What the seeds are made of."""
        return KERNEL_ALONE if self._rdrand is None else BOTH

    # --- seeding, under the lock ----------------------------------------------------------------

    def _start_over(self) -> None:
        # In the child the lock may be held for ever by a thread that only its parent has.
        self._lock = threading.Lock()
        self._drbg = None

    def _ready(self) -> HmacDrbg:
        """Give the DRBG with a seed that may serve one request more."""
        now, pid = self._clock(), os.getpid()
        drbg = self._drbg
        try:
            if drbg is None or pid != self._pid:
                drbg = self._instantiate(now, pid)
            elif drbg.reseed_due or now - self._seeded_at >= RESEED_SECONDS:
                drbg.reseed(self._entropy(NEXT_OCTETS))
            else:
                return drbg
        except EntropyError as error:
            self._failed(str(error))
            raise
        self._drbg, self._pid, self._seeded_at = drbg, pid, now
        if self._problem:
            self._problem = ""
            _log.warning("random octets can be given again, from %s", self.sources)
        return drbg

    def _instantiate(self, now: float, pid: int) -> HmacDrbg:
        entropy = self._entropy(FIRST_OCTETS)
        who = f"CIG random octets 1, process {pid} at {now!r}".encode()
        return HmacDrbg(entropy, self._kernel(MIN_NONCE), who, reseed_interval=RESEED_REQUESTS)

    def _entropy(self, octets: int) -> bytes:
        """Read both sources: RdRand condensed to one HMAC, then the kernel's octets."""
        condensed = b""
        if self._rdrand is not None:
            condensed = hmac.digest(b"CIG RdRand", self._rdrand.read(octets), "sha256")
        return condensed + self._kernel(KERNEL_OCTETS)

    def _failed(self, problem: str) -> None:
        self.failures += 1
        if problem != self._problem:
            self._problem = problem
            _log.critical("NO RANDOM OCTETS, so nothing is signed or encrypted: %s", problem)


def open_source(*, rdrand: bool) -> RandomSource:
    """Give a source that has its first seed; raises EntropyError. It opens no file."""
    if rdrand:
        require_instruction()
    source = RandomSource(RdRand() if rdrand else None)
    source.require_entropy()
    return source
