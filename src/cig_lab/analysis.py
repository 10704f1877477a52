# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares what was heard with what was sent: delay, level, signal-to-noise ratio and gaps.

The recording is aligned by cross-correlation and scaled by least squares. Gaps are looked for
first: a stretch in which the recording has far less energy than the signal that should be there.
The noise is then what is left over outside the gaps, so that a single lost packet shows as a gap
of 20 ms and not as bad noise, and noise cannot hide a gap. G.711 itself allows about 37 dB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cig_lab.signals import RATE, Samples

MIN_SNR_DB = 30.0
"""Less than this is not the signal that was sent: G.711 alone leaves 36 dB and more."""
MAX_GAP_MS = 41.0
"""Longest gap that passes: two packets of 20 ms, and 1 ms by which the window blurs its edges."""
MAX_LOST_PERCENT = 4.0
"""Largest share of the signal that may be missing in all gaps together."""
MAX_LEVEL_CHANGE_DB = 1.0
"""The gateway changes no level; this leaves room for rounding alone."""

_WINDOW_MS = 5
# A quarter of the amplitude that is expected, as energy: far below any codec's noise.
_GAP_ENERGY_RATIO = 1 / 16
_FLOOR_DB = -99.0


@dataclass(frozen=True, slots=True)
class Heard:
    """The verdict on one direction.

    ``delay_ms`` is where the signal begins in the recording, ``level_db`` the level of what was
    heard (0 dB is a full-scale square wave), ``level_change_db`` its difference from what was sent.
    ``snr_db`` is None where nothing of the signal was found.
    """

    ok: bool
    delay_ms: float
    level_db: float
    level_change_db: float
    snr_db: float | None
    longest_gap_ms: float
    lost_percent: float


def compare(sent: Samples, heard: Samples) -> Heard:
    """Look for ``sent`` in the recording ``heard``; raises ValueError where ``sent`` is empty."""
    if not len(sent):
        raise ValueError("nothing was sent, so nothing can be compared")
    reference = sent.astype(np.float64)
    start, found = align(reference, heard.astype(np.float64))
    reference_energy = float(np.dot(reference, reference))
    gap = _gaps(reference, found)
    kept = ~gap
    kept_energy = float(np.dot(reference[kept], reference[kept]))
    gain = float(np.dot(found[kept], reference[kept])) / kept_energy if kept_energy else 0.0
    delay_ms = start * 1000 / RATE
    longest, lost = _longest_run(gap) * 1000 / RATE, 100.0 * float(np.mean(gap))
    if gain <= 0:
        return Heard(False, delay_ms, _level(found), _FLOOR_DB, None, longest, lost)
    wanted = gain * reference[kept]
    noise = found[kept] - wanted
    snr = 10 * np.log10(float(np.dot(wanted, wanted)) / max(float(np.dot(noise, noise)), 1e-9))
    change = 20 * np.log10(gain)
    ok = bool(
        reference_energy
        and snr >= MIN_SNR_DB
        and longest <= MAX_GAP_MS
        and lost <= MAX_LOST_PERCENT
        and abs(change) <= MAX_LEVEL_CHANGE_DB
    )
    return Heard(ok, delay_ms, _level(found), float(change), float(snr), longest, lost)


def align(
    reference: NDArray[np.float64], recording: NDArray[np.float64]
) -> tuple[int, NDArray[np.float64]]:
    """Find ``reference`` in ``recording``; give its first sample's index and that stretch.

    The stretch is as long as the reference, with zeros where the recording ends too early. The
    index may be negative, when the recording began in the middle of the signal.
    """
    size = 1 << int(np.ceil(np.log2(len(reference) + max(len(recording), 1))))
    spectrum = np.fft.rfft(recording, size) * np.conj(np.fft.rfft(reference, size))
    correlation = np.fft.irfft(spectrum, size)
    start = int(np.argmax(correlation))
    if start >= size - len(reference):
        start -= size
    stretch = np.zeros(len(reference))
    first, last = max(start, 0), min(start + len(reference), len(recording))
    if last > first:
        stretch[first - start : last - start] = recording[first:last]
    return start, stretch


def _gaps(reference: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark the samples that lie in a window with almost none of the energy expected there."""
    window = RATE * _WINDOW_MS // 1000
    if len(reference) < window:
        return np.zeros(len(reference), dtype=np.bool_)
    expected, got = _energies(reference, window), _energies(found, window)
    # The fades at both ends are so quiet that nothing can be said about them.
    silent = (got < expected * _GAP_ENERGY_RATIO) & (expected > np.max(expected) * 1e-3)
    marks = np.zeros(len(reference) + 1, dtype=np.int64)
    starts = np.flatnonzero(silent)
    np.add.at(marks, starts, 1)
    np.add.at(marks, starts + window, -1)
    return np.cumsum(marks)[:-1] > 0


def _energies(samples: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    sums = np.concatenate(([0.0], np.cumsum(samples * samples)))
    energies: NDArray[np.float64] = sums[window:] - sums[:-window]
    return energies


def _longest_run(marks: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], marks, [False]))))
    return int(np.max(edges[1::2] - edges[::2])) if len(edges) else 0


def _level(samples: NDArray[np.float64]) -> float:
    mean_square = float(np.mean(samples * samples)) / 32767.0**2
    return max(float(10 * np.log10(mean_square)), _FLOOR_DB) if mean_square > 0 else _FLOOR_DB
