# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the crypto engines. Each text tells an operator what is wrong; none shows a key."""

from __future__ import annotations

from cig_common.errors import CryptoError, LocalError


class EngineError(LocalError):
    """The crypto engine died, hung or answered nonsense, twice for the same operation."""

    log_code = "engine"
    retryable = True


class RefusedError(CryptoError):
    """A MIKEY message was refused. ``detail`` is the stable word that says why."""

    def __init__(self, detail: str, text: str) -> None:
        super().__init__(text)
        self.detail = detail
