# SPDX-License-Identifier: GPL-3.0-or-later
"""Crypto engines may die: calls do not notice, and status shows all of them again."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from e2e.support import Gateway, gateway, soon, until


def engines(pid: int) -> list[int]:
    """The process ids of a relay's crypto engines."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        int(child)
        for child in found
        if b"cig_relay.engines.process" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


async def talk(lab: Gateway) -> tuple[Any, Any]:
    """Set up a call from the secure phone to SIP; gives both ends of it."""
    secure = await lab.dial()
    sip = await soon(lab.lab.sip_phone.incoming())
    sip.ring()
    await sip.accept()
    await lab.shows("ANSWER")
    return secure, sip


async def end(lab: Gateway, secure: Any) -> None:
    secure.hangup()
    await lab.idle()


async def all_back(lab: Gateway) -> bool:
    return bool((await lab.status())["engines_available"] == 3)


async def test_engines_may_be_killed_under_calls() -> None:
    async with gateway() as lab:
        # One at a time: an operation that costs two engines is given up.
        for _ in range(3):
            os.kill(engines(lab.lab.relay.pid)[0], signal.SIGKILL)
            secure, _ = await talk(lab)
            await end(lab, secure)
            await until("all engines", lambda: all_back(lab))
