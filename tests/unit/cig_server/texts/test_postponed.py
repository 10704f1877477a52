# SPDX-License-Identifier: GPL-3.0-or-later
"""When the CRS is asked again for what was left with it."""

import pytest

from cig_common.errors import (
    CigError,
    ControlError,
    CryptoError,
    NoKeysForPeerError,
    OverloadError,
    RelayUnavailableError,
)
from cig_server.texts.model import StorageError
from cig_server.texts.postponed import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    PATIENCE,
    Cause,
    Postponed,
    cause_of,
)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (RelayUnavailableError(""), Cause.RELAY),
        (NoKeysForPeerError(""), Cause.KEYS),
        (StorageError("/x", "full"), Cause.STORAGE),
        (OverloadError(""), Cause.ROOM),
        (ControlError(""), Cause.OTHER),
        (CryptoError(""), Cause.OTHER),
    ],
)
def test_errors_stand_for_causes(error: CigError, cause: Cause) -> None:
    assert cause_of(error) is cause


def test_a_cause_is_new_once_and_told_in_words() -> None:
    postponed = Postponed()
    assert postponed.trouble == ""
    assert postponed.note(Cause.RELAY, "the relay is away", 0.0)
    assert not postponed.note(Cause.RELAY, "the relay is still away", 1.0)
    assert postponed.note(Cause.STORAGE, "the disk is full", 1.0)
    assert postponed.texts == 3
    assert "the relay is still away; the disk is full" in postponed.trouble
    postponed.welcomed()
    assert (postponed.texts, postponed.trouble) == (0, "")


def test_a_cause_is_due_after_its_pause_and_once() -> None:
    postponed = Postponed()
    postponed.note(Cause.RELAY, "", 0.0)
    assert postponed.due(FIRST_PAUSE - 0.1) == []
    assert postponed.due(FIRST_PAUSE) == [Cause.RELAY]
    assert postponed.patient([Cause.RELAY], FIRST_PAUSE)
    assert not postponed.patient([Cause.RELAY], FIRST_PAUSE + PATIENCE)
    postponed.asked([Cause.RELAY], FIRST_PAUSE)
    assert postponed.due(FIRST_PAUSE + 1) == []


def pauses(postponed: Postponed, cause: Cause, count: int, *, between: float = 0.0) -> list[float]:
    """The pauses of a cause that is back after each asking."""
    now, found = 0.0, []
    for _ in range(count):
        postponed.note(cause, "", now)
        pause = 1.0
        while not postponed.due(now + pause):
            pause += 1.0
        found.append(pause)
        now += pause
        postponed.asked([cause], now)
        postponed.welcomed()
        now += between
    return found


def test_a_cause_that_is_back_waits_longer_and_longer() -> None:
    found = pauses(Postponed(), Cause.OTHER, 9)
    assert found == [10, 20, 40, 80, 160, 320, 640, LONGEST_PAUSE, LONGEST_PAUSE]


def test_one_that_is_back_much_later_begins_anew() -> None:
    assert pauses(Postponed(), Cause.OTHER, 3, between=2000.0) == [10, 10, 10]


def test_a_lack_of_room_does_not_slow_down_what_makes_progress() -> None:
    postponed = Postponed()
    for now in (0.0, 10.0, 20.0):
        postponed.note(Cause.ROOM, "", now)
        assert postponed.due(now + FIRST_PAUSE) == [Cause.ROOM]
        postponed.asked([Cause.ROOM], now + FIRST_PAUSE)
        postponed.welcomed()
        postponed.receipted()
    assert pauses(postponed, Cause.ROOM, 2)[1] > FIRST_PAUSE
