# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys come and go under a running gateway: set-key, cig.raw, and an engine that is killed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from cig_lab.environment import GATEWAY_URI
from cig_material import raw
from cig_material.period import Period
from e2e.support import Gateway, gateway, soon, until
from mikey_sakke.periods import month_of


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


async def test_a_new_revision_is_taken_under_a_call() -> None:
    async with gateway() as lab:
        secure, _ = await talk(lab)
        month = month_of(time.time())
        lab.lab.kms.revoke(GATEWAY_URI)
        said = await lab.lab.set_key(lab.lab.export_keys([month]))
        assert f"{month}-2" in said
        assert f"replaces {month}-1" in said
        periods = (await lab.status())["crypto_periods"]
        assert f"{month}-2" in periods
        assert f"{month}-1" not in periods
        assert (await lab.calls())[0]["state"] == "ANSWER"
        await end(lab, secure)
        again, _ = await talk(lab)
        await end(lab, again)
        shown = await lab.lab.cli("show", "keys")
        line = next(line for line in shown.splitlines() if line.startswith(f"{month}-2"))
        assert " valid " in line
        again = await lab.lab.set_key(lab.lab.folder / "keys.txt")
        assert "nothing" in again.lower()


async def test_cig_raw_is_consumed_when_the_server_starts() -> None:
    async with gateway() as lab:
        userdata = lab.lab.folder / "userdata"
        held = (await lab.status())["crypto_periods"]
        last = Period.parse(held[-1])
        later = f"{last.year + 1}-{last.month_number:02d}"
        host, port = lab.lab.crs.tls_address
        material = lab.lab.kms.gateway_material(
            GATEWAY_URI,
            [later],
            crs=f"{host}:{port}",
            anchor_pin=lab.lab.crs.certificate_sha256,
        )
        good, bad = userdata / "cig.raw", userdata / "cig.raw.bad"
        good.touch(mode=0o600)
        good.write_bytes(raw.encode(material))
        await lab.lab.server.stop()
        await lab.lab.start_server()
        await until("the login", lambda: _connected(lab))
        assert (await lab.status())["crypto_periods"] == [*held, f"{later}-1"]
        assert not good.exists()
        assert not bad.exists()

        good.touch(mode=0o600)
        good.write_bytes(raw.encode(material)[:-1])
        await lab.lab.server.stop()
        await lab.lab.start_server()
        await until("the login", lambda: _connected(lab))
        assert (await lab.status())["crypto_periods"] == [*held, f"{later}-1"]
        assert not good.exists()
        assert bad.exists()
        assert "cig.raw" in (lab.lab.folder / "cig-relay.log").read_text()
        secure, _ = await talk(lab)
        await end(lab, secure)


async def test_engines_may_be_killed_under_calls() -> None:
    async with gateway() as lab:
        for _ in range(2):
            for pid in engines(lab.lab.relay.pid):
                os.kill(pid, signal.SIGKILL)
            secure, _ = await talk(lab)
            await end(lab, secure)

        async def all_back() -> bool:
            return bool((await lab.status())["engines_available"] == 3)

        await until("all engines", all_back)


async def _connected(lab: Gateway) -> bool:
    return bool((await lab.status())["umsg_connected"])
