# SPDX-License-Identifier: GPL-3.0-or-later
"""The pool of crypto engines: real processes, killed, hung and fed with rubbish."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from cig_relay.engines.errors import RefusedError
from cig_relay.engines.pool import EnginePool
from cig_relay.engines.wire import CallSecrets, Load, decode, encode
from mikey_sakke import eccsi, initiator, receiver
from mikey_sakke.identifiers import tel_identifier
from umsg.binding import ANSWER_INFO
from umsg.framing import FrameDecoder
from unit.cig_relay.engines.watching import Availability
from unit.cig_relay.keys.lab import ALICE, GATEWAY, NOW, domain, kms, material, period_keys, user

PERIOD = "2026-11-1"
BINDING = bytes(range(32))


@pytest.fixture
def availability() -> Availability:
    return Availability()


@pytest_asyncio.fixture
async def pool(availability: Availability) -> AsyncIterator[EnginePool]:
    engines = EnginePool(2, listener=availability)
    await engines.start()
    await engines.load(material())
    yield engines
    await engines.close()


async def _signs(pool: EnginePool) -> None:
    signature = await pool.sign_auth(period=PERIOD, text=b"text")
    eccsi.verify(
        signature, b"text", identifier=tel_identifier(GATEWAY, PERIOD[:7]), kpak=domain().kpak
    )


def _incoming() -> initiator.Built:
    return initiator.build(user(ALICE), to_uri=GATEWAY, ssrc=7, binding=BINDING, now=NOW)


async def test_signs_for_login(pool: EnginePool, availability: Availability) -> None:
    await _signs(pool)
    assert availability.heard == [(2, 2)]


async def test_verifies_and_opens_what_a_peer_made(pool: EnginePool) -> None:
    built = _incoming()
    await pool.verify_message(built.message, now=NOW)
    opened = await pool.open_message(built.message, now=NOW)
    assert opened.caller.reveal() == built.keys.initiator.reveal()
    assert opened.callee.reveal() == built.keys.responder.reveal()
    assert opened.answer_key == built.keys.answer_key(ANSWER_INFO).reveal()
    assert opened.message_digest == built.keys.message_digest


async def test_builds_what_a_peer_can_open(pool: EnginePool) -> None:
    made = await pool.build_message(responder=ALICE, now=NOW, ssrc=9, csb_id=5, binding=BINDING)
    parsed = receiver.precheck(made.message, now=NOW, own_uri=ALICE, initiator=GATEWAY)
    keys = receiver.open(receiver.verify(parsed, verifier=user(ALICE).verifier), user(ALICE))
    assert parsed.binding == BINDING
    assert made.caller.reveal() == keys.initiator.reveal()
    assert made.callee.reveal() == keys.responder.reveal()
    assert made.message_digest == keys.message_digest


async def test_opens_nothing_whose_signature_is_wrong(pool: EnginePool) -> None:
    message = bytearray(_incoming().message)
    message[-1] ^= 1
    for operation in (pool.verify_message, pool.open_message):
        with pytest.raises(RefusedError) as caught:
            await operation(bytes(message), now=NOW)
        assert caught.value.detail == "signature"


@pytest.mark.parametrize("message", [b"", b"\x01", bytes(4096), b"\xff" * 5000])
async def test_rubbish_ends_its_own_operation_only(pool: EnginePool, message: bytes) -> None:
    pids = pool.pids()
    with pytest.raises(RefusedError):
        await pool.verify_message(message, now=NOW)
    await _signs(pool)
    assert pool.pids() == pids


async def test_a_period_that_is_not_held_is_refused(pool: EnginePool) -> None:
    with pytest.raises(RefusedError) as caught:
        await pool.sign_auth(period="2026-10-1", text=b"text")
    assert caught.value.detail == "period"


async def test_new_keys_reach_all_engines_and_wrong_ones_none(pool: EnginePool) -> None:
    await pool.load(material("2026-11-2"))
    for _ in range(4):
        await asyncio.gather(*(pool.sign_auth(period="2026-11-2", text=b"t") for _ in range(2)))
    other = replace(kms(), kpak=user(ALICE).pvt)
    wrong = material(periods=(replace(period_keys("2026-11-3"), kms=other),))
    with pytest.raises(RefusedError) as caught:
        await pool.load(wrong)
    assert caught.value.detail == "key"
    for _ in range(4):
        await asyncio.gather(*(pool.sign_auth(period="2026-11-2", text=b"t") for _ in range(2)))


async def test_keys_can_be_taken_away(pool: EnginePool) -> None:
    await pool.load(None)
    results = await asyncio.gather(
        *(pool.sign_auth(period=PERIOD, text=b"t") for _ in range(4)), return_exceptions=True
    )
    assert all(isinstance(result, RefusedError) for result in results)


async def test_terminal_signals_do_not_end_an_engine(pool: EnginePool) -> None:
    pids = pool.pids()
    for pid in pids:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            os.kill(pid, number)
    await asyncio.gather(*(_signs(pool) for _ in range(4)))
    assert pool.pids() == pids


def test_frames_between_relay_and_engine_show_no_secret_in_repr() -> None:
    key = b"secret-octets-16"
    secrets = CallSecrets(b"", bytes(32), key, key, key, key, key)
    assert "secret-octets" not in repr(secrets) + repr(Load(key))
    (payload,) = FrameDecoder().feed(encode(7, secrets))
    assert decode(payload) == (7, secrets)
