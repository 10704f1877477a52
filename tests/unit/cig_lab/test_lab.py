# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's own means: ports, child programs, the runtime folder, the phone's socket."""

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cig_lab import ports, process, remote, runtime
from cig_lab.crs import CrsServer
from cig_lab.kms import LabKms, months_for
from cig_lab.main import main
from cig_lab.phone.phone import SecurePhone
from cig_lab.process import Child, LabError


def test_ports() -> None:
    port = ports.free_port("127.0.0.1")
    assert ports.is_free("127.0.0.1", port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", port))
        assert not ports.is_free("127.0.0.1", port)
        assert ports.is_free("127.0.0.1", port, ("tcp",))
    low, high = ports.rtp_range(100)
    assert (low % 2, high - low) == (0, 99)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that takes the place of the environment's programs."""
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    return tmp_path


def write_program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


NOTIFY = (
    "{python} -c 'import os, socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);"
    's.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])\''
)


async def test_child_is_awaited_and_stopped(programs: Path) -> None:
    real = (programs / "python").resolve()
    write_program(programs, "good", NOTIFY.format(python=real) + "\nexec sleep 60")
    child = await Child.start("good", (), folder=programs)
    assert child.returncode is None
    os.kill(child.pid, 0)
    assert await child.stop() == -15
    assert await child.stop() == -15
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


async def test_child_that_ends_early_is_told_with_its_words(programs: Path) -> None:
    write_program(programs, "bad", "echo the port is taken; exit 3")
    with pytest.raises(LabError, match="the port is taken"):
        await Child.start("bad", (), folder=programs)
    with pytest.raises(LabError, match="does not exist"):
        await Child.start("none", (), folder=programs)


async def test_program_is_run_to_its_end(programs: Path) -> None:
    write_program(programs, "talk", 'echo "$1"; exit 4')
    assert await process.run("talk", "hello") == (4, "hello\n")
    write_program(programs, "hang", "exec sleep 60")
    with pytest.raises(LabError, match="took more than"):
        await process.run("hang", seconds=0.1)


def test_runtime_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    with pytest.raises(LabError, match="no lab is running"):
        runtime.find_socket()
    lab = Path("/tmp/cig-lab-x")
    file = runtime.announce(lab)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert runtime.find_socket() == lab / runtime.SOCKET
    runtime.withdraw(file, tmp_path)
    assert file.exists()
    runtime.withdraw(file, lab)
    assert not file.exists()
    runtime.withdraw(file, lab)
    folder.chmod(0o777)
    with pytest.raises(LabError, match="yours alone"):
        runtime.runtime_folder()


Phones = tuple[SecurePhone, SecurePhone]


@pytest.fixture
async def phones() -> AsyncIterator[Phones]:
    kms = LabKms()
    months = months_for(time.time())
    async with CrsServer(kpak=kms.kpak, domain=kms.domain) as crs:
        alice, bob = (
            SecurePhone(
                kms.user_keys(uri, months),
                crs=crs.tls_address,
                pin=crs.certificate_sha256,
                host="127.0.0.1",
            )
            for uri in ("tel:+46701234567", "tel:+8888")
        )
        await asyncio.gather(alice.ready(), bob.ready())
        yield alice, bob
        await asyncio.gather(alice.stop(), bob.stop())


async def test_dialling_through_the_socket(
    phones: Phones, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = remote.PhoneServer(phones[0])
    path = tmp_path / "phone.sock"
    await server.start(path)
    dialling = asyncio.ensure_future(remote.dial("+8888w101", path))
    called = await phones[1].incoming()
    assert called.machine.to_uri == "tel:+8888;101"
    await called.accept()
    called.hangup()
    assert await dialling == 0
    events = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert events == ["growl", "talk", "ended"]
    assert await remote.dial("+999", path) == 1
    assert await remote.dial("nonsense", path) == 1
    assert "international form" in capsys.readouterr().out
    await server.stop()
    with pytest.raises(LabError, match="does not answer"):
        await remote.dial("+999", path)


async def test_client_that_goes_away_hangs_up(phones: Phones, tmp_path: Path) -> None:
    server = remote.PhoneServer(phones[0])
    await server.start(tmp_path / "phone.sock")
    _, writer = await asyncio.open_unix_connection(str(tmp_path / "phone.sock"))
    writer.write(json.dumps({"dial": "+8888"}).encode() + b"\n")
    called = await phones[1].incoming()
    writer.close()
    await asyncio.wait_for(called.ended, 5)
    for garbage in (b"\n", b"[]\n", b'{"dial": 7}\n', b"\xff\xfe\n"):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "phone.sock"))
        writer.write(garbage)
        assert json.loads(await reader.readline())["event"] == "error"
        writer.close()
    await server.stop()


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    runner = CliRunner()
    for arguments in (["--help"], ["demo", "--help"], ["up", "--help"], ["phone", "dial", "-h"]):
        assert runner.invoke(main, arguments).exit_code == 0
    result = runner.invoke(main, ["phone", "dial", "+8888w101"])
    assert result.exit_code == 1
    assert "cig-lab up" in result.output
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        result = runner.invoke(main, ["up", "--sip-port", port])
    assert result.exit_code == 1
    assert "--sip-port" in result.output
