# SPDX-License-Identifier: GPL-3.0-or-later
"""`status` of the whole gateway says where random octets come from, with RdRand and without."""

from __future__ import annotations

import pytest

from cig_lab import ports
from cig_lab.environment import HOST, Environment, Plan
from cig_relay.randomness.source import BOTH, KERNEL_ALONE


@pytest.mark.parametrize("has_rdrand", [True, False])
async def test_status_names_the_random_source(has_rdrand: bool) -> None:
    lab = Environment(Plan(mgmt_port=ports.free_port(HOST, ("tcp",))))
    if has_rdrand and not lab.has_rdrand:
        pytest.skip("this processor has no RdRand")
    lab.has_rdrand = has_rdrand
    async with lab:
        expected = BOTH if has_rdrand else KERNEL_ALONE
        status = await lab.ask("status")
        assert status["relay_rows"]["Random source"] == expected
        assert expected in await lab.cli("status")
