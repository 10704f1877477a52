# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws what was sent and what was heard: waveform and spectrogram of every direction."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cig_lab.signals import RATE, Samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of a call: its title, what was sent and what was recorded at the far end."""

    title: str
    sent: Samples
    heard: Samples


def cache_folder() -> Path:
    """The one folder outside the repository that the project writes to (``CIG_CACHE``)."""
    return Path(os.environ.get("CIG_CACHE") or Path.home() / ".cache" / "cig")


def draw(path: Path, directions: Sequence[Direction]) -> None:
    """Write a PNG with a row for each direction; raises OSError."""
    # matplotlib keeps a list of fonts and would put it into a folder of its own in the home.
    os.environ.setdefault("MPLCONFIGDIR", str(cache_folder() / "matplotlib"))
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 3.0 * len(directions)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(directions), 4, squeeze=False)
    for row, direction in zip(grid, directions, strict=True):
        _waveform(row[0], direction.sent, f"{direction.title}: sent")
        _waveform(row[1], direction.heard, "heard")
        _spectrogram(row[2], direction.sent, "sent")
        _spectrogram(row[3], direction.heard, "heard")
    figure.savefig(path, dpi=80)


def _waveform(axes: Axes, samples: Samples, title: str) -> None:
    axes.plot(np.arange(len(samples)) / RATE, samples / 32767.0, linewidth=0.4)
    axes.set(title=title, xlabel="s", ylim=(-0.5, 0.5))


def _spectrogram(axes: Axes, samples: Samples, title: str) -> None:
    axes.set(title=title, xlabel="s", ylabel="Hz", ylim=(0, RATE / 2))
    if len(samples) < 256:
        return
    with warnings.catch_warnings():
        # Digital silence has no logarithm; it is drawn as the darkest colour.
        warnings.simplefilter("ignore", RuntimeWarning)
        axes.specgram(samples / 32767.0 + 1e-9, NFFT=256, noverlap=128, Fs=RATE, vmin=-120)
