# SPDX-License-Identifier: GPL-3.0-or-later
"""The health tests: the standard's own numbers, bad inputs made to be found, good ones."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from math import comb, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_relay.randomness.health import (
    ALPHA_BITS,
    OCTET_ENTROPY,
    WINDOW,
    WORD_OCTETS,
    AdaptiveProportion,
    HealthTests,
    RepetitionCount,
    proportion_cutoff,
    repetition_cutoff,
)

WORD_ENTROPY = OCTET_ENTROPY * WORD_OCTETS
few_octets = st.lists(st.integers(0, 2), max_size=60)


def test_cut_offs_are_those_that_the_standard_prints() -> None:
    # SP 800-90B, 4.4.1 (the example) and table 2, all for alpha = 2^-20.
    assert repetition_cutoff(2, alpha_bits=20) == 11
    assert proportion_cutoff(1, window=1024, alpha_bits=20) == 589
    printed = {1: 311, 2: 177, 4: 62, 8: 13}
    assert {h: proportion_cutoff(h, 512, 20) for h in printed} == printed


def test_cut_offs_in_use() -> None:
    assert (repetition_cutoff(OCTET_ENTROPY), proportion_cutoff(OCTET_ENTROPY)) == (9, 71)
    assert (repetition_cutoff(WORD_ENTROPY), proportion_cutoff(WORD_ENTROPY)) == (2, 2)


def _tail(trials: int, chance: float, least: int) -> float:
    """How probable it is that ``least`` or more of ``trials`` happen."""
    return sum(
        comb(trials, n) * chance**n * (1 - chance) ** (trials - n) for n in range(least, trials + 1)
    )


def test_a_false_alarm_is_as_rare_as_promised() -> None:
    cutoff = proportion_cutoff(OCTET_ENTROPY)
    assert log2(_tail(WINDOW, 2.0**-OCTET_ENTROPY, cutoff)) <= -ALPHA_BITS
    assert log2(_tail(WINDOW, 2.0**-OCTET_ENTROPY, cutoff - 1)) > -ALPHA_BITS
    # Octets that have all the entropy that they can: the window's first one is there for sure.
    assert log2(_tail(WINDOW - 1, 1 / 256, cutoff - 1)) < -200
    assert (repetition_cutoff(OCTET_ENTROPY) - 1) * 8 == 64
    assert log2(_tail(WINDOW - 1, 2.0**-64, proportion_cutoff(WORD_ENTROPY) - 1)) < -54


def test_repetition_is_found_at_the_cutoff_and_not_before() -> None:
    test = RepetitionCount(3)
    for sample, failed in ((7, False), (7, False), (8, False), (7, False), (7, False), (7, True)):
        test.feed((sample,))
        assert test.failed is failed
    test.feed((1, 2, 3))
    assert test.failed


def test_proportion_is_found_at_the_cutoff_and_windows_do_not_overlap() -> None:
    test = AdaptiveProportion(3, window=5)
    # The second window begins with 2: that 1 comes often in it, and over both, is no matter.
    test.feed((1, 0, 1, 0, 0, 2, 1, 1, 1, 2))
    assert not test.failed
    test.feed((4, 4, 0))
    assert not test.failed
    test.feed((4,))
    assert test.failed


def _repeats(samples: list[int], cutoff: int) -> bool:
    pieces = (samples[at : at + cutoff] for at in range(len(samples) - cutoff + 1))
    return any(len(set(piece)) == 1 for piece in pieces)


def _abounds(samples: list[int], cutoff: int, window: int) -> bool:
    windows = (samples[at : at + window] for at in range(0, len(samples), window))
    return any(piece.count(piece[0]) >= cutoff for piece in windows)


@given(pieces=st.lists(few_octets, max_size=8), cutoff=st.integers(2, 6))
def test_the_verdict_is_that_of_the_definition_however_samples_are_cut(
    pieces: list[list[int]], cutoff: int
) -> None:
    repetition, proportion = RepetitionCount(cutoff), AdaptiveProportion(cutoff, window=7)
    samples: list[int] = []
    for piece in pieces:
        repetition.feed(piece)
        proportion.feed(piece)
        samples += piece
        assert repetition.failed is _repeats(samples, cutoff)
        assert proportion.failed is _abounds(samples, cutoff, 7)


# --- what a broken RdRand might give ------------------------------------------------------------


def _sound(seed: int, words: int) -> list[bytes]:
    draw = random.Random(seed)
    return [draw.randbytes(WORD_OCTETS) for _ in range(words)]


def _all_ones(at: int) -> bytes:
    """What a Ryzen 3000 gave before its firmware was mended."""
    return b"".join(_sound(1, at)) + b"\xff" * WORD_OCTETS * 2


def _stuck(at: int) -> bytes:
    return b"".join([*_sound(2, at), bytes(range(1, 9)) * 2])


def _a_cycle(at: int) -> bytes:
    return b"".join([*_sound(3, at), *_sound(4, 100) * 12])


def _biased(at: int) -> bytes:
    """Every fifth octet is the same."""
    draw = random.Random(5)
    biased = (7 if draw.random() < 0.2 else draw.randrange(256) for _ in range(WINDOW * 50))
    return b"".join(_sound(6, at)) + bytes(biased)


@pytest.mark.parametrize("at", [0, 1, 63, 700])
@pytest.mark.parametrize(
    ("make", "found"),
    [
        (_all_ones, {"repetition count of octets", "repetition count of words"}),
        (_stuck, {"repetition count of words"}),
        (_a_cycle, {"adaptive proportion of words"}),
        (_biased, {"adaptive proportion of octets"}),
    ],
)
def test_bad_input_is_found(make: Callable[[int], bytes], found: set[str], at: int) -> None:
    tests = HealthTests()
    tests.feed(make(at))
    assert found <= set(tests.failures)


def test_a_failure_stays_and_good_input_does_not_mend_it() -> None:
    tests = HealthTests()
    tests.feed(_stuck(3))
    failures = tests.failures
    assert failures
    tests.feed(b"".join(_sound(9, 5000)))
    assert tests.failures == failures


def test_good_input_passes() -> None:
    tests = HealthTests()
    for _ in range(16):
        tests.feed(os.urandom(1 << 16))
    assert tests.failures == ()
