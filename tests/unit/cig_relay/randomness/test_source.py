# SPDX-License-Identifier: GPL-3.0-or-later
"""The random source: what goes into a seed, when a new one is made, forks, threads, failures."""

from __future__ import annotations

import hmac
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from cig_relay.randomness.drbg import MAX_REQUEST
from cig_relay.randomness.errors import EntropyError, NoRdRandError
from cig_relay.randomness.health import WORD_OCTETS
from cig_relay.randomness.rdrand import RdRand
from cig_relay.randomness.source import (
    FIRST_OCTETS,
    KERNEL_OCTETS,
    NEXT_OCTETS,
    RESEED_REQUESTS,
    RESEED_SECONDS,
    RandomSource,
    kernel_bytes,
    open_source,
)
from unit.cig_relay.randomness.host import HAS_RDRAND, needs_rdrand


class Octets:
    """Octets that are the same in each run, and how many were asked for when."""

    def __init__(self, name: str, heard: list[tuple[str, int]]) -> None:
        self.name = name
        self.broken: bytes | None = None
        self.dry = False
        self._heard = heard
        self._reads = 0

    def __call__(self, count: int) -> bytes | None:
        self._heard.append((self.name, count))
        if self.dry:
            return None
        if self.broken is not None:
            return self.broken * count
        self._reads += 1
        blocks = range(-(-count // 32))
        text = f"{self.name} {self._reads}"
        made = (hmac.digest(text.encode(), str(block).encode(), "sha256") for block in blocks)
        return b"".join(made)[:count]


class Lab:
    """A source over octets that are known, with a clock that is set by hand."""

    def __init__(self, *, rdrand: str = "rdrand", kernel: str = "kernel") -> None:
        self.heard: list[tuple[str, int]] = []
        self.now = 100.0
        self.rdrand = Octets(rdrand, self.heard)
        self.kernel = Octets(kernel, self.heard)
        self.source = RandomSource(
            RdRand(self.rdrand) if rdrand else None, kernel=self._read, clock=lambda: self.now
        )

    def _read(self, count: int) -> bytes:
        octets = self.kernel(count)
        if octets is None:
            raise EntropyError("the kernel is not ready")
        return octets


FIRST = [("rdrand", FIRST_OCTETS), ("kernel", KERNEL_OCTETS), ("kernel", 16)]
NEXT = [("rdrand", NEXT_OCTETS), ("kernel", KERNEL_OCTETS)]


# --- seeds --------------------------------------------------------------------------------------


def test_rdrand_is_read_before_the_kernel_and_much_more_of_it() -> None:
    lab = Lab()
    assert lab.heard == []
    lab.source.require_entropy()
    assert lab.heard == FIRST
    # SP 800-90B, 4.3: the start-up test looks at 1,024 samples at least, words included.
    assert FIRST_OCTETS // WORD_OCTETS >= 1024


def test_each_of_the_two_sources_alone_changes_everything() -> None:
    labs = [Lab(), Lab(rdrand="other"), Lab(kernel="other"), Lab(rdrand="")]
    outputs = [lab.source.random_bytes(32) for lab in labs]
    assert len(set(outputs)) == 4
    assert Lab().source.random_bytes(32) == outputs[0]


def test_a_seed_serves_its_requests_and_no_more() -> None:
    lab = Lab()
    for _ in range(RESEED_REQUESTS):
        lab.source.random_bytes(1)
    assert lab.heard == FIRST
    lab.source.random_bytes(1)
    assert lab.heard == FIRST + NEXT


def test_a_seed_serves_its_time_and_no_longer() -> None:
    lab = Lab()
    lab.source.random_bytes(1)
    lab.now += RESEED_SECONDS - 0.001
    lab.source.random_bytes(1)
    assert lab.heard == FIRST
    lab.now += 0.001
    lab.source.random_bytes(1)
    assert lab.heard == FIRST + NEXT
    lab.now += RESEED_SECONDS / 2
    lab.source.random_bytes(1)
    assert lab.heard == FIRST + NEXT


@pytest.mark.parametrize("changed", ["rdrand", "kernel"])
def test_a_reseed_takes_in_each_of_the_two_sources(changed: str) -> None:
    def after_a_reseed(change: bool) -> bytes:
        lab = Lab()
        lab.source.random_bytes(1)
        if change:
            getattr(lab, changed).name += "'"
        lab.now += RESEED_SECONDS
        return lab.source.random_bytes(32)

    assert after_a_reseed(True) != after_a_reseed(False)
    assert after_a_reseed(False) == after_a_reseed(False)


def test_any_number_of_octets() -> None:
    source = Lab().source
    for count in (0, 1, 33, MAX_REQUEST, MAX_REQUEST + 1, 3 * MAX_REQUEST):
        assert len(source.random_bytes(count)) == count
    with pytest.raises(ValueError, match="not -1"):
        source.random_bytes(-1)


# --- processes and threads ----------------------------------------------------------------------


def _in_a_child(work: Callable[[], bytes]) -> bytes:
    """What ``work`` gives in a child process made by fork."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        # Nothing of pytest may run in the child.
        try:
            os.write(writer, work())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        octets = pipe.read()
    os.waitpid(pid, 0)
    return octets


def test_a_child_has_octets_of_its_own() -> None:
    source = open_source(rdrand=HAS_RDRAND)
    source.random_bytes(1)
    children = [_in_a_child(lambda: source.random_bytes(32)) for _ in range(2)]
    outputs = {*children, source.random_bytes(32)}
    assert {len(octets) for octets in outputs} == {32}
    assert len(outputs) == 3


def test_a_child_makes_a_first_seed() -> None:
    lab = Lab()
    lab.source.random_bytes(1)

    def work() -> bytes:
        lab.heard.clear()
        lab.source.random_bytes(1)
        return repr(lab.heard).encode()

    assert _in_a_child(work) == repr(FIRST).encode()
    lab.source.random_bytes(1)
    assert lab.heard == FIRST


def test_a_child_is_not_stopped_by_a_thread_that_it_does_not_have() -> None:
    source = open_source(rdrand=HAS_RDRAND)
    with source._lock:
        assert len(_in_a_child(lambda: source.random_bytes(16))) == 16


def test_threads_get_different_octets() -> None:
    source = open_source(rdrand=HAS_RDRAND)
    with ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(lambda _: source.random_bytes(16), range(4000)))
    assert len(set(outputs)) == 4000


# --- failures -----------------------------------------------------------------------------------


def test_a_broken_rdrand_ends_everything_and_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lab = Lab()
    assert lab.source.state() == "RdRand and kernel"
    lab.rdrand.broken = b"\xff"
    lab.source.random_bytes(16)
    lab.now += RESEED_SECONDS
    for _ in range(3):
        with pytest.raises(EntropyError, match="health tests"):
            lab.source.random_bytes(16)
    # That the instruction works again is no proof that it is sound.
    lab.rdrand.broken = None
    assert lab.source.state().startswith("FAILED: RdRand failed its health tests (repetition")
    assert lab.source.failures == 4
    (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert "NO RANDOM OCTETS" in record.getMessage()


def test_a_broken_rdrand_is_found_before_the_first_octet() -> None:
    lab = Lab()
    lab.rdrand.broken = b"\x00"
    with pytest.raises(EntropyError, match="health tests"):
        lab.source.require_entropy()
    assert [name for name, _ in lab.heard] == ["rdrand"]


@pytest.mark.parametrize("which", ["rdrand", "kernel"])
def test_a_source_that_is_dry_for_a_time_is_asked_again(
    which: str, caplog: pytest.LogCaptureFixture
) -> None:
    lab = Lab()
    lab.source.random_bytes(16)
    lab.now += RESEED_SECONDS
    octets: Octets = getattr(lab, which)
    octets.dry = True
    for _ in range(2):
        with pytest.raises(EntropyError):
            lab.source.random_bytes(16)
    octets.dry = False
    assert len(lab.source.random_bytes(16)) == 16
    assert lab.source.state() == "RdRand and kernel"
    assert lab.source.failures == 2
    told = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(told) == 2
    assert "given again" in told[1]


def test_a_kernel_that_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    def empty(count: int, flags: int = 0) -> bytes:
        assert flags & os.GRND_NONBLOCK
        raise BlockingIOError

    monkeypatch.setattr(os, "getrandom", empty)
    with pytest.raises(EntropyError, match="not initialised") as caught:
        kernel_bytes(32)
    assert caught.value.retryable
    with pytest.raises(EntropyError, match="not initialised"):
        open_source(rdrand=False)


# --- the real thing -----------------------------------------------------------------------------


@needs_rdrand
def test_rdrand_and_kernel_of_this_host() -> None:
    source = open_source(rdrand=True)
    outputs = {source.random_bytes(32) for _ in range(3 * RESEED_REQUESTS)}
    assert len(outputs) == 3 * RESEED_REQUESTS
    assert (source.state(), source.failures) == ("RdRand and kernel", 0)


def test_the_kernel_alone_says_so() -> None:
    source = open_source(rdrand=False)
    assert len({source.random_bytes(32) for _ in range(2000)}) == 2000
    assert source.state() == "kernel alone (--no-rdrand)"


@pytest.mark.skipif(HAS_RDRAND, reason="this processor has RdRand")
def test_without_rdrand_nothing_is_opened_that_wants_it() -> None:
    with pytest.raises(NoRdRandError):
        open_source(rdrand=True)
