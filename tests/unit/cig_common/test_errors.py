# SPDX-License-Identifier: GPL-3.0-or-later
"""Every error of the gateway carries its consequence as data."""

from __future__ import annotations

import pytest

from cig_common import errors
from cig_common.errors import CigError, CryptoError, LocalError, PeerError
from umsg.reasons import Reason

CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, CigError)
]
LEAVES = [cls for cls in CLASSES if cls not in (CigError, LocalError, PeerError)]


@pytest.mark.parametrize("cls", CLASSES)
def test_has_a_usable_consequence(cls: type[CigError]) -> None:
    error = cls("what happened")
    assert 400 <= error.sip_status <= 699
    assert isinstance(error.umsg_reason, Reason)
    assert isinstance(error.retryable, bool)
    assert error.log_code == error.log_code.lower().strip()


@pytest.mark.parametrize("cls", LEAVES)
def test_says_on_whose_side_the_fault_is(cls: type[CigError]) -> None:
    assert issubclass(cls, LocalError) != issubclass(cls, PeerError)


def test_log_codes_of_the_leaves_differ() -> None:
    codes = [cls.log_code for cls in LEAVES]
    assert len(set(codes)) == len(codes)
    assert "internal" not in codes


def test_what_may_succeed_later_is_503() -> None:
    # A call that lacks keys is told so as any other fault of cryptography: only a person mends it.
    retryable = {cls for cls in LEAVES if cls.retryable and not issubclass(cls, CryptoError)}
    assert {cls.sip_status for cls in retryable} == {503}
