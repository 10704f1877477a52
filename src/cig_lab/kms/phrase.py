# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws passphrases that are too strong to guess and can be read out over a telephone."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable

OCTETS = 15
GROUP = 4


def new_passphrase(random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """Give 120 bits as six groups of four letters and digits (base32, without 0, 1, 8 and 9)."""
    letters = base64.b32encode(random_bytes(OCTETS)).decode().lower()
    return "-".join(letters[start : start + GROUP] for start in range(0, len(letters), GROUP))
