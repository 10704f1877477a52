# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of one text to the CRS, as a table."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_server.texts.outbox import (
    DOWN_SECONDS,
    FIRST_REST,
    LONGEST_REST,
    PERMANENT,
    TABLE,
    Action,
    Input,
    OutgoingText,
    State,
    backoff,
    of_error,
    too_old,
)
from umsg.errors import ErrorCode

_FINAL = {State.STORED, State.FAILED}
_ENDS = {Action.FINISH: State.STORED, Action.GIVE_UP: State.FAILED}


@pytest.mark.parametrize(("state", "what"), list(itertools.product(State, Input)))
def test_every_pair_leads_somewhere_or_is_counted(state: State, what: Input) -> None:
    text = OutgoingText()
    text.state = state
    action = text.receive(what)
    if (state, what) not in TABLE:
        assert (text.state, action, text.violations) == (state, Action.NOTHING, 1)
        return
    assert text.violations == 0
    assert (text.state, action) == TABLE[state, what]
    if state in _FINAL:
        assert (text.state, action) == (state, Action.NOTHING)
    if action in _ENDS:
        assert text.state is _ENDS[action]
    assert (text.state in _FINAL) == (state in _FINAL or action in _ENDS)


@pytest.mark.parametrize("state", [State.SENDING, State.AWAITING, State.WAITING])
def test_stored_ends_it_whenever_it_comes(state: State) -> None:
    assert TABLE[state, Input.STORED] == (State.STORED, Action.FINISH)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("what", [Input.STORED, Input.REFUSED, Input.TROUBLED, Input.LOST])
def test_what_comes_from_outside_is_foreseen_everywhere(state: State, what: Input) -> None:
    assert (state, what) in TABLE


@given(st.lists(st.sampled_from(Input)))
def test_nothing_ends_twice(inputs: list[Input]) -> None:
    text = OutgoingText()
    ends = [action for what in inputs if (action := text.receive(what)) in _ENDS]
    assert len(ends) <= 1
    assert bool(ends) == (text.state in _FINAL)


def test_the_usual_way() -> None:
    text = OutgoingText()
    inputs = (Input.DUE, Input.SENT, Input.SILENT, Input.DUE, Input.SENT, Input.STORED)
    actions = [text.receive(what) for what in inputs]
    assert actions == [
        *(Action.SEND, Action.AWAIT, Action.REST),
        *(Action.SEND, Action.AWAIT, Action.FINISH),
    ]


@pytest.mark.parametrize("code", ErrorCode)
def test_each_error_is_the_texts_own_fault_or_the_networks(code: ErrorCode) -> None:
    expected = Input.REFUSED if code in PERMANENT else Input.TROUBLED
    assert of_error(code) is expected


def test_rests_double_up_to_the_longest() -> None:
    rests = [backoff(attempts) for attempts in range(1, 9)]
    assert rests == [10, 20, 40, 80, 160, 320, 640, 900]
    assert (rests[0], backoff(10**6)) == (FIRST_REST, LONGEST_REST)


@pytest.mark.parametrize(
    ("age", "failed", "down", "given_up"),
    [
        (100, True, 0, False),
        (101, True, 0, True),
        (101, False, 0, False),
        (101, False, DOWN_SECONDS - 1, False),
        (101, False, DOWN_SECONDS, True),
        (100, False, DOWN_SECONDS, False),
    ],
)
def test_only_an_attempt_or_a_long_silence_makes_it_too_old(
    age: float, failed: bool, down: float, given_up: bool
) -> None:
    told = too_old(since=1000, now=1000 + age, limit=100, failed=failed, down=down)
    assert told is given_up
