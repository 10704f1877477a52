# SPDX-License-Identifier: GPL-3.0-or-later
"""One attempt to bring a text to the CRS."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from cig_server.texts import flight
from cig_server.texts.flight import Flight
from cig_server.texts.model import Origin
from cig_server.texts.outbox import Action, Input, OutgoingText, State
from cig_server.texts.outbox_store import Row, RowState
from umsg.messages import Text
from umsg.texts import MAX_PART

PIECES = [b"a" * MAX_PART, b"b" * MAX_PART, b"c"]


def row(pieces: list[bytes]) -> Row:
    return Row(
        *("mid0123456789abc", RowState.SEALED, Origin.SIP, "tel:+8888", "tel:+46701234567"),
        written=0,
        automatic=False,
        since=0,
        due=0,
        mikey=bytes(300),
        length=len(b"".join(pieces)),
    )


class Link:
    """Takes parts; `before` is called with the number of each, and says whether the way is open."""

    def __init__(self) -> None:
        self.connected = True
        self.parts: list[Text] = []
        self.before: Callable[[int], object] = lambda number: True

    async def send_part(self, part: Text) -> bool:
        await asyncio.sleep(0)
        if self.before(part.seq) is False:
            return False
        self.parts.append(part)
        return True


class Attempt:
    def __init__(self, pieces: list[bytes] | None = None) -> None:
        self.link = Link()
        self.machine = OutgoingText()
        self.pieces = pieces or PIECES
        self.flight = Flight(row(self.pieces), self.link, self.machine)

    async def fly(self, pieces: Iterator[bytes] | None = None) -> Action:
        async with asyncio.timeout(10):
            return await self.flight.fly(iter(self.pieces) if pieces is None else pieces)

    def heard_after_the_last(self, what: Input, text: str = "") -> None:
        last = len(self.pieces) - 1
        self.link.before = lambda seq: seq != last or self.flight.hear(what, text)  # type: ignore[func-returns-value]

    def heard_after_the_first(self, what: Input, text: str = "") -> None:
        self.link.before = lambda seq: seq != 0 or self.flight.hear(what, text)  # type: ignore[func-returns-value]


async def test_all_parts_go_in_order_and_then_it_waits() -> None:
    attempt = Attempt()
    attempt.heard_after_the_last(Input.STORED)
    assert await attempt.fly() is Action.FINISH
    parts = attempt.link.parts
    assert [(part.seq, part.of, part.data) for part in parts] == [
        (seq, 3, piece) for seq, piece in enumerate(PIECES)
    ]
    assert [part.mikey for part in parts] == [bytes(300), None, None]
    assert attempt.flight.error == ""


@pytest.mark.parametrize(
    ("what", "action"),
    [
        (Input.STORED, Action.FINISH),
        (Input.REFUSED, Action.GIVE_UP),
        (Input.TROUBLED, Action.REST),
        (Input.LOST, Action.RELEASE),
    ],
)
async def test_what_is_heard_counts_at_any_time(what: Input, action: Action) -> None:
    early, late = Attempt(), Attempt()
    early.heard_after_the_first(what, "why")
    late.heard_after_the_last(what, "why")
    for attempt, sent in ((early, 1), (late, 3)):
        assert await attempt.fly() is action
        assert len(attempt.link.parts) == sent
        assert attempt.flight.error == "why"
        assert attempt.machine.violations == 0


async def test_a_way_that_is_closed_releases_it() -> None:
    attempt = Attempt()
    attempt.link.before = lambda seq: seq < 1
    assert await attempt.fly() is Action.RELEASE
    assert attempt.machine.state is State.WAITING
    assert "connection" in attempt.flight.error


async def test_silence_has_it_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flight, "ANSWER_SECONDS", 0.01)
    attempt = Attempt()
    assert await attempt.fly() is Action.REST
    assert attempt.flight.error == "the CRS did not answer in 0.01 s"


@pytest.mark.parametrize(
    "pieces", [[], PIECES[:1], PIECES[:2], [*PIECES[:2], b""], [*PIECES[:2], b"cc"], [b"a"]]
)
async def test_a_content_that_is_not_what_was_sealed_is_not_sent_whole(
    pieces: list[bytes],
) -> None:
    attempt = Attempt()
    assert await attempt.fly(iter(pieces)) is Action.GIVE_UP
    assert attempt.flight.error == "its sealed content is damaged"
    assert len(attempt.link.parts) < 3


async def test_what_comes_after_the_end_changes_nothing() -> None:
    attempt = Attempt()
    attempt.heard_after_the_last(Input.STORED)
    assert await attempt.fly() is Action.FINISH
    attempt.flight.hear(Input.REFUSED, "why")
    assert await attempt.fly() is Action.NOTHING
    assert len(attempt.link.parts) == 3
