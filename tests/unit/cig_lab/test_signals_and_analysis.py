# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's measure must pass a good line and find every fault of a bad one."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cig_lab import analysis, picture, signals, wav
from cig_relay.media.codec import PCMA


def through_g711(samples: signals.Samples) -> signals.Samples:
    return np.frombuffer(PCMA.to_linear(PCMA.from_linear(samples.tobytes())), dtype=np.int16)


def in_silence(samples: signals.Samples, before: int, after: int = 800) -> signals.Samples:
    return np.concatenate((np.zeros(before, np.int16), samples, np.zeros(after, np.int16)))


@pytest.mark.parametrize("name", signals.RECIPES)
def test_signal_survives_g711_with_its_full_quality(name: str) -> None:
    sent = signals.make(name)
    verdict = analysis.compare(sent, in_silence(through_g711(sent), 1234))
    assert verdict.ok
    assert verdict.delay_ms == pytest.approx(1234 / 8)
    assert verdict.snr_db is not None
    assert 35 < verdict.snr_db < 42
    assert verdict.longest_gap_ms == 0


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(signals.RECIPES, 2)))
def test_crossed_directions_are_found(one: str, other: str) -> None:
    verdict = analysis.compare(signals.make(one), in_silence(signals.make(other), 500))
    assert not verdict.ok


def test_silence_is_not_ok_and_has_no_ratio() -> None:
    verdict = analysis.compare(signals.make("rise"), np.zeros(40000, np.int16))
    assert (verdict.ok, verdict.snr_db) == (False, None)
    assert verdict.lost_percent > 95
    assert not analysis.compare(signals.make("rise"), np.zeros(0, np.int16)).ok


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(sorted(signals.RECIPES)),
    start=st.integers(1000, 20000),
    packets=st.integers(1, 10),
)
def test_gap_is_measured_to_the_window(name: str, start: int, packets: int) -> None:
    sent = signals.make(name)
    damaged = through_g711(sent).copy()
    damaged[start : start + 160 * packets] = 0
    verdict = analysis.compare(sent, in_silence(damaged, 300))
    assert verdict.longest_gap_ms == pytest.approx(20 * packets, abs=4)
    assert verdict.ok == (packets <= 2)


def test_level_change_and_noise_are_found() -> None:
    sent = signals.make("fall")
    quiet = (sent * 0.5).astype(np.int16)
    verdict = analysis.compare(sent, in_silence(quiet, 10))
    assert verdict.level_change_db == pytest.approx(-6.02, abs=0.05)
    assert not verdict.ok
    noise = np.random.default_rng(7).normal(0, 400, len(sent)).astype(np.int16)
    assert not analysis.compare(sent, sent + noise).ok


def test_time_slip_in_the_middle_is_found() -> None:
    sent = signals.make("rise")
    slipped = np.concatenate((sent[:12000], np.zeros(160, np.int16), sent[12000:]))
    assert not analysis.compare(sent, slipped).ok


def test_recording_that_began_late_is_aligned() -> None:
    sent = signals.make("low-fall")
    verdict = analysis.compare(sent, sent[4000:])
    assert verdict.delay_ms == -500
    assert verdict.longest_gap_ms == pytest.approx(500, abs=15)


def test_wrong_use_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing was sent"):
        analysis.compare(np.zeros(0, np.int16), np.zeros(10, np.int16))
    with pytest.raises(ValueError, match="longer than nothing"):
        signals.make("rise", 0)


def test_wav_holds_what_was_written(tmp_path: Path) -> None:
    sent = signals.make("rise", 0.1)
    wav.write(tmp_path / "a.wav", sent)
    assert np.array_equal(wav.read(tmp_path / "a.wav"), sent)


def test_picture_is_a_png(tmp_path: Path) -> None:
    sent = signals.make("rise", 0.2)
    path = tmp_path / "demo.png"
    nothing = np.zeros(0, np.int16)
    picture.draw(path, [picture.Direction("a", sent, sent), picture.Direction("b", sent, nothing)])
    assert path.read_bytes().startswith(b"\x89PNG")
