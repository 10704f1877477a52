# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets the next free engine, and who is refused."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.errors import OverloadError
from cig_relay.engines.errors import EngineError
from cig_relay.engines.turns import Turns


@dataclass(eq=False)
class Thing:
    usable: bool = True


async def _settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_what_is_free_is_taken_at_once_and_in_turn() -> None:
    turns = Turns[Thing](0)
    first, second = Thing(), Thing()
    turns.put(first)
    turns.put(second)
    assert await turns.take() is first
    assert await turns.take() is second


async def test_what_has_become_useless_is_not_given() -> None:
    turns = Turns[Thing](1)
    broken, good = Thing(), Thing()
    turns.put(broken)
    turns.put(good)
    broken.usable = False
    assert turns.take_idle() == [good]
    turns.put(broken)
    turns.put(good)
    assert await turns.take() is good


async def test_first_come_first_served_and_the_urgent_before() -> None:
    turns = Turns[Thing](3)
    order: list[str] = []

    async def take(name: str, urgent: bool) -> None:
        await turns.take(urgent=urgent)
        order.append(name)

    tasks = []
    for name, urgent in (("a", False), ("b", False), ("C", True), ("d", False), ("E", True)):
        tasks.append(asyncio.create_task(take(name, urgent)))
        await asyncio.sleep(0)
    for _ in tasks:
        turns.put(Thing())
        await _settle()
    assert order == ["C", "E", "a", "b", "d"]
    assert not turns.take_idle()


async def test_one_too_many_is_refused_at_once_and_counted() -> None:
    turns = Turns[Thing](2)
    waiting = [asyncio.create_task(turns.take()) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadError, match="2 operations wait"):
        await turns.take()
    urgent = asyncio.create_task(turns.take(urgent=True))
    await asyncio.sleep(0)
    assert turns.refused == 1
    for _ in range(3):
        turns.put(Thing())
    assert len(await asyncio.gather(urgent, *waiting)) == 3


async def test_who_gives_up_leaves_the_place_to_another() -> None:
    turns = Turns[Thing](1)
    first = asyncio.create_task(turns.take())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    second = asyncio.create_task(turns.take())
    await asyncio.sleep(0)
    thing = Thing()
    turns.put(thing)
    assert await second is thing
    assert turns.refused == 0


async def test_what_was_given_to_somebody_who_gave_up_goes_to_the_next() -> None:
    turns = Turns[Thing](2)
    first, second = (asyncio.create_task(turns.take()) for _ in range(2))
    await asyncio.sleep(0)
    thing = Thing()
    turns.put(thing)
    first.cancel()
    assert await second is thing
    assert first.cancelled()


async def test_who_waits_when_it_is_closed_is_told() -> None:
    turns = Turns[Thing](2)
    waiting = [asyncio.create_task(turns.take(urgent=urgent)) for urgent in (False, True)]
    await asyncio.sleep(0)
    turns.close()
    for task in waiting:
        with pytest.raises(EngineError, match="stopped"):
            await task
    turns.put(Thing())
    with pytest.raises(EngineError, match="stopped"):
        await turns.take()


STEPS = st.lists(st.sampled_from(["take", "urgent", "put", "cancel first", "cancel last"]))


@given(most=st.integers(0, 3), steps=STEPS)
def test_nothing_is_lost_given_twice_or_out_of_turn(most: int, steps: list[str]) -> None:
    asyncio.run(_against_a_model(most, steps))


async def _against_a_model(most: int, steps: list[str]) -> None:
    turns = Turns[Thing](most)
    idle: deque[Thing] = deque()
    plain: list[asyncio.Task[Thing]] = []
    urgent: list[asyncio.Task[Thing]] = []
    expected: dict[asyncio.Task[Thing], Thing | None] = {}
    for step in steps:
        if step in ("take", "urgent"):
            task = asyncio.create_task(turns.take(urgent=step == "urgent"))
            if idle:
                expected[task] = idle.popleft()
            elif step == "urgent":
                urgent.append(task)
            elif len(plain) < most:
                plain.append(task)
            else:
                expected[task] = None
        elif step == "put":
            thing = Thing()
            turns.put(thing)
            queue = urgent or plain
            if queue:
                expected[queue.pop(0)] = thing
            else:
                idle.append(thing)
        elif queue := plain or urgent:
            queue.pop(0 if step == "cancel first" else -1).cancel()
        await _settle()
    for task, given_thing in expected.items():
        assert task.done()
        if given_thing is None:
            assert isinstance(task.exception(), OverloadError)
        else:
            assert task.result() is given_thing
    assert all(not task.done() for task in plain + urgent)
    assert turns.take_idle() == list(idle)
    turns.close()
    await asyncio.gather(*plain, *urgent, return_exceptions=True)
