# SPDX-License-Identifier: GPL-3.0-or-later
"""The manager carries out what the table asks for, and one call's trouble stays its own."""

import asyncio
from pathlib import Path

import pytest

from cig_common.clock import ManualClock
from cig_common.control.messages import StatisticsReply
from cig_common.errors import CigError, CryptoError, RelayUnavailableError
from cig_server.call.direction import Direction, Interfaces
from cig_server.call.machine import Event, State
from cig_server.call.manager import Call, CallManager
from cig_server.call.model import NORMAL, Ending, Parties, Shown
from cig_server.relay.client import RelayClient, RelayListener
from cig_server.session_log import SessionLog
from umsg.reasons import Reason

PARTIES = Parties("tel:+46701234567", "tel:+8888;101", "sip:46701234567@s", "sip:101@p")


class Steps(Direction):
    """A direction that writes down its steps; ``fail`` names those that raise."""

    def __init__(self, handle: str, relay: RelayClient) -> None:
        # No step of these speaks through an interface of its own.
        interfaces = Interfaces(relay, None, None)  # type: ignore[arg-type]
        super().__init__(handle, PARTIES, interfaces, umsg_id="in-id", sip_call=handle)
        self.done: list[str] = []
        self.fail: dict[str, Exception] = {}
        self.gate = asyncio.Event()
        self.gate.set()

    @property
    def caller_if_id(self) -> str:
        return "in-id"

    @property
    def callee_if_id(self) -> str:
        return "out-id"

    def _step(self, name: str) -> None:
        self.done.append(name)
        if name in self.fail:
            raise self.fail[name]

    async def open(self) -> None:
        await self.gate.wait()
        self._step("open")

    def dial(self) -> None:
        self._step("dial")

    def ring_in(self) -> None:
        self._step("ring_in")

    async def connect_early(self) -> None:
        self._step("connect_early")

    def progress_in(self) -> None:
        self._step("progress_in")

    async def connect(self) -> None:
        self._step("connect")

    def answer_in(self) -> None:
        self._step("answer_in")

    async def update_media(self) -> None:
        self._step("update_media")

    def end_in(self, ending: Ending) -> None:
        self._step(f"end_in {ending.reason.value}")

    def end_out(self, ending: Ending) -> None:
        self._step(f"end_out {ending.reason.value}")

    async def close_media(self) -> StatisticsReply:
        self._step("close_media")
        return StatisticsReply(self.handle, 0.0, ())


class Bench:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "session.log"
        self.manager = CallManager(ManualClock(), SessionLog(self.path))
        self._relay = RelayClient(folder / "no-relay", _Nobody())

    def call(self) -> tuple[Call, Steps]:
        steps = Steps(self.manager.next_handle(), self._relay)
        return self.manager.begin(steps), steps

    @property
    def states(self) -> list[str]:
        return [line.split(", ")[6] for line in self.path.read_text().splitlines()]


class _Nobody(RelayListener):
    pass


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def settle(manager: CallManager) -> None:
    for _ in range(5):
        assert await manager.wait_idle(5)
        await asyncio.sleep(0)


async def test_a_call_that_is_answered_and_hung_up(bench: Bench) -> None:
    call, steps = bench.call()
    await settle(bench.manager)
    for event in (Event.TRYING, Event.RINGING, Event.ANSWERED):
        bench.manager.post(call, event)
    await settle(bench.manager)
    assert call.shown is Shown.ANSWER
    bench.manager.post(call, Event.MEDIA_CHANGED)
    bench.manager.post(call, Event.IN_ENDED, NORMAL)
    await settle(bench.manager)
    assert steps.done == [
        "open", "dial", "ring_in", "connect", "answer_in",
        "end_out normal", "update_media", "close_media",
    ]  # fmt: skip
    assert bench.states == ["routed", "trying", "ringing", "talk", "hangup"]
    assert call.shown is Shown.HANGUP
    assert list(bench.manager) == [call], "an ended call is still shown"
    assert bench.manager.live_count == 0


@pytest.mark.parametrize("step", ["open", "connect"])
async def test_a_refused_step_ends_the_call_with_its_own_reason(bench: Bench, step: str) -> None:
    call, steps = bench.call()
    steps.fail[step] = CryptoError("replayed: seen before")
    await settle(bench.manager)
    if step == "connect":
        bench.manager.post(call, Event.ANSWERED)
        await settle(bench.manager)
        assert "end_out crypto" in steps.done
    assert "end_in crypto" in steps.done
    assert "answer_in" not in steps.done
    assert steps.done[-1] == "close_media"
    assert call.shown is Shown.REJECT
    assert bench.manager.counters["failed-crypto"] == 1


@pytest.mark.parametrize("error", [RuntimeError("bug"), RelayUnavailableError("gone")])
@pytest.mark.parametrize("step", ["dial", "ring_in", "end_in error", "close_media"])
async def test_any_failing_step_leaves_other_calls_alone(
    bench: Bench, step: str, error: CigError | RuntimeError
) -> None:
    call, steps = bench.call()
    other, other_steps = bench.call()
    steps.fail[step] = error
    await settle(bench.manager)
    for one in (call, other):
        if one.live:
            bench.manager.post(one, Event.RINGING)
    await settle(bench.manager)
    if call.live:
        bench.manager.post(call, Event.ABORT, Ending(Reason.ERROR))
        await settle(bench.manager)
    assert call.machine.state is State.ENDED
    assert "close_media" in steps.done
    assert other.machine.state is State.RING
    assert other_steps.done == ["open", "dial", "ring_in"]


async def test_a_caller_who_leaves_while_the_relay_opens_has_the_media_closed_after(
    bench: Bench,
) -> None:
    call, steps = bench.call()
    steps.gate.clear()
    bench.manager.post(call, Event.IN_ENDED, NORMAL)
    steps.gate.set()
    await settle(bench.manager)
    assert steps.done[-1] == "close_media"
    assert "dial" not in steps.done


async def test_an_unexpected_event_is_counted_and_changes_nothing(bench: Bench) -> None:
    call, _ = bench.call()
    bench.manager.post(call, Event.ANSWERED)
    assert call.machine.state is State.ROUTED
    assert bench.manager.counters["protocol-errors"] == 1
    await settle(bench.manager)


async def test_abort_all_tells_both_sides_of_every_call(bench: Bench) -> None:
    calls = [bench.call() for _ in range(3)]
    await settle(bench.manager)
    bench.manager.abort_all(Ending(Reason.MEDIA, "the media relay failed"))
    await settle(bench.manager)
    for call, steps in calls:
        assert not call.live
        assert {"end_in media", "end_out media", "close_media"} <= set(steps.done)
