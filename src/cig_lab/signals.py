# SPDX-License-Identifier: GPL-3.0-or-later
"""Test signals that cannot be mistaken for one another, nor for a shifted copy of themselves.

A signal is a linear chirp with a ladder of tones under it. The chirp makes the autocorrelation a
single sharp peak, so that a recording can be aligned to the sample; the ladder differs from signal
to signal, so that crossed directions are seen at once. The chirp is always the stronger one: the
sum has no moment of silence, and every silence in a recording is therefore a fault.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE = 8000
"""Samples per second of everything in the lab (RFC 3551: G.711 is 8 kHz)."""

Samples = NDArray[np.int16]
"""16-bit linear PCM, one channel, `RATE` samples per second."""

_FULL_SCALE = 32767.0
_CHIRP_LEVEL = 0.22
_TONE_LEVEL = 0.10
_FADE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Recipe:
    """What tells one signal from another.

    ``start_hz`` and ``end_hz`` are the chirp's ends; ``tones_hz`` are played one after the other,
    each equally long. All within 300 to 3400 Hz, the telephone band.
    """

    name: str
    start_hz: float
    end_hz: float
    tones_hz: tuple[float, ...]


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("rise", 400.0, 3200.0, (523.0, 659.0, 784.0, 1047.0)),
        Recipe("fall", 3100.0, 500.0, (1245.0, 932.0, 740.0)),
        Recipe("low-rise", 320.0, 1600.0, (2093.0, 2349.0, 2637.0, 2794.0, 3136.0)),
        Recipe("low-fall", 1900.0, 350.0, (2960.0, 2217.0)),
    )
}
"""The four signals of the demo: one for each direction of two calls."""


def make(name: str, seconds: float = 3.0) -> Samples:
    """Give the signal called ``name`` (a key of `RECIPES`), ``seconds`` long.

    Raises KeyError for an unknown name and ValueError for a length that is not positive.
    """
    if seconds <= 0:
        raise ValueError("a signal must last longer than nothing")
    recipe = RECIPES[name]
    count = round(seconds * RATE)
    time = np.arange(count) / RATE
    sweep = (recipe.end_hz - recipe.start_hz) / seconds
    chirp = np.sin(2 * np.pi * (recipe.start_hz * time + sweep * time * time / 2))
    steps = np.minimum(
        (time / seconds * len(recipe.tones_hz)).astype(int), len(recipe.tones_hz) - 1
    )
    # Summing the phase keeps it continuous where one tone follows another: no click.
    phase = 2 * np.pi * np.cumsum(np.asarray(recipe.tones_hz)[steps]) / RATE
    wave = _CHIRP_LEVEL * chirp + _TONE_LEVEL * np.sin(phase)
    return np.rint(wave * _fade(count) * _FULL_SCALE).astype(np.int16)


def _fade(count: int) -> NDArray[np.float64]:
    edge = min(round(_FADE_SECONDS * RATE), count // 2)
    envelope = np.ones(count)
    if edge:
        ramp = (1 - np.cos(np.pi * np.arange(edge) / edge)) / 2
        envelope[:edge] = ramp
        envelope[count - edge :] = ramp[::-1]
    return envelope
