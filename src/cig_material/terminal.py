# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks for a passphrase at the terminal that a program was started from, without echo.

Standard input and output may be files or pipes meanwhile; neither is touched.
"""

from __future__ import annotations

import os

from cig_common.echo import without_echo

TERMINAL = "/dev/tty"
MAX_OCTETS = 4096
"""The longest line that a terminal gives (N_TTY_BUF_SIZE)."""


def ask_secretly(prompt: str) -> str:
    """Give the line that was typed, without its end; empty where the terminal went away.

    What is no UTF-8 comes as surrogates. Raises OSError where there is no terminal.
    """
    descriptor = os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        with without_echo(descriptor):
            os.write(descriptor, prompt.encode())
            typed = os.read(descriptor, MAX_OCTETS)
            os.write(descriptor, b"\n")
    finally:
        os.close(descriptor)
    return typed.decode("utf-8", "surrogateescape").rstrip("\r\n")
