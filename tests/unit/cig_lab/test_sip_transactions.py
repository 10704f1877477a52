# SPDX-License-Identifier: GPL-3.0-or-later
"""The transaction tables, pair by pair, and their timers by the RFC's figures."""

import itertools

import pytest

from cig_lab.sip_phone.message import Request
from cig_lab.sip_phone.timers import TimerValues
from cig_lab.sip_phone.transaction import (
    FIRST_STATE,
    TABLES,
    TIMERS,
    Action,
    Event,
    Kind,
    State,
    Transaction,
)

TERMINALS = {State.TERMINATED}


def a_transaction(kind: Kind, *, reliable: bool = False) -> Transaction:
    request = Request((), method="INVITE", uri="sip:a@b")
    return Transaction(kind, request, ("h", 1), reliable, TimerValues(), b"message")


def fire_all(transaction: Transaction) -> list[tuple[float, Event]]:
    fired = []
    while (deadline := transaction.deadline()) is not None:
        timer = transaction.due(deadline)
        assert timer is not None
        transaction.feed(timer, deadline)
        fired.append((deadline, timer))
    return fired


@pytest.mark.parametrize(("kind", "state", "event"), list(itertools.product(Kind, State, Event)))
def test_every_pair_is_a_step_or_is_refused(kind: Kind, state: State, event: Event) -> None:
    transaction = a_transaction(kind)
    transaction.state = state
    transaction._arm(0.0)
    step = TABLES[kind].get((state, event))
    if event in TIMERS.get((kind, state), ()):
        assert step is not None, "a timer that runs must have a step"
    actions = transaction.feed(event, 100.0)
    if step is None:
        assert actions is None
        assert transaction.state is state
    else:
        assert actions == step[1]
        assert transaction.state is step[0]


@pytest.mark.parametrize("kind", Kind)
def test_every_state_of_a_table_can_be_reached_and_ends(kind: Kind) -> None:
    table = TABLES[kind]
    reached = {FIRST_STATE[kind]}
    for _ in table:
        reached |= {step[0] for (state, _), step in table.items() if state in reached}
    assert {state for state, _ in table} | TERMINALS == reached


def test_invite_is_repeated_by_timer_a_until_b() -> None:
    transaction = a_transaction(Kind.INVITE_CLIENT)
    transaction.begin(0.0)
    fired = fire_all(transaction)
    assert fired == [
        *((at, Event.A) for at in (0.5, 1.5, 3.5, 7.5, 15.5, 31.5)),
        (32.0, Event.B),
    ]
    assert transaction.state is State.TERMINATED


def test_bye_is_repeated_by_timer_e_up_to_t2_until_f() -> None:
    transaction = a_transaction(Kind.CLIENT)
    transaction.begin(0.0)
    fired = fire_all(transaction)
    assert [at for at, event in fired if event is Event.E] == [
        0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5
    ]  # fmt: skip
    assert fired[-1] == (32.0, Event.F)


def test_timer_e_keeps_running_and_f_is_not_restarted_by_a_provisional() -> None:
    transaction = a_transaction(Kind.CLIENT)
    transaction.begin(0.0)
    transaction.feed(Event.PROVISIONAL, 0.4)
    assert fire_all(transaction)[-1] == (32.0, Event.F)


def test_failure_is_repeated_by_g_until_the_ack() -> None:
    transaction = a_transaction(Kind.INVITE_SERVER)
    transaction.begin(0.0)
    assert transaction.deadline() is None
    assert transaction.feed(Event.FAILURE, 10.0) == (Action.SEND,)
    assert transaction.deadline() == 10.5
    assert transaction.due(10.4) is None
    assert transaction.feed(Event.ACK, 10.6) == ()
    assert fire_all(transaction) == [(15.6, Event.I)]


def test_unacknowledged_2xx_is_repeated_and_times_out() -> None:
    transaction = a_transaction(Kind.INVITE_SERVER)
    transaction.begin(0.0)
    transaction.feed(Event.SUCCESS, 0.0)
    fired = fire_all(transaction)
    assert fired[0] == (0.5, Event.REPEAT_2XX)
    assert fired[-1] == (32.0, Event.L)


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        (Kind.INVITE_CLIENT, Event.FAILURE),
        (Kind.CLIENT, Event.SUCCESS),
        (Kind.SERVER, Event.SUCCESS),
    ],
)
def test_over_tcp_nothing_is_repeated_and_nothing_lingers(kind: Kind, event: Event) -> None:
    transaction = a_transaction(kind, reliable=True)
    transaction.begin(0.0)
    transaction.feed(event, 1.0)
    assert [at for at, _ in fire_all(transaction)] == [1.0]
