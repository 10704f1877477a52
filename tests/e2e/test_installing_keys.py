# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys come into the running gateway by cig-cli set-key and by cig.raw, as an operator does it."""

from __future__ import annotations

import json
from pathlib import Path

from cig_common.carrier import armour
from cig_lab.environment import GATEWAY_URI
from cig_lab.process import run
from cig_material import raw
from cig_material.material import KeyMaterial
from cig_material.period import Period
from cig_material.seal import Cost
from e2e.support import Gateway, gateway, reason_of, soon, until
from umsg.reasons import Reason

CHEAP = Cost(log_n=4, r=1, p=1)


def meeting(lab: Gateway) -> dict[str, object]:
    """What the gateway's key material says of the CRS."""
    host, port = lab.lab.crs.tls_address
    return {"crs": f"{host}:{port}", "anchor_pin": lab.lab.crs.certificate_sha256}


async def reissued(lab: Gateway) -> KeyMaterial:
    """The gateway's keys of the months that it has, in their next revision."""
    return lab.lab.kms.gateway_material(GATEWAY_URI, await months(lab), **meeting(lab))


async def files(lab: Gateway, folder: Path) -> list[str]:
    """Write a re-issue and its passphrase; gives set-key's options for them."""
    sealed, phrase = lab.lab.kms.sealed_material(
        GATEWAY_URI, await months(lab), **meeting(lab), cost=CHEAP
    )
    (folder / "keys.txt").write_text(armour.encode(sealed))
    (folder / "phrase").write_text(phrase + "\n")
    (folder / "phrase").chmod(0o600)
    return [
        *("--keys-socket", str(lab.lab.folder / "keys.sock"), "--json"),
        *("--file", str(folder / "keys.txt"), "--passphrase-file", str(folder / "phrase")),
    ]


async def periods(lab: Gateway) -> list[str]:
    return list((await lab.status())["crypto_periods"])


async def months(lab: Gateway) -> list[str]:
    return [Period.parse(period).month for period in await periods(lab)]


async def a_call_works(lab: Gateway) -> None:
    phone = lab.lab.sip_phone
    call = await lab.dial()
    phone.reject(await soon(phone.incoming()), 486)
    assert await reason_of(call) == Reason.BUSY


async def test_new_keys_are_set_while_a_call_is_up(tmp_path: Path) -> None:
    async with gateway() as lab:
        before = await periods(lab)
        call = await lab.dial()
        plain = await soon(lab.lab.sip_phone.incoming())
        await plain.accept()
        await soon(call.up)
        options = await files(lab, tmp_path)
        code, output = await run("cig-cli", "set-key", *options)
        assert code == 0, output
        told = json.loads(output)
        assert told["installed"]
        assert [period["action"] for period in told["periods"]] == ["replace"] * len(before)

        async def shown() -> bool:
            return await periods(lab) == told["held"]

        await until("status to show the new periods", shown)
        assert not set(before) & set(told["held"])
        shown = (await lab.lab.cli("show", "keys")).splitlines()
        assert [line.split()[0] for line in shown if line[:2] == "20"] == told["held"]
        assert told["anchor"] in next(line for line in shown if "trust anchor" in line)
        status = await lab.status()
        assert [period["period"] for period in status["crypto_validity"]] == told["held"]
        assert status["crypto_days_left"] > 28
        assert [row["state"] for row in await lab.calls()] == ["ANSWER"]
        call.hangup()
        await soon(plain.ended)
        await a_call_works(lab)
        # The same again is no error and changes nothing.
        code, output = await run("cig-cli", "set-key", *options)
        assert (code, json.loads(output)["detail"]) == (0, "nothing-new")


async def test_cig_raw_is_taken_when_cig_server_starts() -> None:
    async with gateway() as lab:
        lying = lab.lab.folder / "userdata" / "cig.raw"
        new = await reissued(lab)
        lying.write_bytes(raw.encode(new))
        lying.chmod(0o600)
        await _restart_server(lab)
        assert await periods(lab) == [keys.period for keys in new.periods]
        assert not lying.exists()
        await a_call_works(lab)

        lying.write_bytes(raw.encode(new)[:-1])
        lying.chmod(0o600)
        await _restart_server(lab)
        assert (await lab.status())["crypto_problem"].startswith("cig.raw was not imported")
        assert "damaged or cut short" in lab.log(lab.lab.relay)
        assert lying.with_name("cig.raw.bad").exists()
        await a_call_works(lab)


async def _restart_server(lab: Gateway) -> None:
    await lab.lab.server.stop()
    await lab.lab.start_server()

    async def connected() -> bool:
        return bool((await lab.status())["umsg_connected"])

    await until("the gateway to log in", connected)
