# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server is told of the keys: which there are, until when, and the warning that they end."""

from __future__ import annotations

import os
from pathlib import Path

from cig_common.control.key_facts import PeriodState
from cig_common.control.messages import (
    VERSION,
    HelloReply,
    HelloRequest,
    KeysEndingEvent,
    KeysReply,
    KeysRequest,
    StatusReply,
    StatusRequest,
)
from unit.cig_relay.control.harness import Peer, relay
from unit.cig_relay.keys.lab import GATEWAY, NOW, material

DAY = 86_400.0
HELLO = HelloRequest(VERSION, "test", os.getpid())


async def test_the_keys_are_told(tmp_path: Path) -> None:
    async with relay(tmp_path, keys=material("2026-11-1", "2026-12-2")) as running:
        peer = await running.peer()
        told = await peer.expect(KeysReply, KeysRequest())
        assert told.identity is not None
        assert told.identity.public_id == GATEWAY
        assert told.anchor == f"the certificate with SHA-256 {bytes(range(32)).hex()}"
        assert [(row.period, row.state) for row in told.periods] == [
            ("2026-11-1", PeriodState.VALID),
            ("2026-12-2", PeriodState.COMING),
        ]
        assert told.path == str(running.userdata / f".ks.{GATEWAY}")
        assert told.sealed_by.startswith("key file in userdata")
        assert (told.problem, told.keys_ending) == ("", None)
        status = await peer.expect(StatusReply, StatusRequest())
        assert status.periods == told.periods


async def test_no_keys_are_told_as_a_problem(tmp_path: Path) -> None:
    async with relay(tmp_path) as running:
        told = await (await running.peer()).expect(KeysReply, KeysRequest())
        assert (told.identity, told.anchor, told.periods, told.path) == (None, "", (), "")
        assert "cig-cli set-key" in told.problem


async def test_a_warning_is_reported_and_stands_in_later_greetings(tmp_path: Path) -> None:
    async with relay(tmp_path, keys=material("2026-11-1")) as running:
        keeper = running.service.keeper
        first = await Peer.connect(running.path, hello=False)
        assert (await first.expect(HelloReply, HELLO)).keys_ending is None
        running.clock.advance(10 * DAY - (running.clock.utc() - NOW))
        await keeper.look()
        event = await first.event(KeysEndingEvent)
        assert event.warning is not None
        assert (event.warning.period, event.warning.days) == ("2026-11-1", 7)
        second = await Peer.connect(running.path, hello=False)
        assert (await second.expect(HelloReply, HELLO)).keys_ending == event.warning
        status = await second.expect(StatusReply, StatusRequest())
        assert status.keys_ending == event.warning
        running.service.holder.keystore.save(material("2026-11-1", "2026-12-1"))
        await running.service.holder.reload()
        await keeper.look()
        assert (await second.event(KeysEndingEvent)).warning is None
