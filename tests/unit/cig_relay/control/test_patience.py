# SPDX-License-Identifier: GPL-3.0-or-later
"""Who waits for whom, and for how long: whoever is further away from the engines waits longer."""

from __future__ import annotations

from cig_relay.control.session import REQUEST_TIMEOUT
from cig_relay.engines.pool import DEFAULT_TIMEOUT
from cig_server.relay.client import REQUEST_SECONDS
from umsg.call_table import ALERT_TIMEOUT


def test_an_engine_that_hangs_and_one_more_try_fit_into_a_request() -> None:
    assert 2 * DEFAULT_TIMEOUT < REQUEST_TIMEOUT < REQUEST_SECONDS


def test_a_call_that_met_an_engine_that_hangs_can_still_be_answered() -> None:
    # The caller's UMSG waits so long for the callee to be alerted.
    assert REQUEST_SECONDS < ALERT_TIMEOUT
