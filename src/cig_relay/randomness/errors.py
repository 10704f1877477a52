# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the random generator. Each text tells an operator what is wrong and what to do."""

from __future__ import annotations

from cig_common.errors import LocalError


class EntropyError(LocalError):
    """The kernel's random number generator is not ready yet."""

    log_code = "entropy"
    retryable = True
