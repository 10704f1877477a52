# SPDX-License-Identifier: GPL-3.0-or-later
"""RdRand: the compiled instruction on this host, what a host must have, what a broken one gets."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import cig_relay
from cig_relay.randomness import rdrand
from cig_relay.randomness.errors import EntropyError, NoRdRandError
from cig_relay.randomness.rdrand import (
    RdRand,
    has_rdrand,
    instruction,
    require_instruction,
    require_rdrand,
)
from unit.cig_relay.randomness.host import needs_rdrand

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(cig_relay.__file__).parents[1])}

LISTED = "processor\t: 0\nflags\t\t: fpu aes rdrand lahf_lm\n"
NOT_LISTED = "processor\t: 0\nflags\t\t: fpu aes rdrand2 norndrand\n"


class TestHost:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (LISTED, True),
            (NOT_LISTED, False),
            ("model name\t: rdrand\nflags\t\t: fpu\n", False),
            ("", False),
        ],
    )
    def test_reads_the_flag(self, tmp_path: Path, text: str, expected: bool) -> None:
        path = tmp_path / "cpuinfo"
        path.write_text(text)
        assert has_rdrand(path) is expected

    def test_without_cpuinfo(self, tmp_path: Path) -> None:
        assert has_rdrand(tmp_path / "cpuinfo") is None
        with pytest.raises(NoRdRandError, match="cannot be read"):
            require_rdrand(tmp_path / "cpuinfo")

    def test_a_flag_that_is_missing_is_told_with_what_to_do(self, tmp_path: Path) -> None:
        (tmp_path / "cpuinfo").write_text(NOT_LISTED)
        with pytest.raises(NoRdRandError) as caught:
            require_rdrand(tmp_path / "cpuinfo")
        for words in ("the manual's prerequisite", "virtual machine", "--no-rdrand"):
            assert words in str(caught.value)
        assert not caught.value.retryable

    @needs_rdrand
    def test_this_one_has_it(self) -> None:
        require_rdrand()

    def test_a_processor_that_does_not_say_so_is_not_used(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Masked:
            @staticmethod
            def available() -> bool:
                return False

        (tmp_path / "cpuinfo").write_text(LISTED)
        monkeypatch.setattr(rdrand, "_rdrand", Masked)
        with pytest.raises(NoRdRandError, match="CPUID"):
            require_rdrand(tmp_path / "cpuinfo")

    def test_a_tree_that_was_not_set_up_is_told(self) -> None:
        # A finder that knows nothing of the extension stands for a folder without it.
        code = (
            "import sys\n"
            "sys.modules['cig_relay.randomness._rdrand'] = None\n"
            "from cig_relay.randomness.rdrand import require_instruction\n"
            "from cig_relay.randomness.source import open_source\n"
            "print(len(open_source(rdrand=False).random_bytes(16)))\n"
            "require_instruction()\n"
        )
        answer = subprocess.run(
            [sys.executable, "-c", code],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.stdout == "16\n"
        assert "NoRdRandError: the extension module for RdRand is not compiled" in answer.stderr


@needs_rdrand
class TestInstruction:
    def test_gives_as_many_octets_as_wanted(self) -> None:
        require_instruction()
        for count in (*range(20), 4096, 1 << 20):
            octets = instruction(count)
            assert octets is not None
            assert len(octets) == count

    def test_no_word_comes_twice_and_each_octet_comes(self) -> None:
        octets = instruction(1 << 16)
        assert octets is not None
        words = [octets[at : at + 8] for at in range(0, len(octets), 8)]
        assert len(set(words)) == len(words)
        assert len(set(octets)) == 256
        # The last, incomplete word is filled too: 0 in all of these has a chance of 2^-512.
        assert any(instruction(9)[-1:] != b"\x00" for _ in range(64))  # type: ignore[index]

    @pytest.mark.parametrize("count", [-1, (1 << 20) + 1])
    def test_refuses_a_count_out_of_range(self, count: int) -> None:
        with pytest.raises(ValueError, match="0 to 1048576"):
            instruction(count)

    @pytest.mark.parametrize("count", ["8", 8.0, None, 1 << 80])
    def test_refuses_what_is_no_count(self, count: object) -> None:
        with pytest.raises((TypeError, OverflowError)):
            instruction(count)  # type: ignore[arg-type]

    def test_read_is_what_passed_the_tests(self) -> None:
        source = RdRand()
        pieces = [source.read(128) for _ in range(100)]
        assert all(one != other for one, other in pairwise(pieces))


class TestBroken:
    def test_gives_nothing_in_ten_tries(self) -> None:
        answers: list[bytes | None] = [None, bytes(range(16))]
        source = RdRand(lambda count: answers.pop(0))
        with pytest.raises(EntropyError, match="nothing in ten tries"):
            source.read(16)
        assert source.read(16) == bytes(range(16))

    def test_a_stuck_one_is_given_up_for_good(self) -> None:
        answers = [bytes(range(16)), b"\xff" * 16]
        asked: list[int] = []

        def fill(count: int) -> bytes:
            asked.append(count)
            return answers[len(asked) - 1]

        source = RdRand(fill)
        assert source.read(16) == bytes(range(16))
        for _ in range(2):
            with pytest.raises(EntropyError, match="failed its health tests") as caught:
                source.read(16)
            assert "repetition count of octets, repetition count of words" in str(caught.value)
        assert asked == [16, 16]

    def test_a_word_that_comes_again_in_the_next_read_is_found(self) -> None:
        source = RdRand(lambda count: bytes(range(8)))
        source.read(8)
        with pytest.raises(EntropyError, match="repetition count of words"):
            source.read(8)

    def test_half_a_word_is_refused(self) -> None:
        with pytest.raises(ValueError, match="whole number of words"):
            RdRand(os.urandom).read(12)
