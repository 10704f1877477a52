# SPDX-License-Identifier: GPL-3.0-or-later
"""WAV files of telephone speech: one channel, 16 bits, 8000 samples per second."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from cig_lab.signals import RATE, Samples


def write(path: Path, samples: Samples) -> None:
    """Write ``samples`` to ``path``; raises OSError."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())


def read(path: Path) -> Samples:
    """Read a file that `write` could have written; raises ValueError for any other format."""
    with wave.open(str(path), "rb") as file:
        if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, RATE):
            raise ValueError(f"{path} is not 16-bit mono at {RATE} Hz")
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.int16)
