# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of one text to the CRS, as a table: what happens to it, and what is to be done then.

The rules:

- SENDING: its parts are being sent. AWAITING: all parts were sent, ``stored`` has not come.
  STORED: the CRS has it, for good. WAITING: it rests until its time has come. FAILED: it was given
  up, for good.
- ``stored`` ends it in every state, since it may be about an earlier attempt; so does a receipt,
  which nobody could give for a text that is not stored.
- A refusal that another attempt would meet again (`PERMANENT`) is the text's own fault. Any other
  error, and no answer within `ANSWER_SECONDS`, is the network's: it rests for `backoff` and is sent
  again, the same octets from part 0, until it is older than it may be.
- A connection that is lost costs no rest: it is sent again over the next one.
- A pair of state and input that the table lacks is a fault of ours: it is counted, and changes
  nothing.

Age counts from when the message arrived. Without a connection no attempt can fail, so a text that
is too old is also given up when there was none for `DOWN_SECONDS` of our own running: a gateway
that was off for days tries everything once.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from umsg.errors import ErrorCode

ANSWER_SECONDS = 60.0
"""From the last part to ``stored``."""
FIRST_REST, LONGEST_REST = 10.0, 900.0
DOWN_SECONDS = 600.0
PERMANENT: Final = frozenset(
    {
        ErrorCode.PROTOCOL,
        ErrorCode.NOT_FOUND,
        ErrorCode.FORBIDDEN,
        ErrorCode.TOO_LARGE,
        ErrorCode.UNSUPPORTED,
    }
)
"""Errors of the CRS that are a text's own fault."""


class State(Enum):
    """Where a text is."""

    SENDING = "its parts are being sent"
    AWAITING = "all parts are sent"
    WAITING = "it rests"
    STORED = "the CRS has it"
    FAILED = "given up"


class Input(Enum):
    """What can happen to it."""

    SENT = "the last part was sent"
    STORED = "the CRS says stored, or its recipient receipts it"
    REFUSED = "the CRS refuses it for good"
    TROUBLED = "the CRS has an error that may pass"
    SILENT = "no answer came in time"
    LOST = "the connection is gone"
    DUE = "its rest is over, and there is a connection"
    TOO_OLD = "it is older than it may be"


class Action(Enum):
    """What is done then."""

    NOTHING = "nothing"
    SEND = "send all parts"
    AWAIT = "wait for the answer"
    FINISH = "take it off the outbox, remove its message"
    REST = "rest, then send again"
    RELEASE = "let it go until there is a connection"
    GIVE_UP = "put its message aside, tell the sender"


Table = Mapping[tuple[State, Input], tuple[State, Action]]

_S, _I, _A = State, Input, Action

TABLE: Final[Table] = {
    (_S.SENDING, _I.SENT): (_S.AWAITING, _A.AWAIT),
    (_S.SENDING, _I.STORED): (_S.STORED, _A.FINISH),
    (_S.SENDING, _I.REFUSED): (_S.FAILED, _A.GIVE_UP),
    (_S.SENDING, _I.TROUBLED): (_S.WAITING, _A.REST),
    (_S.SENDING, _I.LOST): (_S.WAITING, _A.RELEASE),
    (_S.AWAITING, _I.STORED): (_S.STORED, _A.FINISH),
    (_S.AWAITING, _I.REFUSED): (_S.FAILED, _A.GIVE_UP),
    (_S.AWAITING, _I.TROUBLED): (_S.WAITING, _A.REST),
    (_S.AWAITING, _I.SILENT): (_S.WAITING, _A.REST),
    (_S.AWAITING, _I.LOST): (_S.WAITING, _A.RELEASE),
    (_S.WAITING, _I.STORED): (_S.STORED, _A.FINISH),
    (_S.WAITING, _I.REFUSED): (_S.FAILED, _A.GIVE_UP),
    (_S.WAITING, _I.TROUBLED): (_S.WAITING, _A.NOTHING),
    (_S.WAITING, _I.LOST): (_S.WAITING, _A.NOTHING),
    (_S.WAITING, _I.DUE): (_S.SENDING, _A.SEND),
    (_S.WAITING, _I.TOO_OLD): (_S.FAILED, _A.GIVE_UP),
    **{
        (state, input_): (state, _A.NOTHING)
        for state in (_S.STORED, _S.FAILED)
        for input_ in (_I.SENT, _I.STORED, _I.REFUSED, _I.TROUBLED, _I.SILENT, _I.LOST)
    },
}


class OutgoingText:
    """One text's place in the table. ``violations`` counts pairs that the table lacks."""

    def __init__(self) -> None:
        self.state = State.WAITING
        self.violations = 0

    def receive(self, what: Input) -> Action:
        """Move on; gives what is to be done."""
        found = TABLE.get((self.state, what))
        if found is None:
            self.violations += 1
            return Action.NOTHING
        self.state, action = found
        return action


def backoff(attempts: int) -> float:
    """Give the rest after so many failed attempts (1 or more), in seconds."""
    return float(min(FIRST_REST * 2 ** min(attempts - 1, 20), LONGEST_REST))


def of_error(code: ErrorCode) -> Input:
    """Give what an error of the CRS about a text is to it."""
    return Input.REFUSED if code in PERMANENT else Input.TROUBLED


def too_old(*, since: float, now: float, limit: float, failed: bool, down: float) -> bool:
    """Tell whether a text that arrived at ``since`` is to be given up (all in seconds).

    ``failed``: an attempt has just failed; ``down``: for how long there has been no connection.
    """
    return now - since > limit and (failed or down >= DOWN_SECONDS)
