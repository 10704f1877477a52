# SPDX-License-Identifier: GPL-3.0-or-later
"""The program cig-relay as a process: start, signals, wrong configuration, wrong keystore."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

import cig_relay
from cig_common.control.messages import (
    VERSION,
    AcceptCallReply,
    HelloReply,
    HelloRequest,
    IdentityEvent,
    StatusReply,
    StatusRequest,
)
from cig_material.material import KeyMaterial, PeriodKeys
from cig_relay.keys.keystore import Keystore
from cig_relay.randomness.source import BOTH
from mikey_sakke.identifiers import tel_identifier
from mikey_sakke.periods import month_of
from mikey_sakke.secret import Secret
from unit.cig_relay.control.harness import Peer, bang
from unit.cig_relay.engines.children import may_lock_memory
from unit.cig_relay.keys.lab import GATEWAY, domain, kms, material, user
from unit.cig_relay.randomness.host import HAS_RDRAND, OPTIONS

CONFIG = """
interfaces {
  tel { rtp_port_range 22000 23999; rtp_remote_addr_override 192.0.2.7 127.0.0.1; }
  sip { bind 127.0.0.1; rtp_port_range 24000 25999; }
}
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(cig_relay.__file__).parents[1])}
MONTH = month_of(time.time())


def _keys() -> KeyMaterial:
    identifier = tel_identifier(GATEWAY, MONTH)
    ssk, pvt = domain().issue_ssk(identifier)
    rsk = domain().issue_rsk(identifier)
    return material(periods=(PeriodKeys(f"{MONTH}-1", kms(), Secret(ssk), pvt, Secret(rsk)),))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "userdata").mkdir(mode=0o700)
    (tmp_path / "cig.conf").write_text(CONFIG)
    return tmp_path


async def _start(
    folder: Path,
    *arguments: str,
    notify: str = "",
    program: tuple[str, ...] = ("-m", "cig_relay.app"),
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *program,
        *("--config", str(folder / "cig.conf")),
        *("--userdata", str(folder / "userdata")),
        *("--socket", str(folder / "relay.sock")),
        *("--keys-socket", str(folder / "keys.sock")),
        *("--log", str(folder / "relay.log")),
        *("--engines", "2"),
        *OPTIONS,
        *arguments,
        env={**ENVIRONMENT, "NOTIFY_SOCKET": notify},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def _running(folder: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start the program and wait until it says that it is ready."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(folder / "notify.sock"))
        told.setblocking(False)
        process = await _start(folder, *arguments, notify=str(folder / "notify.sock"))
        try:
            loop = asyncio.get_running_loop()
            assert await asyncio.wait_for(loop.sock_recv(told, 100), 30) == b"READY=1"
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def test_serves_and_stops(folder: Path) -> None:
    Keystore(folder / "userdata").save(_keys())
    async with _running(folder) as process:
        peer = await Peer.connect(folder / "relay.sock")
        now = time.time()
        request = bang(signer=user("tel:+46701234567", MONTH), now=now)[1]
        reply = await peer.expect(AcceptCallReply, request)
        assert reply.sip_addr == "127.0.0.1"
        assert 24000 <= reply.sip_port <= 25998
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out, err = await asyncio.wait_for(process.communicate(), 5)
        assert time.monotonic() - begun < 5
        assert (process.returncode, out, err) == (0, b"", b"")
    log = (folder / "relay.log").read_text()
    for line in (
        "Relay[INIT]: cig-relay/2.7.0",
        "tel rtp_port_range 22000 23999",
        "tel rtp_remote_addr_override 192.0.2.7 127.0.0.1",
        "sip bind 127.0.0.1",
        f"Relay[INIT]: keys of {GATEWAY}, security domain LAB, periods {MONTH}-1",
        "RdRand",
        "memory is locked"
        if may_lock_memory()
        else "memory is not locked, so that keys may be written",
        f"random octets from {BOTH}" if HAS_RDRAND else "RANDOM OCTETS COME FROM THE KERNEL",
        "stopped",
    ):
        assert line in log
    assert not (folder / "relay.sock").exists()
    assert (folder / "relay.log").stat().st_mode & 0o777 == 0o600


async def test_accepting_short_signatures_is_told_at_the_start(folder: Path) -> None:
    async with _running(folder):
        assert "SIGNATURES" not in (folder / "relay.log").read_text()
    (folder / "notify.sock").unlink()
    async with _running(folder, "--accept-short-signatures"):
        (line,) = (
            line
            for line in (folder / "relay.log").read_text().splitlines()
            if "SIGNATURES THAT LEAVE OUT THE SIGN HEADER ARE TAKEN" in line
        )
        assert "[WARN]" in line


async def test_keys_come_later_and_the_log_is_reopened(folder: Path) -> None:
    async with _running(folder) as process:
        assert "no keys: calls are refused" in (folder / "relay.log").read_text()
        peer = await Peer.connect(folder / "relay.sock", hello=False)
        reply = await peer.expect(HelloReply, HelloRequest(VERSION, "test", 1))
        assert reply.identity is None
        (folder / "relay.log").rename(folder / "relay.log.1")
        process.send_signal(signal.SIGUSR1)
        Keystore(folder / "userdata").save(_keys())
        process.send_signal(signal.SIGHUP)
        event = await peer.event(IdentityEvent)
        assert event.identity is not None
        assert event.identity.public_id == GATEWAY
        assert "keys of tel:+8888" in (folder / "relay.log").read_text()
        (folder / "cig.conf").write_text("interfaces { nonsense }")
        process.send_signal(signal.SIGHUP)
        await peer.event(IdentityEvent)
        assert "the old one is still in use" in (folder / "relay.log").read_text()
        await peer.expect(StatusReply, StatusRequest())


async def test_a_keystore_that_cannot_be_used_is_told(folder: Path) -> None:
    Keystore(folder / "userdata").save(_keys()).chmod(0o644)
    async with _running(folder):
        assert "its mode is 0644" in (folder / "relay.log").read_text()
        peer = await Peer.connect(folder / "relay.sock")
        status = await peer.expect(StatusReply, StatusRequest())
        assert status.identity is None
        assert "chmod it to 0600" in status.crypto_state


async def test_other_processes_of_the_user_cannot_look_into_it(folder: Path) -> None:
    async with _running(folder) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 2
        for pid in (str(process.pid), *children):
            # What is not dumpable belongs to root in /proc, whoever runs it.
            assert Path(f"/proc/{pid}/mem").stat().st_uid == 0
            limits = Path(f"/proc/{pid}/limits").read_text()
            core = next(line for line in limits.splitlines() if line.startswith("Max core"))
            assert core.split()[4:6] == ["0", "0"]
        for pid in children:
            told = dict(
                line.split(":\t", 1)
                for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            )
            assert told["NoNewPrivs"] == "1"
            assert told["Threads"] == "1"
            if os.uname().machine in ("x86_64", "aarch64"):
                assert told["Seccomp"] == "2"
            if may_lock_memory():
                assert told["VmLck"].strip() != "0 kB"
            with suppress(PermissionError):  # for those who may trace any process
                assert [fd.name for fd in Path(f"/proc/{pid}/fd").iterdir()] == ["0"]
                assert Path(f"/proc/{pid}/fd/0").readlink().name.startswith("socket:")


async def test_a_processor_without_rdrand_is_refused_and_told(folder: Path) -> None:
    (folder / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu aes\n")
    # The real program, which is shown another processor.
    code = (
        "import functools, pathlib, sys; from cig_relay import app;"
        "path = pathlib.Path(sys.argv.pop(1));"
        "app.require_rdrand = functools.partial(app.require_rdrand, path);"
        "sys.argv = [word for word in sys.argv if word != '--no-rdrand'];"
        "app.main()"
    )
    process = await _start(folder, program=("-c", code, str(folder / "cpuinfo")))
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, out) == (1, b"")
    for text in (err.decode(), (folder / "relay.log").read_text()):
        assert "the processor must support RdRand" in text
        assert f"{folder / 'cpuinfo'} does not list rdrand" in text
        assert "start cig-relay with --no-rdrand" in text
    assert not (folder / "relay.sock").exists()


async def test_a_laboratory_does_without_rdrand_and_everybody_sees_it(folder: Path) -> None:
    async with _running(folder, "--no-rdrand") as process:
        log = (folder / "relay.log").read_text()
        (line,) = [line for line in log.splitlines() if "RANDOM OCTETS" in line]
        assert "Relay[WARN]: --no-rdrand: RANDOM OCTETS COME FROM THE KERNEL ALONE" in line
        peer = await Peer.connect(folder / "relay.sock")
        status = await peer.expect(StatusReply, StatusRequest())
        assert status.random == "kernel alone (--no-rdrand)"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for pid in children:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\x00")
            assert b"--no-rdrand" in command


async def test_a_second_relay_leaves_userdata_alone(folder: Path) -> None:
    async with _running(folder):
        second = await _start(folder, "--socket", str(folder / "second.sock"))
        _, err = await asyncio.wait_for(second.communicate(), 30)
        assert second.returncode == 1
        assert b"another cig-relay uses it" in err


@pytest.mark.parametrize("text", [None, "interfaces { sip { bind 1.2.3; } }"])
async def test_a_wrong_configuration_is_told_and_refused(folder: Path, text: str | None) -> None:
    path = folder / "cig.conf"
    path.unlink() if text is None else path.write_text(text)
    process = await _start(folder)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, out) == (2, b"")
    assert str(path).encode() in err
    assert b"error" in err
    assert b"Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [("--tel-addr", "nowhere"), ("--engines", "0"), ("--odd",), ("--server-uid", "no-such-user")],
)
async def test_a_wrong_command_line_is_told(folder: Path, arguments: tuple[str, ...]) -> None:
    process = await _start(folder, *arguments)
    _, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 2
    assert arguments[0].encode() in err


async def test_a_missing_userdata_folder_is_told(folder: Path) -> None:
    (folder / "userdata").rmdir()
    process = await _start(folder)
    _, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert b"userdata" in err
    assert b"Traceback" not in err
