# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixture of the tests that drive a SIP trunk."""

from __future__ import annotations

import pytest

from sip.gateway import Gateway


@pytest.fixture
async def gateway():
    """A trunk of its own for each test; it must end by itself, without complaint."""
    trunk = await Gateway.start()
    try:
        yield trunk
        last = trunk.last or await trunk.stop()
        assert last["seconds"] < 5
        assert last["live"] == 0
        assert not last["counters"].get("faults") and not last["counters"].get("callback-errors")
    finally:
        await trunk.kill()
