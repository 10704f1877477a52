# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys socket: what an operator can install, what is refused, and who may ask."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from cig_common.control.key_facts import Identity
from cig_common.control.keys import InspectKeysRequest, KeysPreview
from cig_common.control.messages import (
    VERSION,
    HelloReply,
    HelloRequest,
    IdentityEvent,
    SignAuthReply,
    SignAuthRequest,
)
from cig_material import seal as seal_module
from cig_material.material import KeyMaterial, PeriodKeys
from cig_relay.control import keys_session
from cig_relay.control.keys_server import KeysServer, Limits
from cig_relay.control.local_socket import SocketInUseError
from cig_relay.engines.errors import EngineError
from cig_relay.keys.intake import KeyIntake
from mikey_sakke.identifiers import tel_identifier
from mikey_sakke.secret import Secret
from unit.cig_relay.control.harness import Rig, relay
from unit.cig_relay.control.keys_peer import PASSPHRASE, KeysPeer, sealed
from unit.cig_relay.keys.lab import GATEWAY, NOW, domain, kms, material, period_keys

NOBODY = 65534
FAST = Limits(pause=0.01)
DIGESTS = (bytes(32), b"\1" * 32, b"\2" * 32)


@dataclass
class KeysRig:
    """A relay and its keys socket."""

    relay: Rig
    intake: KeyIntake
    path: Path

    async def peer(self) -> KeysPeer:
        return await KeysPeer.connect(self.path)

    def held(self) -> tuple[str, ...]:
        """The periods that the keystore on the disk holds."""
        found = self.relay.service.holder.keystore.read()
        return () if found is None else found.identity.periods


@asynccontextmanager
async def running(
    folder: Path, *, keys: KeyMaterial | None = None, limits: Limits = FAST, now: float = NOW
) -> AsyncIterator[KeysRig]:
    async with relay(folder, keys=keys, now=now) as rig:
        intake = KeyIntake(rig.service.holder, rig.service.pool, rig.clock)
        server = KeysServer(
            intake, folder / "keys.sock", changed=rig.server.identity_changed, limits=limits
        )
        await server.start()
        try:
            yield KeysRig(rig, intake, folder / "keys.sock")
        finally:
            await server.close()


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[KeysRig]:
    async with running(tmp_path) as made:
        yield made


@pytest_asyncio.fixture
async def peer(rig: KeysRig) -> AsyncIterator[KeysPeer]:
    connected = await rig.peer()
    yield connected
    await connected.close()


def issued(uri: str, period: str) -> PeriodKeys:
    """Right keys of another public id."""
    identifier = tel_identifier(uri, period[:7])
    ssk, pvt = domain().issue_ssk(identifier)
    return PeriodKeys(period, kms(), Secret(ssk), pvt, Secret(domain().issue_rsk(identifier)))


def wrong(period: str) -> PeriodKeys:
    """Keys whose RSK is that of another month."""
    good, other = period_keys(period), period_keys("2026-01-1")
    return replace(good, rsk=Secret(other.rsk.reveal()))


# --- what is installed --------------------------------------------------------------------------


async def test_keys_are_shown_then_installed_and_in_use(
    rig: KeysRig, peer: KeysPeer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = await rig.relay.peer()
    new = material("2026-11-1", "2026-12-1", crs=("crs.example.com:5223", "[2001:db8::1]:5223"))
    preview = await peer.inspect(new)
    assert (preview.public_id, preview.domain, preview.crs) == (GATEWAY, "LAB", new.crs)
    assert [(p.period, p.action) for p in preview.periods] == [
        ("2026-11-1", "add"),
        ("2026-12-1", "add"),
    ]
    assert bytes(range(32)).hex() in preview.anchor
    assert (preview.changes, preview.replaces) == ((), "")
    assert rig.held() == ()

    done = await peer.install(preview)
    path = rig.relay.userdata / f".ks.{GATEWAY}"
    assert (done.path, done.periods, done.notes) == (str(path), ("2026-11-1", "2026-12-1"), ())
    assert path.stat().st_mode & 0o777 == 0o600
    assert rig.held() == done.periods
    event = await server.event(IdentityEvent)
    assert isinstance(event.identity, Identity)
    assert event.identity.periods == done.periods
    await server.expect(SignAuthReply, SignAuthRequest(*DIGESTS, "2026-11-1"))

    log = caplog.text
    assert f"process {os.getpid()} of uid {os.geteuid()} looked at key material" in log
    assert "installed key material of tel:+8888, security domain LAB: the keystore holds" in log
    for keys in new.periods:
        for secret in (keys.ssk, keys.rsk):
            assert secret.reveal().hex() not in log
            assert repr(secret.reveal())[2:-1] not in log
    assert PASSPHRASE not in log


async def test_a_period_is_added_and_a_revision_replaced_while_in_use(
    rig: KeysRig, peer: KeysPeer
) -> None:
    await peer.bring(material("2026-11-1"))
    server = await rig.relay.peer()
    assert (await peer.bring(material("2026-12-1"))).periods == ("2026-11-1", "2026-12-1")
    preview = await peer.inspect(material("2026-11-2", "2026-12-1"))
    assert [(p.action, p.replaced) for p in preview.periods] == [
        ("replace", "2026-11-1"),
        ("held", ""),
    ]
    assert (await peer.install(preview)).periods == ("2026-11-2", "2026-12-1")
    await server.expect(SignAuthReply, SignAuthRequest(*DIGESTS, "2026-11-2"))
    code, _ = await server.refused(SignAuthRequest(*DIGESTS, "2026-11-1"))
    assert code in ("crypto", "no-keys")


@pytest.mark.parametrize(
    ("new", "word"),
    [
        (["2026-11-2"], "nothing-new"),
        (["2026-11-1"], "older"),
        (["2026-10-1", "2026-09-3"], "expired"),
    ],
)
async def test_what_brings_nothing_is_refused(tmp_path: Path, new: list[str], word: str) -> None:
    async with running(tmp_path, keys=material("2026-11-2")) as rig:
        peer = await rig.peer()
        assert (await peer.inspect_refused(material(*new)))[0] == word
        assert rig.held() == ("2026-11-2",)
        await peer.close()


async def test_another_identity_is_installed_only_by_consent(tmp_path: Path) -> None:
    other = material(uri="tel:+7777", periods=(issued("tel:+7777", "2026-11-1"),))
    async with running(tmp_path, keys=material("2026-11-1")) as rig:
        peer, server = await rig.peer(), await rig.relay.peer()
        preview = await peer.inspect(other)
        assert preview.replaces == "tel:+8888 (security domain LAB)"
        word, text = await peer.install_refused(preview)
        assert word == "other-identity"
        assert "--replace" in text
        assert rig.held() == ("2026-11-1",)
        # What was shown is still there: a second thought needs no second look.
        done = await peer.install(preview, replace=True)
        assert done.path.endswith(".ks.tel:+7777")
        event = await server.event(IdentityEvent)
        assert event.identity is not None
        assert event.identity.public_id == "tel:+7777"
        assert [p.name for p in rig.relay.userdata.glob(".ks.tel:*")] == [".ks.tel:+7777"]
        await peer.close()


async def test_another_domain_of_the_same_number_needs_consent_too(tmp_path: Path) -> None:
    async with running(tmp_path, keys=material("2026-11-1")) as rig:
        peer = await rig.peer()
        preview = await peer.inspect(material("2026-11-1", domain="OTHER"))
        assert (await peer.install_refused(preview))[0] == "other-domain"
        await peer.install(preview, replace=True)
        assert rig.relay.service.holder.require().domain == "OTHER"
        await peer.close()


async def test_a_keystore_that_is_damaged_is_replaced_only_by_consent(tmp_path: Path) -> None:
    async with running(tmp_path, keys=material("2026-11-1")) as rig:
        path = rig.relay.service.holder.keystore.find()
        assert path is not None
        octets = bytearray(path.read_bytes())
        octets[-1] ^= 1
        path.write_bytes(octets)
        peer = await rig.peer()
        preview = await peer.inspect(material("2026-12-1"))
        assert preview.replaces.startswith("tel:+8888 (its keystore cannot be used")
        word, text = await peer.install_refused(preview)
        assert word == "keystore"
        assert str(path) in text
        assert path.read_bytes() == octets
        await peer.install(preview, replace=True)
        assert rig.held() == ("2026-12-1",)
        await peer.close()


# --- what is wrong with it ----------------------------------------------------------------------


async def test_a_wrong_passphrase_is_told_and_another_may_be_tried(
    rig: KeysRig, peer: KeysPeer, caplog: pytest.LogCaptureFixture
) -> None:
    octets = sealed(material("2026-11-1"))
    word, text = await peer.inspect_refused(octets, "hunter2-hunter2")
    assert word == "passphrase"
    assert (await peer.inspect_refused(octets, ""))[0] == "passphrase"
    assert (await peer.refused(InspectKeysRequest(octets, b"\xff\xfehunter2")))[0] == "passphrase"
    assert "hunter2" not in text + caplog.text
    await peer.install(await peer.inspect(octets))
    assert rig.held() == ("2026-11-1",)


async def test_who_guesses_is_slowed_down_and_cut_off(
    rig: KeysRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = []

    async def sleep(seconds: float) -> None:
        pauses.append(round(seconds / FAST.pause))

    class Asyncio:
        """The module, with a clock that does not wait."""

        def __getattr__(self, name: str) -> object:
            return sleep if name == "sleep" else getattr(asyncio, name)

    monkeypatch.setattr(keys_session, "asyncio", Asyncio())
    octets = sealed(material("2026-11-1"))
    guesser = await rig.peer()
    for _ in range(5):
        assert (await guesser.inspect_refused(octets, "guess"))[0] == "passphrase"
    assert await guesser.ended()
    assert pauses == [1, 2, 3, 4, 5]
    # A new connection does not begin anew; the right passphrase does.
    again = await rig.peer()
    await again.inspect_refused(octets, "guess")
    await again.inspect(octets)
    await again.inspect_refused(octets, "guess")
    assert pauses == [1, 2, 3, 4, 5, 5, 1]
    await again.close()


async def test_material_that_is_damaged_changes_nothing(rig: KeysRig, peer: KeysPeer) -> None:
    octets = sealed(material("2026-11-1"))
    for bad in (octets[:-1], octets[:20], b"", b"-----BEGIN CIG KEYS-----", octets + b"\n"):
        word, text = await peer.inspect_refused(bad)
        assert word == "key-material"
        assert not text.endswith(".")
    newer = octets[:7] + b"\2" + octets[8:]
    assert (await peer.inspect_refused(newer))[0] == "key-material-version"
    assert (await peer.inspect_refused(octets[:-1] + b"\0"))[0] == "passphrase"
    assert rig.held() == ()


async def test_keys_that_are_wrong_are_named_and_not_installed(
    rig: KeysRig, peer: KeysPeer
) -> None:
    bad = material(periods=(period_keys("2026-11-1"), wrong("2026-12-1")))
    word, text = await peer.inspect_refused(bad)
    assert word == "wrong-keys"
    assert "2026-12-1" in text
    assert rig.held() == ()
    # The engines are well, and hold nothing of it.
    await peer.bring(material("2026-11-1"))


async def test_only_what_was_inspected_here_is_installed(rig: KeysRig, peer: KeysPeer) -> None:
    other = await rig.peer()
    preview = await other.inspect(material("2026-11-1"))
    assert (await peer.install_refused(preview))[0] == "not-inspected"
    mine = await peer.inspect(material("2026-12-1"))
    assert (await peer.install_refused(replace(mine, token=preview.token)))[0] == "not-inspected"
    await peer.install(mine)
    assert (await peer.install_refused(mine))[0] == "not-inspected"
    await other.close()


# --- many at a time -----------------------------------------------------------------------------


async def test_an_installation_does_what_was_shown_or_nothing(rig: KeysRig) -> None:
    first, same, other = [await rig.peer() for _ in range(3)]
    shown = await first.inspect(material("2026-11-1"))
    shown_same = await same.inspect(material("2026-11-1"))
    shown_other = await other.inspect(material("2026-11-2", "2026-12-1"))
    await first.install(shown)
    assert (await same.install_refused(shown_same))[0] == "nothing-new"
    assert (await other.install_refused(shown_other))[0] == "changed"
    assert rig.held() == ("2026-11-1",)
    await other.bring(material("2026-11-2", "2026-12-1"))
    assert rig.held() == ("2026-11-2", "2026-12-1")
    for peer in (first, same, other):
        await peer.close()


async def test_installations_at_once_lose_nothing(rig: KeysRig) -> None:
    months = [f"2027-{month:02d}-1" for month in range(1, 7)]

    async def bring(period: str) -> None:
        await rig.intake.inspect(new := material(period))
        await rig.intake.install(new, replace=False)

    async def reload() -> None:
        for _ in range(5):
            await rig.relay.service.holder.reload()

    await asyncio.gather(*map(bring, months), reload())
    assert rig.held() == tuple(months)
    assert rig.relay.service.holder.require().periods == tuple(months)


async def test_one_opening_at_a_time(rig: KeysRig, monkeypatch: pytest.MonkeyPatch) -> None:
    running_now, most = 0, 0

    def unseal(octets: bytes, passphrase: Secret) -> bytes:
        nonlocal running_now, most
        running_now += 1
        most = max(most, running_now)
        try:
            return seal_module.unseal(octets, passphrase)
        finally:
            running_now -= 1

    monkeypatch.setattr(keys_session, "unseal", unseal)
    octets = sealed(material("2026-11-1"))
    peers = [await rig.peer() for _ in range(4)]
    await asyncio.gather(*(peer.inspect(octets) for peer in peers))
    assert most == 1
    for peer in peers:
        await peer.close()


# --- connections --------------------------------------------------------------------------------


async def test_a_connection_that_breaks_changes_nothing(rig: KeysRig) -> None:
    peer = await rig.peer()
    await peer.inspect(material("2026-11-1"))
    await peer.close()
    torn = await rig.peer()
    torn.writer.write(b"\0\0\1\0half of a frame")
    await torn.close()
    silent = await rig.peer()
    await silent.close()
    last = await rig.peer()
    assert isinstance(await last.inspect(material("2026-11-1")), KeysPreview)
    assert rig.held() == ()
    await last.close()


async def test_what_was_asked_for_is_done_though_nobody_waits_for_the_answer(
    rig: KeysRig,
) -> None:
    server = await rig.relay.peer()
    peer = await rig.peer()
    preview = await peer.inspect(material("2026-11-1"))
    pending = asyncio.create_task(peer.install(preview))
    await asyncio.sleep(0)
    peer.writer.close()
    assert (await server.event(IdentityEvent)).identity is not None
    assert rig.held() == ("2026-11-1",)
    pending.cancel()
    await asyncio.gather(pending, return_exceptions=True)


@pytest.mark.parametrize(
    "rubbish",
    [b"\xff\xff\xff\xff", b"\0\0\0\1\0", b"\0\0\0\0", b"\0\0\0\4\xa1an\1", b"GET / HTTP/1.1\r\n"],
)
async def test_rubbish_ends_its_own_connection_alone(rig: KeysRig, rubbish: bytes) -> None:
    peer = await rig.peer()
    peer.writer.write(rubbish)
    assert await peer.ended()
    other = await rig.peer()
    await other.bring(material("2026-11-1"))
    await other.close()


async def test_messages_of_the_control_socket_mean_nothing_here(rig: KeysRig) -> None:
    peer = await rig.peer()
    with pytest.raises(EOFError):
        await peer.ask(HelloRequest(VERSION, "server", 1))


async def test_there_is_room_for_few_connections(rig: KeysRig) -> None:
    peers = [await rig.peer() for _ in range(FAST.connections)]
    for peer in peers:
        await peer.inspect_refused(b"")
    surplus = await rig.peer()
    assert await surplus.ended()
    await peers[0].close()
    async with asyncio.timeout(10):
        while True:
            another = await rig.peer()
            try:
                await another.inspect_refused(b"")
                break
            except (EOFError, ConnectionError):
                await asyncio.sleep(0.01)
    for peer in (*peers[1:], another):
        await peer.close()


async def test_who_says_nothing_is_closed(tmp_path: Path) -> None:
    limits = replace(FAST, first_seconds=0.1, decide_seconds=60.0)
    async with running(tmp_path, limits=limits) as rig:
        silent, slow = await rig.peer(), await rig.peer()
        slow.writer.write(b"\0\0\1\0")
        assert await silent.ended()
        assert await slow.ended()


async def test_who_does_not_decide_is_closed(tmp_path: Path) -> None:
    limits = replace(FAST, first_seconds=60.0, decide_seconds=0.1)
    async with running(tmp_path, limits=limits) as rig:
        peer = await rig.peer()
        await peer.inspect(material("2026-11-1"))
        assert await peer.ended()
        assert rig.held() == ()


async def test_the_socket_is_made_with_its_rights_and_removed(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        assert rig.path.stat().st_mode & 0o777 == 0o600
        second = KeysServer(rig.intake, rig.path)
        with pytest.raises(SocketInUseError):
            await second.start()
    assert not (tmp_path / "keys.sock").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_another_user_is_shut_out(caplog: pytest.LogCaptureFixture) -> None:
    script = (
        "import os, socket, sys\n"
        f"os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "s = socket.socket(socket.AF_UNIX); s.settimeout(20)\n"
        "try:\n s.connect(sys.argv[1])\nexcept PermissionError:\n sys.exit(7)\n"
        "try:\n answer = s.recv(1)\nexcept ConnectionResetError:\n answer = b''\n"
        "sys.exit(8 if answer == b'' else 9)\n"
    )

    async def as_nobody(path: Path) -> int:
        call = [sys.executable, "-c", script, str(path)]
        return (await asyncio.to_thread(subprocess.run, call, check=False)).returncode

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        async with running(folder) as rig:
            assert await as_nobody(rig.path) == 7
            # Even where the file would let him in, the kernel tells who he is.
            rig.path.chmod(0o666)
            assert await as_nobody(rig.path) == 8
            assert f"of uid {NOBODY} may not use the keys socket" in caplog.text
            root = await rig.peer()
            await root.bring(material("2026-11-1"))
            await root.close()


async def test_a_full_disk_is_told(rig: KeysRig, monkeypatch: pytest.MonkeyPatch) -> None:
    def save(*_: object, **__: object) -> Path:
        raise OSError(28, os.strerror(28))

    peer = await rig.peer()
    preview = await peer.inspect(material("2026-11-1"))
    monkeypatch.setattr(rig.relay.service.holder.keystore, "save", save)
    word, text = await peer.install_refused(preview)
    assert word == "disk"
    assert "No space left" in text
    assert rig.held() == ()
    await peer.close()


async def test_keys_that_engines_cannot_take_are_installed_all_the_same(
    rig: KeysRig, peer: KeysPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reload() -> None:
        raise EngineError("no crypto engine became free")

    preview = await peer.inspect(material("2026-11-1"))
    monkeypatch.setattr(rig.relay.service.holder, "reload", reload)
    done = await peer.install(preview)
    assert "on disk, but not in use yet (no crypto engine became free)" in done.notes[0]
    assert rig.held() == ("2026-11-1",)


async def test_the_hello_of_a_server_names_new_keys(rig: KeysRig, peer: KeysPeer) -> None:
    await peer.bring(material("2026-11-1"))
    server = await rig.relay.peer()
    reply = await server.expect(HelloReply, HelloRequest(VERSION, "test", 1))
    assert reply.identity is not None
    assert reply.identity.periods == ("2026-11-1",)
