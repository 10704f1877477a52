# SPDX-License-Identifier: GPL-3.0-or-later
"""An independent witness: Wireshark's dissector reads a message that this library built.

tshark verifies nothing, but it decodes every payload by a code base that is not ours. The
Debian package `tshark` gives both programs; without them the test fails, it does not skip.
"""

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mikey_sakke import initiator
from mikey_sakke.message import IMessage
from unit.mikey_sakke.support import CALLEE, CALLER, NOW, user

SSRC = 0xCAFEBABE
BINDING = bytes(range(32))


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is not installed: apt-get install --no-install-recommends tshark")
    return path


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command[0]} failed: {done.stderr}"
    return done.stdout


def _packet(message: bytes, folder: Path) -> str:
    """Wrap the message into a UDP packet to port 2269, MIKEY's own, in a capture file."""
    dump, capture = folder / "message.hex", folder / "message.pcap"
    lines = [
        f"{offset:06x} {message[offset : offset + 16].hex(' ')}\n"
        for offset in range(0, len(message), 16)
    ]
    dump.write_text("".join(lines))
    _run(_program("text2pcap"), "-q", "-u", "2269,2269", str(dump), str(capture))
    return str(capture)


@pytest.fixture(scope="module")
def built() -> initiator.Built:
    return initiator.build(user(CALLER), to_uri=CALLEE, ssrc=SSRC, binding=BINDING, now=NOW)


def _fields(capture: str, *names: str) -> dict[str, list[str]]:
    wanted = [argument for name in names for argument in ("-e", name)]
    output = _run(_program("tshark"), "-r", capture, "-T", "json", *wanted)
    (packet,) = json.loads(output)
    return packet["_source"]["layers"]


def expectations(built: initiator.Built) -> dict[str, list[int]]:
    """Numeric fields as tshark must show them."""
    policy = {
        "no": 0,
        "proto_type": 0,
        "encr_alg": 1,
        "encr_len": 16,
        "auth_alg": 1,
        "auth_key_len": 20,
        "salt_len": 14,
        "srtp_encr": 1,
        "srtcp_encr": 1,
        "srtp_auth": 1,
        "auth_tag_len": 10,
    }
    return {
        "mikey.version": [1],
        "mikey.type": [26],
        "mikey.prf_func": [1],
        "mikey.csb_id": [built.csb_id],
        "mikey.cs_count": [2],
        "mikey.cs_id_map_type": [0],
        "mikey.srtp_id.policy_no": [0, 0],
        "mikey.srtp_id.ssrc": [SSRC, 0],
        "mikey.srtp_id.roc": [0, 0],
        "mikey.t.ts_type": [0],
        "mikey.rand.len": [16],
        "mikey.id.role": [1, 2],
        "mikey.id.type": [1, 1],
        "mikey.sakke.params": [1],
        "mikey.sakke.idscheme": [1],
        "mikey.sakke.len": [273],
        "mikey.ext.type": [0],
        "mikey.ext.len": [38],
        "mikey.sign.type": [2],
        "mikey.sign.len": [129],
    } | {f"mikey.sp.{name}": [value] for name, value in policy.items()}


def test_tshark_reads_the_same_numbers(built, tmp_path):
    expected = expectations(built)
    fields = _fields(_packet(built.message, tmp_path), *expected, "mikey.v.set")
    read = {name: [int(value, 0) for value in fields[name]] for name in expected}
    assert read == expected
    assert fields["mikey.v.set"] in (["0"], ["False"])


def test_tshark_reads_the_same_octets(built, tmp_path):
    parts = ("rand.data", "sakke.data", "ext.data", "sign.data")
    names = [f"mikey.{part}" for part in parts]
    fields = _fields(_packet(built.message, tmp_path), *names, "mikey.id.data", "mikey.t.ntp")
    message = IMessage.parse(built.message)
    read = [bytes.fromhex(fields[name][0].replace(":", "")) for name in names]
    assert read == [
        built.rand,
        message.sakke.data,
        b"UMSG/1" + BINDING,
        built.message[built.signed_prefix_len :],
    ]
    assert fields["mikey.id.data"] == [CALLER, CALLEE]
    assert f"{datetime.fromtimestamp(NOW, UTC):%b %d, %Y %H:%M:%S}" in fields["mikey.t.ntp"][0]


def test_tshark_finds_nothing_malformed(built, tmp_path):
    tree = _run(_program("tshark"), "-r", _packet(built.message, tmp_path), "-O", "mikey")
    assert "Malformed" not in tree
    assert "SAKKE" in tree
    assert "ECCSI" in tree
