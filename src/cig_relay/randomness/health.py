# SPDX-License-Identifier: GPL-3.0-or-later
"""The health tests of NIST SP 800-90B, section 4.4, over what RdRand gives. A core: no I/O.

What RdRand gives is the output of a DRBG inside the processor, so it looks random even if that
DRBG's own source has died. These tests see the coarse failures, which are those that are known to
have happened: a stuck register, words that come back. The rules:

1. Each test runs over two alphabets. Octets, because the standard's tables and its windows are
   made for small samples, and a bias shows soonest there. Words of 64 bits, because that is what
   the instruction gives: a word that comes twice is a failure that its octets need not show.
2. The min-entropy assumed is `OCTET_ENTROPY` = 4 bits an octet, and so 32 a word. It is half of
   what a sound RdRand has. The seeding takes far less credit than that (see `source`), and a sound
   RdRand is then refused far less often than the false positive rate allows: a run of 9 equal
   octets has a chance of 2^-64, a word that comes again within a window one below 2^-54.
3. The cut-offs follow from that and from alpha = 2^-30, the chance of a false alarm that each test
   may have for a source that has just the min-entropy assumed.
4. A failure is final: the object stays failed.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import comb

OCTET_ENTROPY = 4
"""Min-entropy of an octet that is assumed, in bits."""
WORD_OCTETS = 8
WINDOW = 512
"""Samples of a window of the adaptive proportion test, where they are not binary (4.4.2)."""
ALPHA_BITS = 30
"""The chance of a false alarm is 2 to the minus this."""


def repetition_cutoff(entropy: int, alpha_bits: int = ALPHA_BITS) -> int:
    """Give how many equal samples in a row are a failure (4.4.1): 1 + ceil(-log2 alpha / H)."""
    return 1 + -(-alpha_bits // entropy)


def proportion_cutoff(entropy: int, window: int = WINDOW, alpha_bits: int = ALPHA_BITS) -> int:
    """Give from how many times on it is a failure that a window's first sample is in it (4.4.2).

    It is 1 more than the critical value: the least x for which a sample of probability 2^-H is in
    the window x times or less with probability 1 - alpha. All of it in whole numbers, scaled by
    2^(H * window), because the tail is far below what a float tells from 0.
    """
    total = 1 << (entropy * window)
    others = (1 << entropy) - 1
    below = 0
    for count in range(window + 1):
        below += comb(window, count) * others ** (window - count)
        if (total - below) << alpha_bits <= total:
            break
    return 1 + count


class RepetitionCount:
    """The repetition count test (4.4.1): fails when a sample comes ``cutoff`` times in a row."""

    def __init__(self, cutoff: int) -> None:
        self.cutoff = cutoff
        self.failed = False
        self._last: int | None = None
        self._count = 0

    def feed(self, samples: Iterable[int]) -> None:
        """Look at more samples; they follow those of the last time."""
        last, count = self._last, self._count
        for sample in samples:
            if sample == last:
                count += 1
                if count >= self.cutoff:
                    self.failed = True
            else:
                last, count = sample, 1
        self._last, self._count = last, count


class AdaptiveProportion:
    """The adaptive proportion test (4.4.2): fails when a window's first sample is too often in it.

    Windows follow each other without overlap; ``cutoff`` counts the first sample too.
    """

    def __init__(self, cutoff: int, window: int = WINDOW) -> None:
        self.cutoff = cutoff
        self.window = window
        self.failed = False
        self._first = 0
        self._seen = 0
        self._count = 0

    def feed(self, samples: Iterable[int]) -> None:
        """Look at more samples; they follow those of the last time."""
        first, seen, count = self._first, self._seen, self._count
        for sample in samples:
            if not seen:
                first, count = sample, 1
            elif sample == first:
                count += 1
                if count >= self.cutoff:
                    self.failed = True
            seen = seen + 1 if seen + 1 < self.window else 0
        self._first, self._seen, self._count = first, seen, count


class HealthTests:
    """All tests over the words of RdRand, in the order in which they come."""

    def __init__(self) -> None:
        self._octets = _both(OCTET_ENTROPY)
        self._words = _both(OCTET_ENTROPY * WORD_OCTETS)

    def feed(self, octets: bytes) -> None:
        """Look at more octets, a whole number of words."""
        words = memoryview(octets).cast("Q")
        for test in self._octets.values():
            test.feed(octets)
        for test in self._words.values():
            test.feed(words)

    @property
    def failures(self) -> tuple[str, ...]:
        """Names of the tests that failed, ever."""
        return tuple(
            f"{name} of {alphabet}"
            for alphabet, tests in (("octets", self._octets), ("words", self._words))
            for name, test in tests.items()
            if test.failed
        )


def _both(entropy: int) -> dict[str, RepetitionCount | AdaptiveProportion]:
    return {
        "repetition count": RepetitionCount(repetition_cutoff(entropy)),
        "adaptive proportion": AdaptiveProportion(proportion_cutoff(entropy)),
    }
