# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the random generator. Each text tells an operator what is wrong and what to do."""

from __future__ import annotations

from cig_common.errors import LocalError


class EntropyError(LocalError):
    """No random octets can be given: a source of entropy is not ready, or has failed."""

    log_code = "entropy"
    retryable = True


class NoRdRandError(EntropyError):
    """The processor has no RdRand, or this host does not let us use it."""

    log_code = "no-rdrand"
    retryable = False
