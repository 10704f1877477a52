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


def test_tshark_reads_the_same_message(built, tmp_path):
    capture = _packet(built.message, tmp_path)
    fields = _fields(
        capture,
        "mikey.version",
        "mikey.type",
        "mikey.v.set",
        "mikey.prf_func",
        "mikey.csb_id",
        "mikey.cs_count",
        "mikey.cs_id_map_type",
        "mikey.srtp_id.policy_no",
        "mikey.srtp_id.ssrc",
        "mikey.srtp_id.roc",
        "mikey.t.ts_type",
        "mikey.t.ntp",
        "mikey.rand.len",
        "mikey.rand.data",
        "mikey.id.role",
        "mikey.id.type",
        "mikey.id.data",
        "mikey.sp.no",
        "mikey.sp.proto_type",
        "mikey.sp.encr_alg",
        "mikey.sp.encr_len",
        "mikey.sp.auth_alg",
        "mikey.sp.auth_key_len",
        "mikey.sp.salt_len",
        "mikey.sp.srtp_encr",
        "mikey.sp.srtcp_encr",
        "mikey.sp.srtp_auth",
        "mikey.sp.auth_tag_len",
        "mikey.sakke.params",
        "mikey.sakke.idscheme",
        "mikey.sakke.len",
        "mikey.sakke.data",
        "mikey.ext.type",
        "mikey.ext.len",
        "mikey.ext.data",
        "mikey.sign.type",
        "mikey.sign.len",
        "mikey.sign.data",
    )

    def numbers(name: str) -> list[int]:
        return [int(value, 0) for value in fields[name]]

    def octets(name: str) -> bytes:
        (value,) = fields[name]
        return bytes.fromhex(value.replace(":", ""))

    assert numbers("mikey.version") == [1]
    assert numbers("mikey.type") == [26]
    assert fields["mikey.v.set"] in (["0"], ["False"])
    assert numbers("mikey.prf_func") == [1]
    assert numbers("mikey.csb_id") == [built.csb_id]
    assert numbers("mikey.cs_count") == [2]
    assert numbers("mikey.cs_id_map_type") == [0]
    assert numbers("mikey.srtp_id.policy_no") == [0, 0]
    assert numbers("mikey.srtp_id.ssrc") == [SSRC, 0]
    assert numbers("mikey.srtp_id.roc") == [0, 0]
    assert numbers("mikey.t.ts_type") == [0]
    moment = datetime.fromtimestamp(NOW, UTC)
    assert f"{moment:%b %e, %Y %H:%M:%S}".replace("  ", " ") in fields["mikey.t.ntp"][0].replace(
        "  ", " "
    )
    assert numbers("mikey.rand.len") == [16]
    assert octets("mikey.rand.data") == built.rand
    assert numbers("mikey.id.role") == [1, 2]
    assert numbers("mikey.id.type") == [1, 1]
    assert fields["mikey.id.data"] == [CALLER, CALLEE]
    for name, value in (
        ("no", 0),
        ("proto_type", 0),
        ("encr_alg", 1),
        ("encr_len", 16),
        ("auth_alg", 1),
        ("auth_key_len", 20),
        ("salt_len", 14),
        ("srtp_encr", 1),
        ("srtcp_encr", 1),
        ("srtp_auth", 1),
        ("auth_tag_len", 10),
    ):
        assert numbers(f"mikey.sp.{name}") == [value], name
    assert numbers("mikey.sakke.params") == [1]
    assert numbers("mikey.sakke.idscheme") == [1]
    assert numbers("mikey.sakke.len") == [273]
    assert octets("mikey.sakke.data")[0] == 4
    assert octets("mikey.sakke.data") in built.message
    assert numbers("mikey.ext.type") == [0]
    assert numbers("mikey.ext.len") == [38]
    assert octets("mikey.ext.data") == b"UMSG/1" + BINDING
    assert numbers("mikey.sign.type") == [2]
    assert numbers("mikey.sign.len") == [129]
    assert octets("mikey.sign.data") == built.message[built.signed_prefix_len :]


def test_tshark_finds_nothing_malformed(built, tmp_path):
    tree = _run(_program("tshark"), "-r", _packet(built.message, tmp_path), "-O", "mikey")
    assert "Malformed" not in tree
    assert "SAKKE" in tree
    assert "ECCSI" in tree
