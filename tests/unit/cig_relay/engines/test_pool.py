# SPDX-License-Identifier: GPL-3.0-or-later
"""The pool of crypto engines: real processes, killed, hung and fed with rubbish."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

import cig_relay
from cig_relay.engines.errors import EngineError, RefusedError
from cig_relay.engines.pool import EnginePool
from cig_relay.engines.wire import CallSecrets, Load, decode, encode
from mikey_sakke import eccsi, initiator, receiver
from mikey_sakke.identifiers import tel_identifier
from umsg.binding import ANSWER_INFO
from umsg.framing import FrameDecoder
from unit.cig_relay.keys.lab import ALICE, GATEWAY, NOW, domain, kms, material, period_keys, user
from unit.cig_relay.randomness.host import OPTIONS

PERIOD = "2026-11-1"
BINDING = bytes(range(32))


class Availability:
    """Hears how many engines are available, and lets a test wait for a number."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, int]] = []
        self._changed = asyncio.Event()

    def __call__(self, available: int, total: int) -> None:
        self.heard.append((available, total))
        self._changed.set()

    async def until(self, available: int, *, reports: int = 1) -> None:
        while len(self.heard) < reports or self.heard[-1][0] != available:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 20)


@pytest.fixture
def availability() -> Availability:
    return Availability()


@pytest_asyncio.fixture
async def pool(availability: Availability) -> AsyncIterator[EnginePool]:
    engines = EnginePool(2, listener=availability, timeout=10, options=OPTIONS)
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


async def test_a_killed_engine_is_replaced_and_its_operation_done_on_another(
    pool: EnginePool, availability: Availability
) -> None:
    # A stopped engine takes its request and dies with it: the operation must not be lost.
    before = pool.pids()
    for pid in before:
        os.kill(pid, signal.SIGSTOP)
    operations = [asyncio.create_task(_signs(pool)) for _ in range(2)]
    await asyncio.sleep(0)
    os.kill(before[0], signal.SIGKILL)
    os.kill(before[1], signal.SIGCONT)
    await asyncio.gather(*operations)
    await availability.until(2, reports=3)
    assert (1, 2) in availability.heard
    assert len(set(pool.pids()) - set(before)) == 1
    assert pool.restarts == 1
    await asyncio.gather(*(_signs(pool) for _ in range(4)))


async def test_an_operation_that_costs_two_engines_is_given_up(availability: Availability) -> None:
    engines = EnginePool(2, listener=availability, timeout=0.3, options=OPTIONS)
    await engines.start()
    try:
        await engines.load(material())
        for pid in engines.pids():
            os.kill(pid, signal.SIGSTOP)
        with pytest.raises(EngineError, match="cost two crypto engines"):
            await engines.sign_auth(period=PERIOD, text=b"t")
        await availability.until(2, reports=5)
        assert engines.restarts == 2
    finally:
        await engines.close()


async def test_all_engines_dying_costs_no_later_operation(
    pool: EnginePool, availability: Availability
) -> None:
    for pid in pool.pids():
        os.kill(pid, signal.SIGKILL)
    await availability.until(0)
    await _signs(pool)
    await availability.until(2)


async def test_a_cancelled_operation_disturbs_no_other(pool: EnginePool) -> None:
    tasks = [asyncio.create_task(_signs(pool)) for _ in range(6)]
    await asyncio.sleep(0.001)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[1::2] == [None, None, None]


async def test_terminal_signals_do_not_end_an_engine(pool: EnginePool) -> None:
    pids = pool.pids()
    for pid in pids:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            os.kill(pid, number)
    await asyncio.gather(*(_signs(pool) for _ in range(4)))
    assert pool.pids() == pids


async def test_closing_leaves_no_process(availability: Availability) -> None:
    engines = EnginePool(2, listener=availability, options=OPTIONS)
    await engines.start()
    pids = engines.pids()
    await engines.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_engines_end_with_a_relay_that_is_killed() -> None:
    code = (
        "import asyncio, os, signal, sys\n"
        "from cig_relay.engines.pool import EnginePool\n"
        "async def main():\n"
        f"    pool = EnginePool(2, options={OPTIONS!r})\n"
        "    await pool.start()\n"
        "    print(*pool.pids(), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(cig_relay.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # The engines hold standard error too: communicate() returns only when they have ended.
    out, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert (len(out.split()), err) == (2, "")


def test_frames_between_relay_and_engine_show_no_secret_in_repr() -> None:
    key = b"secret-octets-16"
    secrets = CallSecrets(b"", bytes(32), key, key, key, key, key)
    assert "secret-octets" not in repr(secrets) + repr(Load(key))
    (payload,) = FrameDecoder().feed(encode(7, secrets))
    assert decode(payload) == (7, secrets)
