# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo as a newcomer starts it, and the lab that stays up."""

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path

from cig_lab import ports
from cig_lab.sip_phone.phone import SipPhone

CIG_LAB = Path(sys.executable).parent / "cig-lab"


async def start(*arguments: str, folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        CIG_LAB,
        *arguments,
        cwd=folder,
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_demo_hears_everything(tmp_path: Path) -> None:
    process = await start("demo", "--json", folder=tmp_path)
    output, told = await process.communicate()
    assert process.returncode == 0, told.decode()
    facts = json.loads(output.decode().splitlines()[-1])
    assert facts["ok"] is True
    assert [call["direction"] for call in facts["calls"]] == ["secure-to-sip", "sip-to-secure"]
    assert [call["dtmf"] for call in facts["calls"]] == ["159*#", None]
    assert {call["state"] for call in facts["calls"]} == {"ANSWER"}
    for call in facts["calls"]:
        for side in ("heard_by_caller", "heard_by_callee"):
            assert call[side]["snr_db"] > 35
    assert [text["direction"] for text in facts["texts"]] == [
        "secure-to-mailbox",
        "mailbox-to-secure",
    ]
    for text in facts["texts"]:
        assert (text["text"], text["attachment"]) == (True, True)
    assert facts["texts"][0]["receipt"] == "delivered"
    assert "Crypto engines available" in told.decode()
    files = sorted(path.name for path in (tmp_path / "demo-out").iterdir())
    assert len(files) == 9
    assert "demo.png" in files
    (folder,) = re.findall(r"Running in (\S+),", told.decode())
    assert not Path(folder).exists()


async def test_lab_stays_up_takes_calls_and_stops_cleanly(tmp_path: Path) -> None:
    port = ports.free_port("127.0.0.1")
    # Not the usual management port: the demo beside this test may be taking it at this moment.
    mgmt = ports.free_port("127.0.0.1", ("tcp",))
    process = await start(
        *("up", "--sip-port", str(port), "--mgmt-port", str(mgmt)), folder=tmp_path
    )
    assert process.stdout is not None
    lines = []
    while "Ctrl-C stops everything." not in (lines[-1] if lines else ""):
        line = await process.stdout.readline()
        assert line, (await process.communicate())[1].decode()
        lines.append(line.decode())
    assert f"    sip:946701234567@127.0.0.1:{port}\n" in lines
    softphone = await SipPhone.start(user="me", domain="softphone.invalid")
    call = await softphone.dial(f"sip:946701234567@127.0.0.1:{port}")
    await asyncio.wait_for(call.up, 10)
    call.hangup()
    dialling = await start("phone", "dial", "+8888w101", folder=tmp_path)
    assert dialling.stdout is not None
    told = [(await dialling.stdout.readline()).decode() for _ in range(2)]
    assert [line.split(":")[0] for line in told] == ["growl", "talk"]
    sending = await start("phone", "text", "+8888w101", "Good morning", folder=tmp_path)
    answer, complaint = await sending.communicate()
    assert sending.returncode == 0, complaint.decode()
    assert [line.split(":")[0] for line in answer.decode().splitlines()] == ["stored", "delivered"]
    process.send_signal(signal.SIGINT)
    output, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    assert output.decode().endswith("Stopped.\n")
    await dialling.communicate()
    assert not (tmp_path / "cig-lab.path").exists()
    await softphone.stop()
