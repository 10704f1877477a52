# SPDX-License-Identifier: GPL-3.0-or-later
"""The call machine's table: every pair, and the ways that calls go."""

import itertools

import pytest

from cig_server.call.machine import TABLE, Action, CallMachine, Event, State, UnexpectedEvent

# Pairs that must never happen; everything else must have a row.
IMPOSSIBLE = {
    # Before the relay has opened the call nobody has been called.
    *(
        (State.ROUTED, event)
        for event in (
            Event.TRYING,
            Event.RINGING,
            Event.PROGRESS,
            Event.PROGRESS_READY,
            Event.ANSWERED,
            Event.CONNECTED,
            Event.MEDIA_CHANGED,
            Event.OUT_ENDED,
        )
    ),
    # The relay opens a call once.
    *(
        (state, event)
        for state in (State.TRY, State.RING, State.CONNECT, State.ANSWER)
        for event in (Event.OPENED, Event.OPEN_FAILED)
    ),
    # Nothing was connected yet, and nobody has answered whose media could change.
    *((State.TRY, event) for event in (Event.PROGRESS_READY, Event.CONNECTED, Event.MEDIA_CHANGED)),
    (State.RING, Event.CONNECTED),
    (State.RING, Event.MEDIA_CHANGED),
    # A call is answered once.
    (State.CONNECT, Event.ANSWERED),
    *(
        (State.ANSWER, event)
        for event in (
            Event.TRYING,
            Event.RINGING,
            Event.PROGRESS,
            Event.ANSWERED,
            Event.CONNECTED,
        )
    ),
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_pair_is_either_in_the_table_or_refused_without_effect(
    state: State, event: Event
) -> None:
    machine = CallMachine()
    machine.state = state
    if (state, event) in IMPOSSIBLE:
        with pytest.raises(UnexpectedEvent):
            machine.handle(event)
        assert machine.state is state
    else:
        actions = machine.handle(event)
        assert machine.state is TABLE[state][event][0]
        assert actions == TABLE[state][event][1]


@pytest.mark.parametrize("state", [s for s in State if s is not State.ENDED])
@pytest.mark.parametrize("event", [Event.IN_ENDED, Event.OUT_ENDED, Event.ABORT, Event.OPEN_FAILED])
def test_every_end_closes_the_media_once_and_tells_the_side_that_is_left(
    state: State, event: Event
) -> None:
    if (state, event) in IMPOSSIBLE:
        return
    machine = CallMachine()
    machine.state = state
    actions = machine.handle(event)
    assert machine.state is State.ENDED
    assert actions.count(Action.CLOSE_MEDIA) == 1
    assert actions.count(Action.LOG_HANGUP) == 1
    assert (Action.END_IN in actions) == (event is not Event.IN_ENDED)
    called = state is not State.ROUTED
    assert (Action.END_OUT in actions) == (called and event is not Event.OUT_ENDED)


def test_nothing_but_a_late_opening_stirs_an_ended_call() -> None:
    machine = CallMachine()
    machine.handle(Event.IN_ENDED)
    for event in Event:
        expected = (Action.CLOSE_MEDIA,) if event is Event.OPENED else ()
        assert machine.handle(event) == expected
        assert machine.state is State.ENDED


def test_the_caller_hears_of_an_answer_only_after_it_is_connected() -> None:
    machine = CallMachine()
    seen: list[Action] = []
    for event in (Event.OPENED, Event.TRYING, Event.RINGING, Event.ANSWERED):
        seen += machine.handle(event)
    assert Action.ANSWER_IN not in seen
    assert machine.handle(Event.CONNECTED) == (Action.ANSWER_IN, Action.LOG_TALK)


def test_early_media_is_announced_after_it_is_connected_and_again_when_it_changes() -> None:
    machine = CallMachine()
    machine.handle(Event.OPENED)
    for logged in ((Action.LOG_RINGING,), ()):
        assert machine.handle(Event.PROGRESS) == (*logged, Action.CONNECT_EARLY)
        assert machine.handle(Event.PROGRESS_READY) == (Action.PROGRESS_IN,)
