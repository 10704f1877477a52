# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps a terminal from showing what is typed."""

from __future__ import annotations

import termios
from collections.abc import Iterator
from contextlib import contextmanager

_LOCAL_FLAGS = 3
"""The index of the local flags in what tcgetattr gives."""


@contextmanager
def without_echo(descriptor: int) -> Iterator[None]:
    """Switch the echo of a terminal off for a while.

    What was typed ahead is dropped, since it was seen. Raises termios.error for no terminal.
    """
    before = termios.tcgetattr(descriptor)
    silent = list(before)
    silent[_LOCAL_FLAGS] &= ~(termios.ECHO | termios.ECHONL)
    try:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, silent)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
