# SPDX-License-Identifier: GPL-3.0-or-later
"""The relay's part of a reload: prepared, committed, refused, or taken alone."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cig_common.control.messages import (
    VERSION,
    AcceptCallReply,
    CommitReloadRequest,
    Done,
    ErrorReply,
    HelloReply,
    HelloRequest,
    PrepareReloadRequest,
)
from cig_common.loading import Loaded, load_part
from cig_relay.config_view import MediaPart, media_part
from cig_relay.configuration import RelayConfiguration, ReloadRefusedError
from cig_relay.media.engine import MediaSettings, PortRange
from mikey_sakke.periods import month_of
from unit.cig_relay.control.harness import Peer, Rig, bang, relay
from unit.cig_relay.keys.lab import user

OLD = "interfaces { tel { rtp_port_range 22000 23999; } sip { bind 127.0.0.1; } }\n"
NEW = "interfaces { tel { rtp_port_range 24000 25999; } sip { bind 127.0.0.2; } }\n"


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


class Taken(list[MediaSettings]):
    """The settings that the media engine was given."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "cig.conf"
    path.write_text(OLD)
    return path


@pytest.fixture
def taken() -> Taken:
    return Taken()


@pytest.fixture
def configuration(path: Path, taken: Taken) -> RelayConfiguration:
    configuration = RelayConfiguration(path, load_part(path, media_part))
    configuration.configure = taken.append
    return configuration


async def test_what_is_prepared_is_used_only_when_committed(
    path: Path, configuration: RelayConfiguration, taken: Taken
) -> None:
    path.write_text(NEW)
    await configuration.prepare(digest(NEW))
    assert (configuration.digest, taken) == (digest(OLD), [])
    configuration.commit(digest(NEW))
    assert configuration.digest == digest(NEW)
    assert [settings.tel_ports for settings in taken] == [PortRange(24000, 25999)]


async def test_another_file_than_the_servers_is_refused(
    path: Path, configuration: RelayConfiguration, taken: Taken
) -> None:
    path.write_text(NEW)
    with pytest.raises(ReloadRefusedError, match="another file"):
        await configuration.prepare(digest(NEW + " "))
    with pytest.raises(ReloadRefusedError, match="not prepared"):
        configuration.commit(digest(NEW))
    assert (configuration.digest, taken) == (digest(OLD), [])


async def test_a_file_that_does_not_load_is_refused(
    path: Path, configuration: RelayConfiguration, taken: Taken
) -> None:
    path.write_text("nonsense")
    with pytest.raises(ReloadRefusedError, match=r"cig\.conf:1:1"):
        await configuration.prepare(digest("nonsense"))
    path.unlink()
    with pytest.raises(ReloadRefusedError, match="cannot be read"):
        await configuration.prepare(digest(NEW))
    assert (configuration.digest, taken) == (digest(OLD), [])


async def test_a_second_file_takes_the_place_of_what_was_prepared(
    path: Path, configuration: RelayConfiguration
) -> None:
    path.write_text(NEW)
    await configuration.prepare(digest(NEW))
    path.write_text(NEW + "// more\n")
    await configuration.prepare(digest(NEW + "// more\n"))
    with pytest.raises(ReloadRefusedError):
        configuration.commit(digest(NEW))


async def test_the_same_file_again_is_taken(configuration: RelayConfiguration) -> None:
    await configuration.prepare(digest(OLD))
    configuration.commit(digest(OLD))
    assert configuration.digest == digest(OLD)


async def test_a_reload_of_the_relay_alone(
    path: Path,
    configuration: RelayConfiguration,
    taken: Taken,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    path.write_text("nonsense")
    assert not await configuration.reload()
    assert "the old one is still in use" in caplog.text
    assert "1:1: error:" in caplog.text
    path.write_text(NEW)
    assert await configuration.reload()
    assert (configuration.digest, len(taken)) == (digest(NEW), 1)
    assert "tel rtp_port_range 24000 25999" in caplog.text
    assert "sip bind 127.0.0.2 is taken when cig-server is restarted" in caplog.text


async def test_the_warnings_stand_in_the_log_line_by_line(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text(OLD + 'map m { entry e sip "sip:{x}@h" tel "tel:+{x}"; }\n' * 1)
    loaded: Loaded[MediaPart] = load_part(path, media_part)
    await RelayConfiguration(path, loaded).tell()
    messages = [record.getMessage() for record in caplog.records]
    assert any("warning W103" in message for message in messages)
    assert not any("\n" in message for message in messages)


# --- over the control socket --------------------------------------------------------------------


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    (tmp_path / "cig.conf").write_text(OLD)
    async with relay(tmp_path) as running:
        yield running


async def test_the_server_prepares_and_commits(tmp_path: Path, rig: Rig) -> None:
    peer = await Peer.connect(rig.path, hello=False)
    hello = await peer.expect(HelloReply, HelloRequest(VERSION, "test", 1))
    assert hello.configuration == digest(OLD)
    (tmp_path / "cig.conf").write_text(NEW)
    await peer.expect(Done, PrepareReloadRequest(digest(NEW)))
    await peer.expect(Done, CommitReloadRequest(digest(NEW)))
    again = await Peer.connect(rig.path, hello=False)
    hello = await again.expect(HelloReply, HelloRequest(VERSION, "test", 1))
    assert hello.configuration == digest(NEW)
    for request in (PrepareReloadRequest(digest(OLD)), CommitReloadRequest(digest(OLD))):
        refusal = await again.expect(ErrorReply, request)
        assert refusal.detail == "reload"


async def test_a_bind_that_is_no_address_is_refused(rig: Rig) -> None:
    peer = await Peer.connect(rig.path, hello=False)
    refusal = await peer.expect(ErrorReply, HelloRequest(VERSION, "test", 1, "pbx.com"))
    assert "is no IP address" in refusal.text


async def test_the_sip_media_address_is_the_one_that_the_server_speaks_on(tmp_path: Path) -> None:
    from unit.cig_relay.test_app import MONTH, _keys

    now = time.time()
    async with relay(tmp_path, keys=_keys(), now=now) as running:
        assert month_of(now) == MONTH
        for name, bind in (("c1", "127.0.0.1"), ("c2", "127.0.0.3")):
            peer = await Peer.connect(running.path, hello=False)
            await peer.expect(HelloReply, HelloRequest(VERSION, "test", 1, bind))
            request = bang(call=name, signer=user("tel:+46701234567", MONTH), now=now)[1]
            assert (await peer.expect(AcceptCallReply, request)).sip_addr == bind
