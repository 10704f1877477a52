# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts that are coming from the CRS, part by part: a core without I/O.

The rules:

1. Only part 0 names the sender, so the parts that follow are told apart by their ``mid``. A part 0
   begins a text, or begins anew the one that is coming under its ``mid``.
2. A part that does not follow the one before ends its own text and no other. What comes of that
   text afterwards, and any other part of a text that is not coming, is stray and left.
3. A text that is whole stays under way until it has been dealt with; a text of the same key that
   comes meanwhile is ignored, since the first one will be receipted, or postponed.
4. At most `MAX_TEXTS` texts and `MAX_OCTETS` octets are under way at once. A part 0 reserves what
   its text can come to: as many octets as it has itself for every part. One that finds no room is
   left with the CRS.
5. What came by a connection that is lost, and what no part has come of for `STALL_SECONDS`, is
   given up unless it is whole.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto

from cig_server.texts.model import TextKey
from umsg.messages import Text
from umsg.texts import MAX_SEALED, Assembler, PartError

MAX_TEXTS = 64
"""Texts that may be under way at once."""
MAX_OCTETS = 64 << 20
"""Octets of sealed content that the texts under way may come to."""
STALL_SECONDS = 60.0
"""How long the next part of a text may take."""


class State(Enum):
    """What is known of the text that a part belongs to."""

    ABSENT = auto()
    COMING = auto()
    WHOLE = auto()


class Input(Enum):
    """What can happen to a text."""

    FIRST = auto()
    """A part 0, and more parts to follow."""
    ONLY = auto()
    """A part 0 of 1."""
    CRAMPED = auto()
    """A part 0 for which there is no room."""
    NEXT = auto()
    """The part that is due, and more to follow."""
    LAST = auto()
    """The part that is due, and the last one."""
    WRONG = auto()
    """A part that follows nothing, or is none in itself."""
    LOST = auto()
    """The connection is gone, or the text has stalled."""
    DONE = auto()
    """It has been dealt with, or cannot be."""


class Step(Enum):
    """What is to be done about a part."""

    BEGIN = auto()
    """Keep its data as the first ones of a new text."""
    ADD = auto()
    """Keep its data."""
    IGNORE = auto()
    """Leave it: its text is being dealt with."""
    STRAY = auto()
    """Leave it: no such text is coming."""
    REFUSE = auto()
    """Leave it: it is out of turn. Its text is over."""
    NO_ROOM = auto()
    """Leave it with the CRS, and ask for it later. What was coming of it is over."""
    NOTHING = auto()


TABLE: dict[tuple[State, Input], tuple[State, Step]] = {
    (State.ABSENT, Input.FIRST): (State.COMING, Step.BEGIN),
    (State.ABSENT, Input.ONLY): (State.WHOLE, Step.BEGIN),
    (State.ABSENT, Input.CRAMPED): (State.ABSENT, Step.NO_ROOM),
    (State.ABSENT, Input.NEXT): (State.ABSENT, Step.STRAY),
    (State.ABSENT, Input.LAST): (State.ABSENT, Step.STRAY),
    (State.ABSENT, Input.WRONG): (State.ABSENT, Step.REFUSE),
    (State.ABSENT, Input.LOST): (State.ABSENT, Step.NOTHING),
    (State.ABSENT, Input.DONE): (State.ABSENT, Step.NOTHING),
    (State.COMING, Input.FIRST): (State.COMING, Step.BEGIN),
    (State.COMING, Input.ONLY): (State.WHOLE, Step.BEGIN),
    (State.COMING, Input.CRAMPED): (State.ABSENT, Step.NO_ROOM),
    (State.COMING, Input.NEXT): (State.COMING, Step.ADD),
    (State.COMING, Input.LAST): (State.WHOLE, Step.ADD),
    (State.COMING, Input.WRONG): (State.ABSENT, Step.REFUSE),
    (State.COMING, Input.LOST): (State.ABSENT, Step.NOTHING),
    (State.COMING, Input.DONE): (State.ABSENT, Step.NOTHING),
    (State.WHOLE, Input.FIRST): (State.WHOLE, Step.IGNORE),
    (State.WHOLE, Input.ONLY): (State.WHOLE, Step.IGNORE),
    (State.WHOLE, Input.CRAMPED): (State.WHOLE, Step.IGNORE),
    (State.WHOLE, Input.NEXT): (State.WHOLE, Step.IGNORE),
    (State.WHOLE, Input.LAST): (State.WHOLE, Step.IGNORE),
    (State.WHOLE, Input.WRONG): (State.WHOLE, Step.IGNORE),
    (State.WHOLE, Input.LOST): (State.WHOLE, Step.NOTHING),
    (State.WHOLE, Input.DONE): (State.ABSENT, Step.NOTHING),
}
"""The state that follows, and what is to be done, for each pair."""


@dataclass(eq=False, slots=True)
class Arrival:
    """A text under way. ``reserved`` octets are set aside for it; times are monotonic seconds."""

    key: TextKey
    assembler: Assembler
    reserved: int
    last_at: float
    state: State = State.ABSENT


@dataclass(frozen=True, slots=True)
class Taken:
    """What a part led to: ``arrival`` is the text to keep its data for, ``ended`` the one that is
    over by it, both None where there is none.
    """

    step: Step
    arrival: Arrival | None = None
    ended: Arrival | None = None


class TextsUnderWay:
    """All texts of which parts have come and that have not been dealt with."""

    def __init__(self) -> None:
        self._coming: dict[str, Arrival] = {}
        self._whole: dict[TextKey, Arrival] = {}
        self._reserved = 0

    def __len__(self) -> int:
        return len(self._coming) + len(self._whole)

    @property
    def octets(self) -> int:
        """Octets that are set aside for all of them."""
        return self._reserved

    @property
    def roomy(self) -> bool:
        """Whether a text of any size finds room."""
        return len(self) < MAX_TEXTS and self._reserved + MAX_SEALED <= MAX_OCTETS

    def take(self, part: Text, now: float, elsewhere: Collection[TextKey] = ()) -> Taken:
        """Take a part; texts of the keys ``elsewhere`` count as whole. Changes no file."""
        held = self._coming.get(part.mid)
        begun: Arrival | None = None
        if part.seq == 0:
            key = TextKey(part.from_uri or "", part.mid)
            if key in self._whole or key in elsewhere:
                state = State.WHOLE
            else:
                state = State.ABSENT if held is None else State.COMING
            happened, begun = self._first(key, part, now, held)
        else:
            state = State.ABSENT if held is None else State.COMING
            happened = _following(held, part, now)
        following, step = TABLE[state, happened]
        if step is Step.BEGIN and begun is not None:
            self._drop(held)
            self._put(begun, following)
            return Taken(step, begun, held)
        if step is Step.ADD and held is not None:
            self._put(held, following)
            return Taken(step, held)
        if state is State.COMING and following is State.ABSENT:
            self._drop(held)
            return Taken(step, None, held)
        return Taken(step)

    def end(self, arrival: Arrival) -> None:
        """Forget a text that has been dealt with, or cannot be; one that is over is left alone."""
        self._finish(arrival, Input.DONE)

    def lost(self) -> list[Arrival]:
        """Give up what was coming by a connection that is gone; returns it."""
        return self._give_up(list(self._coming.values()))

    def stalled(self, now: float) -> list[Arrival]:
        """Give up what no part has come of for too long; returns it."""
        old = [a for a in self._coming.values() if now - a.last_at >= STALL_SECONDS]
        return self._give_up(old)

    def _first(
        self, key: TextKey, part: Text, now: float, held: Arrival | None
    ) -> tuple[Input, Arrival | None]:
        try:
            assembler = Assembler(part)
        except PartError:
            return Input.WRONG, None
        reserved = min(part.of * len(part.data), MAX_SEALED)
        given_back = held.reserved if held is not None else 0
        if (
            len(self) - (held is not None) >= MAX_TEXTS
            or self._reserved - given_back + reserved > MAX_OCTETS
        ):
            return Input.CRAMPED, None
        begun = Arrival(key, assembler, reserved, now)
        return Input.ONLY if assembler.complete else Input.FIRST, begun

    def _put(self, arrival: Arrival, state: State) -> None:
        self._drop(arrival)
        arrival.state = state
        self._reserved += arrival.reserved
        if state is State.COMING:
            self._coming[arrival.key.mid] = arrival
        else:
            self._whole[arrival.key] = arrival

    def _finish(self, arrival: Arrival, happened: Input) -> None:
        following, _ = TABLE[arrival.state, happened]
        if following is State.ABSENT:
            self._drop(arrival)

    def _drop(self, arrival: Arrival | None) -> None:
        if arrival is None or arrival.state is State.ABSENT:
            return
        if arrival.state is State.COMING:
            del self._coming[arrival.key.mid]
        else:
            del self._whole[arrival.key]
        arrival.state = State.ABSENT
        self._reserved -= arrival.reserved

    def _give_up(self, arrivals: list[Arrival]) -> list[Arrival]:
        for arrival in arrivals:
            self._finish(arrival, Input.LOST)
        return arrivals


def _following(held: Arrival | None, part: Text, now: float) -> Input:
    """Add a part that is not the first to the text that is coming, and say what it was to it."""
    if held is None:
        return Input.NEXT
    try:
        held.assembler.add(part)
    except PartError:
        return Input.WRONG
    held.last_at = now
    return Input.LAST if held.assembler.complete else Input.NEXT
