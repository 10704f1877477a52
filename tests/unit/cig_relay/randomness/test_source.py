# SPDX-License-Identifier: GPL-3.0-or-later
"""The random source refuses an empty pool and reads the processor's flags."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cig_relay.randomness.errors import EntropyError
from cig_relay.randomness.source import has_rdrand, random_bytes, require_entropy


def test_gives_what_is_asked_for_and_never_the_same() -> None:
    assert len(random_bytes(16)) == 16
    assert random_bytes(16) != random_bytes(16)


def test_the_pool_of_this_host_is_ready() -> None:
    require_entropy()


def test_refuses_to_start_without_entropy(monkeypatch: pytest.MonkeyPatch) -> None:
    def empty(count: int, flags: int = 0) -> bytes:
        assert flags & os.GRND_NONBLOCK
        raise BlockingIOError

    monkeypatch.setattr(os, "getrandom", empty)
    with pytest.raises(EntropyError, match="not initialised") as caught:
        require_entropy()
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu aes rdrand lahf_lm\n", True),
        ("processor\t: 0\nflags\t\t: fpu aes rdrand2 norndrand\n", False),
        ("model name\t: rdrand\nflags\t\t: fpu\n", False),
        ("", False),
    ],
)
def test_reads_the_flag(tmp_path: Path, text: str, expected: bool) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    assert has_rdrand(path) is expected


def test_a_host_without_cpuinfo(tmp_path: Path) -> None:
    assert has_rdrand(tmp_path / "cpuinfo") is None
