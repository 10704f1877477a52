# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys come to the real cig-relay: by its keys socket and by cig.raw, killed at every moment."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import cig_relay
from cig_common.control.codec import ControlDecoder, Envelope
from cig_common.control.messages import (
    VERSION,
    HelloReply,
    HelloRequest,
    IdentityEvent,
    SignAuthReply,
    SignAuthRequest,
    StatusReply,
    StatusRequest,
)
from cig_material import raw
from cig_relay.keys.keystore import Keystore
from unit.cig_relay.control.harness import Peer
from unit.cig_relay.control.keys_peer import KeysPeer
from unit.cig_relay.keys.lab import GATEWAY, material

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(cig_relay.__file__).parents[1])}
CONFIG = "interfaces { sip { bind 127.0.0.1; } }"
DIGESTS = (bytes(32), b"\1" * 32, b"\2" * 32)
NOBODY = 65534

MAIN = ("-m", "cig_relay.app")
DIE = "import os, signal\ndef die(*a, **k): os.kill(os.getpid(), signal.SIGKILL)\n"
RUN = "\nfrom cig_relay.app import main\nmain()\n"

# Where the relay is killed: a program that is cig-relay, with one step of it replaced.
BEFORE_SAVING = "from cig_relay.keys.keystore import Keystore\nKeystore.save = die"
AFTER_SAVING = """
from cig_relay.keys.keystore import Keystore
save = Keystore.save
def save_and_die(*a, **k):
    save(*a, **k)
    die()
Keystore.save = save_and_die"""
BEFORE_WIPING = "from cig_relay.keys.raw_file import RawFile\nRawFile.wipe_and_remove = die"
WHILE_WIPING = """
write = os.pwrite
def write_and_die(*a):
    write(*a)
    die()
os.pwrite = write_and_die"""
BEFORE_REMOVING = """
from pathlib import Path
unlink = Path.unlink
Path.unlink = lambda p, *a, **k: die() if p.name == "cig.raw" else unlink(p, *a, **k)"""
AFTER_REMOVING = """
from cig_relay.keys import raw_file
raw_file.sync_folder = die"""


def month(ahead: int) -> str:
    """The present month, or one of those after it."""
    today = datetime.fromtimestamp(time.time(), UTC).replace(day=15)
    return f"{today + timedelta(days=30.44 * ahead):%Y-%m}"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users can reach into, as they can /opt/cig."""
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        made.chmod(0o711)
        (made / "userdata").mkdir(mode=0o700)
        (made / "cig.conf").write_text(CONFIG)
        yield made


def arguments(folder: Path) -> tuple[str, ...]:
    return (
        *("--config", str(folder / "cig.conf")),
        *("--userdata", str(folder / "userdata")),
        *("--socket", str(folder / "relay.sock")),
        *("--keys-socket", str(folder / "keys.sock")),
        *("--log", str(folder / "relay.log")),
        *("--engines", "1"),
    )


@asynccontextmanager
async def running(
    folder: Path, *, failpoint: str = "", user: int | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start cig-relay and wait until it is ready."""
    program = ("-c", DIE + failpoint + RUN) if failpoint else MAIN
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        path = folder / "notify.sock"
        path.unlink(missing_ok=True)
        told.bind(str(path))
        path.chmod(0o666)
        told.setblocking(False)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *program,
            *arguments(folder),
            env={**ENVIRONMENT, "NOTIFY_SOCKET": str(path)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            **({} if user is None else {"user": user, "group": user, "extra_groups": []}),
        )
        try:
            ready = asyncio.get_running_loop().sock_recv(told, 100)
            assert await asyncio.wait_for(ready, 30) == b"READY=1"
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            _, errors = await process.communicate()
            assert b"Traceback" not in errors


async def hello(folder: Path) -> tuple[Peer, HelloReply]:
    """Greet as a cig-server that starts."""
    peer = await Peer.connect(folder / "relay.sock", hello=False)
    return peer, await peer.expect(HelloReply, HelloRequest(VERSION, "test", os.getpid()))


def held(folder: Path) -> tuple[str, ...]:
    found = Keystore(folder / "userdata").read()
    return () if found is None else found.identity.periods


def log(folder: Path) -> str:
    return (folder / "relay.log").read_text()


async def test_keys_are_installed_while_it_runs(folder: Path) -> None:
    now, following = f"{month(0)}-1", f"{month(1)}-1"
    async with running(folder) as process:
        server, greeting = await hello(folder)
        assert greeting.identity is None
        operator = await KeysPeer.connect(folder / "keys.sock")
        assert (await operator.inspect_refused(b"CIGSEAL"))[0] == "key-material"
        done = await operator.bring(material(now))
        assert done.path == str(folder / "userdata" / f".ks.{GATEWAY}")
        event = await server.event(IdentityEvent)
        assert event.identity is not None
        assert event.identity.periods == (now,)
        await server.expect(SignAuthReply, SignAuthRequest(*DIGESTS, now))
        await operator.bring(material(following))
        await operator.bring(material(f"{month(0)}-2"))
        await server.expect(SignAuthReply, SignAuthRequest(*DIGESTS, f"{month(0)}-2"))
        process.kill()
        await process.wait()
    assert held(folder) == (f"{month(0)}-2", following)
    assert f"keys of {GATEWAY}, security domain LAB, periods {now}" in log(folder)
    async with running(folder):
        _, greeting = await hello(folder)
        assert greeting.identity is not None
        assert greeting.identity.periods == (f"{month(0)}-2", following)


async def test_it_stops_in_time_though_an_operator_is_deciding(folder: Path) -> None:
    async with running(folder) as process:
        operator = await KeysPeer.connect(folder / "keys.sock")
        await operator.inspect(material(f"{month(0)}-1"))
        begun = time.monotonic()
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 5) == 0
        assert time.monotonic() - begun < 5
        assert await operator.ended()
    assert held(folder) == ()
    assert not (folder / "keys.sock").exists()


@pytest.mark.parametrize(("failpoint", "installed"), [(BEFORE_SAVING, False), (AFTER_SAVING, True)])
async def test_killed_in_an_installation_it_has_the_old_keys_or_the_new(
    folder: Path, failpoint: str, installed: bool
) -> None:
    old, new = f"{month(0)}-1", f"{month(1)}-1"
    Keystore(folder / "userdata").save(material(old))
    async with running(folder, failpoint=failpoint) as process:
        operator = await KeysPeer.connect(folder / "keys.sock")
        preview = await operator.inspect(material(new))
        with pytest.raises((EOFError, ConnectionError)):
            await operator.install(preview)
        assert await process.wait() == -9
    expected = (old, new) if installed else (old,)
    assert held(folder) == expected
    async with running(folder):
        _, greeting = await hello(folder)
        assert greeting.identity is not None
        assert greeting.identity.periods == expected
        # Done again, it is there, or it is told that it is there.
        operator = await KeysPeer.connect(folder / "keys.sock")
        if installed:
            assert (await operator.inspect_refused(material(new)))[0] == "nothing-new"
        else:
            assert (await operator.bring(material(new))).periods == (old, new)


async def test_cig_raw_is_there_for_the_server_that_starts(folder: Path) -> None:
    lying = folder / "userdata" / "cig.raw"
    async with running(folder):
        lying.write_bytes(raw.encode(material(f"{month(0)}-1")))
        lying.chmod(0o600)
        server, greeting = await hello(folder)
        assert greeting.identity is not None
        assert greeting.identity.periods == (f"{month(0)}-1",)
        assert not lying.exists()
        await server.expect(SignAuthReply, SignAuthRequest(*DIGESTS, f"{month(0)}-1"))
        # One that does not import: the service goes on, and `status` tells.
        lying.write_bytes(b"torn")
        server, greeting = await hello(folder)
        assert greeting.identity is not None
        status = await server.expect(StatusReply, StatusRequest())
        assert "cig.raw was not imported" in status.crypto_state
        assert (folder / "userdata" / "cig.raw.bad").read_bytes() == b"torn"
        assert "cig.raw was not imported: cig.raw holds no key material" in log(folder)
        operator = await KeysPeer.connect(folder / "keys.sock")
        await operator.bring(material(f"{month(1)}-1"))
        status = await server.expect(StatusReply, StatusRequest())
        assert status.crypto_state == "OK"


@pytest.mark.parametrize(
    "failpoint",
    [
        BEFORE_SAVING,
        AFTER_SAVING,
        BEFORE_WIPING,
        WHILE_WIPING,
        BEFORE_REMOVING,
        AFTER_REMOVING,
    ],
)
async def test_killed_in_an_import_it_is_done_at_the_next_start(
    folder: Path, failpoint: str
) -> None:
    old, new = f"{month(0)}-1", f"{month(1)}-1"
    userdata = folder / "userdata"
    Keystore(userdata).save(material(old))
    (userdata / "cig.raw").write_bytes(raw.encode(material(new)))
    (userdata / "cig.raw").chmod(0o600)
    async with running(folder, failpoint=failpoint) as process:
        peer = await Peer.connect(folder / "relay.sock", hello=False)
        peer.submit(HelloRequest(VERSION, "test", os.getpid()))
        assert await asyncio.wait_for(process.wait(), 30) == -9
    async with running(folder):
        _, greeting = await hello(folder)
        assert greeting.identity is not None
        assert greeting.identity.periods == (old, new)
    assert held(folder) == (old, new)
    assert [path.name for path in userdata.glob("cig.raw*")] == []
    assert "was not imported" not in log(folder)


# --- as in an installation: the relay is not root -----------------------------------------------


def _nobody_can_run_it() -> bool:
    if os.geteuid() != 0:
        return False
    try:
        answer = subprocess.run(
            [sys.executable, *MAIN, "--version"],
            env=ENVIRONMENT,
            user=NOBODY,
            group=NOBODY,
            capture_output=True,
            timeout=60,
            check=False,
        )
    except OSError:
        return False
    return answer.returncode == 0


@pytest.fixture
def nobodys(folder: Path) -> Path:
    """The folder with all of it given to a user without rights, and cig.raw made by root."""
    if not _nobody_can_run_it():
        pytest.skip("only root can run it as somebody else, who must be able to read it")
    for path in (folder, folder / "userdata"):
        shutil.chown(path, NOBODY, NOBODY)
    return folder


async def test_roots_own_cig_raw_is_told_how_to_be_given_away(nobodys: Path) -> None:
    userdata = nobodys / "userdata"
    (userdata / "cig.raw").write_bytes(raw.encode(material(f"{month(0)}-1")))
    (userdata / "cig.raw").chmod(0o600)
    (nobodys / "relay.log").touch()
    shutil.chown(nobodys / "relay.log", NOBODY, NOBODY)
    async with _as_nobody(nobodys) as greeting:
        assert greeting.identity is None
        bad = userdata / "cig.raw.bad"
        assert bad.exists()
        assert f"`chown {NOBODY} {bad}`" in log(nobodys)
        # What it says is of use.
        shutil.chown(bad, NOBODY)
        bad.rename(userdata / "cig.raw")
    async with _as_nobody(nobodys) as greeting:
        assert greeting.identity is not None


async def test_roots_cig_raw_that_all_may_read_is_imported(nobodys: Path) -> None:
    lying = nobodys / "userdata" / "cig.raw"
    lying.write_bytes(raw.encode(material(f"{month(0)}-1")))
    lying.chmod(0o644)
    async with _as_nobody(nobodys) as greeting:
        assert greeting.identity is not None
        assert not lying.exists()
        assert "it belongs to uid 0" in log(nobodys)
        assert "its mode is 0644" in log(nobodys)
        assert "were not overwritten on the disk" in log(nobodys)
        # root may use the keys socket of a relay that is not root's.
        operator = await KeysPeer.connect(nobodys / "keys.sock")
        assert (await operator.bring(material(f"{month(1)}-1"))).periods
        path = nobodys / "userdata" / f".ks.{GATEWAY}"
        assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (NOBODY, 0o600)


@asynccontextmanager
async def _as_nobody(folder: Path) -> AsyncIterator[HelloReply]:
    """Run the relay as nobody, with a cig-server that greets it."""
    async with running(folder, user=NOBODY):
        # The control socket is for nobody alone too, so the greeting is made by him.
        yield await _greet_as_nobody(folder)


async def _greet_as_nobody(folder: Path) -> HelloReply:
    script = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_UNIX); s.settimeout(30); s.connect(sys.argv[1])\n"
        "s.sendall(sys.stdin.buffer.read())\n"
        "sys.stdout.buffer.write(s.recv(65536))\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        str(folder / "relay.sock"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
    )
    greeting = Envelope(1, HelloRequest(VERSION, "test", 1)).encode()
    answer, _ = await asyncio.wait_for(process.communicate(greeting), 30)
    (envelope,) = ControlDecoder().feed(answer)
    assert isinstance(envelope.message, HelloReply)  # and no event before it
    return envelope.message
