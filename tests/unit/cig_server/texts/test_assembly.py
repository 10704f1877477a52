# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts under way: every pair of the table, the limits, and any order of parts."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_server.texts.assembly import (
    MAX_OCTETS,
    MAX_TEXTS,
    STALL_SECONDS,
    TABLE,
    Arrival,
    Input,
    State,
    Step,
    TextsUnderWay,
)
from cig_server.texts.model import TextKey
from umsg.messages import Text
from umsg.texts import MAX_PART

PHONE = "tel:+46701234567"


def text(seq: int, of: int, *, number: int = 0, size: int = 32, from_uri: str = PHONE) -> Text:
    mid = f"{number:016}"
    if seq:
        return Text(mid=mid, seq=seq, of=of, data=bytes(size))
    return Text(
        mid=mid, seq=0, of=of, data=bytes(size), from_uri=from_uri, to_uri="tel:+1", mikey=b"m"
    )


def key(number: int = 0, from_uri: str = PHONE) -> TextKey:
    return TextKey(from_uri, f"{number:016}")


def in_state(state: State) -> tuple[TextsUnderWay, Arrival | None]:
    texts = TextsUnderWay()
    if state is State.ABSENT:
        return texts, None
    taken = texts.take(text(0, 3 if state is State.COMING else 1), 0.0)
    if state is State.COMING:
        texts.take(text(1, 3), 0.0)
    return texts, taken.arrival


def state_of(texts: TextsUnderWay) -> State:
    stalled = texts.take(text(0, 1, number=9, from_uri="tel:+9"), 0.0)  # another one is no matter
    assert stalled.arrival is not None
    texts.end(stalled.arrival)
    if not len(texts):
        return State.ABSENT
    coming = texts.stalled(1e9)
    return State.COMING if coming else State.WHOLE


def happen(texts: TextsUnderWay, arrival: Arrival | None, happened: Input) -> Step:
    match happened:
        case Input.FIRST:
            return texts.take(text(0, 3), 1.0).step
        case Input.ONLY:
            return texts.take(text(0, 1), 1.0).step
        case Input.CRAMPED:
            others = [
                texts.take(text(0, 511, number=100 + i, size=MAX_PART), 1.0).arrival
                for i in range(4)
            ]
            step = texts.take(text(0, 512, size=MAX_PART), 1.0).step
            for other in others:
                if other is not None:
                    texts.end(other)
            return step
        case Input.NEXT:
            return texts.take(text(1, 3) if arrival is None else text(2, 4), 1.0).step
        case Input.LAST:
            return texts.take(text(2, 3), 1.0).step
        case Input.WRONG:
            return texts.take(text(0, 1, size=4), 1.0).step
        case Input.LOST:
            texts.lost()
        case Input.DONE:
            if arrival is not None:
                texts.end(arrival)
    return Step.NOTHING


def test_the_table_is_whole() -> None:
    assert set(TABLE) == set(itertools.product(State, Input))


@pytest.mark.parametrize(("state", "happened"), list(itertools.product(State, Input)))
def test_every_pair_does_what_the_table_says(state: State, happened: Input) -> None:
    if happened is Input.NEXT and state is State.COMING:
        texts = TextsUnderWay()
        arrival = texts.take(text(0, 4), 0.0).arrival
        texts.take(text(1, 4), 0.0)
    else:
        texts, arrival = in_state(state)
    following, step = TABLE[state, happened]
    if state is State.WHOLE and happened in (Input.NEXT, Input.LAST):
        # A part that is not the first does not tell its sender: it is as stray as any.
        step = Step.STRAY
    assert happen(texts, arrival, happened) is step
    assert state_of(texts) is following


def test_a_whole_text_of_another_sender_is_no_obstacle() -> None:
    texts = TextsUnderWay()
    assert texts.take(text(0, 1), 0.0).step is Step.BEGIN
    assert texts.take(text(0, 1), 0.0).step is Step.IGNORE
    assert texts.take(text(0, 1, from_uri="tel:+9"), 0.0).step is Step.BEGIN
    assert len(texts) == 2


def test_texts_that_are_dealt_with_elsewhere_are_ignored() -> None:
    assert TextsUnderWay().take(text(0, 2), 0.0, {key()}).step is Step.IGNORE


def test_a_text_that_begins_anew_ends_what_was_coming() -> None:
    texts = TextsUnderWay()
    first = texts.take(text(0, 3), 0.0).arrival
    again = texts.take(text(0, 2), 0.0)
    assert again.ended is first
    assert again.arrival is not first
    assert len(texts) == 1


@pytest.mark.parametrize("bad", [text(2, 3), text(1, 4), text(2, 4)])
def test_a_part_out_of_turn_ends_its_own_text_alone(bad: Text) -> None:
    texts = TextsUnderWay()
    texts.take(text(0, 3, number=1), 0.0)
    arrival = texts.take(text(0, 3), 0.0).arrival
    taken = texts.take(bad, 0.0)
    assert (taken.step, taken.ended) == (Step.REFUSE, arrival)
    assert texts.take(text(1, 3), 0.0).step is Step.STRAY
    assert texts.take(text(1, 3, number=1), 0.0).step is Step.ADD


def test_so_many_texts_and_no_more() -> None:
    texts = TextsUnderWay()
    first = [texts.take(text(0, 1 + i % 2, number=i), 0.0) for i in range(MAX_TEXTS)]
    assert {taken.step for taken in first} == {Step.BEGIN}
    assert texts.take(text(0, 1, number=99), 0.0).step is Step.NO_ROOM
    assert not texts.roomy
    assert first[0].arrival is not None
    texts.end(first[0].arrival)
    assert texts.take(text(0, 1, number=99), 0.0).step is Step.BEGIN


def test_so_many_octets_and_no_more() -> None:
    texts = TextsUnderWay()
    for i in range(4):
        step = texts.take(text(0, 512, number=i, size=MAX_PART), 0.0).step
        assert step is Step.BEGIN
    assert texts.octets == MAX_OCTETS
    assert texts.take(text(0, 1, number=99), 0.0).step is Step.NO_ROOM
    # One that begins anew gives its own place back first.
    assert texts.take(text(0, 512, number=3, size=MAX_PART), 0.0).step is Step.BEGIN
    texts.lost()
    assert texts.octets == 0
    assert texts.roomy


def test_what_stalls_is_given_up() -> None:
    texts = TextsUnderWay()
    slow = texts.take(text(0, 3), 0.0).arrival
    texts.take(text(0, 3, number=1), 10.0)
    texts.take(text(0, 1, number=2), 0.0)
    assert texts.stalled(STALL_SECONDS) == [slow]
    assert len(texts) == 2


@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.integers(0, 3),
                st.integers(1, 4),
                st.integers(0, 2),
                st.sampled_from([0, 15, 16, 40]),
            ),
            st.sampled_from(["lost", "stalled", "end"]),
        ),
        max_size=40,
    )
)
def test_whatever_comes_the_books_balance(steps: list[tuple[int, int, int, int] | str]) -> None:
    texts, alive = TextsUnderWay(), dict[int, Arrival]()
    for moment, step in enumerate(steps):
        gone: list[Arrival] = []
        if step == "lost":
            gone = texts.lost()
        elif step == "stalled":
            gone = texts.stalled(moment + STALL_SECONDS / 2)
        elif step == "end":
            gone = list(alive.values())[:1]
            for arrival in gone:
                texts.end(arrival)
        elif isinstance(step, tuple) and step[0] < step[1]:
            seq, of, number, size = step
            taken = texts.take(text(seq, of, number=number, size=size), float(moment))
            if taken.arrival is not None:
                alive[id(taken.arrival)] = taken.arrival
            if taken.ended is not None:
                gone = [taken.ended]
        for arrival in gone:
            del alive[id(arrival)]
        assert len(texts) == len(alive)
        assert texts.octets == sum(arrival.reserved for arrival in alive.values())
        assert all(a.assembler.length <= a.reserved for a in alive.values())
