# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call machine tells its program."""

from dataclasses import dataclass
from enum import Enum

from umsg.call_table import CallInput, CallState
from umsg.messages import Leg
from umsg.reasons import Reason


class EndedBy(Enum):
    """Who or what ended a call."""

    US = "us"
    PEER = "peer"
    TIMER = "timer"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class CallTried:
    """Caller: the callee was found; this is our leg at the server."""

    leg: Leg


@dataclass(frozen=True, slots=True)
class CallGrowled:
    """Caller: the callee is alerted. With a codec it opens early media, if `mac` is right."""

    codec: str | None
    dtmf: int | None
    mac: bytes | None


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """Caller: the callee says that it answered. Check `mac`, then `proved` or `hang_up`."""

    codec: str
    dtmf: int | None
    mac: bytes


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call is over; a `hangup` has been queued where the peer does not know it yet."""

    reason: Reason
    text: str | None
    by: EndedBy


@dataclass(frozen=True, slots=True)
class CallViolation:
    """An input that the table lacks for this state, or a second message that differs."""

    state: CallState
    input: CallInput


CallEvent = CallTried | CallGrowled | CallAnswered | CallEnded | CallViolation
