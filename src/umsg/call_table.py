# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of a call: for each role, what every input does in every state.

The rules:
- CREATE: nothing was sent. BANG: the `bang` was sent (caller) or received (callee).
  GROWL: the callee is alerted. TALK: the callee answered. HANGUP: over, for good.
- `talk` takes the caller to TALK only after its `mac` was checked elsewhere: CallAnswered
  asks for that, `proved` or `hang_up(crypto)` answers. `growl` proves nothing and
  therefore moves to GROWL at once; its `mac` is checked before early media is opened.
- A `talk` or `growl` with a codec but no `mac` ends the call with `crypto`; one with a
  codec that was not offered ends it with `error`.
- `hangup` ends a call in every state and is not answered. After the end everything that
  was still on its way is ignored.
- A message that equals the one that was received before is a duplicate (both ends send
  their last message again after a resumed connection) and is ignored.
- Timers: caller, no `try` 10 s after `bang`, or neither `growl` nor `talk` 40 s after
  `try`: `unreachable`; no `talk` 120 s after the first `growl`: `no-answer`. The callee
  keeps the last two for itself, from the `bang` on, so that no call waits for ever on a
  caller that is gone.
- A pair of state and input that a role's table lacks is a violation: counted, reported by
  CallViolation, without effect on the call.

"""

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Final

TRY_TIMEOUT = 10.0
"""Seconds from `bang` to `try`."""
ALERT_TIMEOUT = 40.0
"""Seconds from `try` (callee: from `bang`) to `growl` or `talk`."""
ANSWER_TIMEOUT = 120.0
"""Seconds from the first `growl` to `talk`."""


class CallState(StrEnum):
    """The states that `show umsg` prints."""

    CREATE = "CREATE"
    BANG = "BANG"
    GROWL = "GROWL"
    TALK = "TALK"
    HANGUP = "HANGUP"


class CallRole(Enum):
    """Which end of the call this is."""

    CALLER = "caller"
    CALLEE = "callee"


class CallInput(Enum):
    """What can happen to a call: messages in, wishes of the program, time, the link."""

    BANG_IN = "bang received"
    TRY_IN = "try received"
    GROWL_IN = "growl received"
    TALK_IN = "talk received"
    HANGUP_IN = "hangup received"
    BANG_OUT = "bang wanted"
    GROWL_OUT = "growl wanted"
    TALK_OUT = "talk wanted"
    HANGUP_OUT = "hangup wanted"
    PROVED = "mac of talk is right"
    REFUSED = "error received"
    DROPPED = "call is lost at the server"
    TIMEOUT = "timer"


class Action(Enum):
    """What is done on the way to the next state; `call.py` says how."""

    IGNORE = "nothing"
    DUPLICATE = "check that it equals what was received before"
    START = "send bang, wait for try"
    BEGIN = "note the bang and our leg, wait for growl or talk"
    TRIED = "note our leg, wait for growl or talk"
    GROWLED = "report the alert or early media, wait for talk"
    ANSWERED = "ask for the mac to be checked"
    CONFIRM = "stop waiting: the answer is proved"
    ALERT = "send growl, wait for our talk"
    ACCEPT = "send talk"
    WE_END = "send hangup, report the end"
    PEER_ENDS = "report the end"
    SERVER_ENDS = "report the end, send nothing"
    TIME_OUT = "send hangup with the timer's reason, report the end"


Table = Mapping[tuple[CallState, CallInput], tuple[CallState, Action]]

_S = CallState
_I = CallInput
_A = Action

_ENDS: Table = {
    (state, input_): (_S.HANGUP, action)
    for state in (_S.CREATE, _S.BANG, _S.GROWL, _S.TALK)
    for input_, action in (
        (_I.HANGUP_OUT, _A.WE_END),
        (_I.REFUSED, _A.SERVER_ENDS),
        (_I.DROPPED, _A.SERVER_ENDS),
    )
}
_AFTER_THE_END: Table = {
    (_S.HANGUP, input_): (_S.HANGUP, _A.IGNORE)
    for input_ in (_I.HANGUP_IN, _I.HANGUP_OUT, _I.REFUSED, _I.DROPPED)
}
_BOTH: Table = {
    **_ENDS,
    **_AFTER_THE_END,
    (_S.BANG, _I.HANGUP_IN): (_S.HANGUP, _A.PEER_ENDS),
    (_S.GROWL, _I.HANGUP_IN): (_S.HANGUP, _A.PEER_ENDS),
    (_S.TALK, _I.HANGUP_IN): (_S.HANGUP, _A.PEER_ENDS),
    (_S.BANG, _I.TIMEOUT): (_S.HANGUP, _A.TIME_OUT),
    (_S.GROWL, _I.TIMEOUT): (_S.HANGUP, _A.TIME_OUT),
}
CALLER: Final[Table] = {
    **_BOTH,
    (_S.CREATE, _I.BANG_OUT): (_S.BANG, _A.START),
    (_S.BANG, _I.TRY_IN): (_S.BANG, _A.TRIED),
    (_S.BANG, _I.GROWL_IN): (_S.GROWL, _A.GROWLED),
    (_S.BANG, _I.TALK_IN): (_S.BANG, _A.ANSWERED),
    (_S.BANG, _I.PROVED): (_S.TALK, _A.CONFIRM),
    (_S.GROWL, _I.TRY_IN): (_S.GROWL, _A.TRIED),
    (_S.GROWL, _I.GROWL_IN): (_S.GROWL, _A.GROWLED),
    (_S.GROWL, _I.TALK_IN): (_S.GROWL, _A.ANSWERED),
    (_S.GROWL, _I.PROVED): (_S.TALK, _A.CONFIRM),
    (_S.TALK, _I.TRY_IN): (_S.TALK, _A.TRIED),
    (_S.TALK, _I.GROWL_IN): (_S.TALK, _A.DUPLICATE),
    (_S.TALK, _I.TALK_IN): (_S.TALK, _A.DUPLICATE),
    (_S.HANGUP, _I.TRY_IN): (_S.HANGUP, _A.IGNORE),
    (_S.HANGUP, _I.GROWL_IN): (_S.HANGUP, _A.IGNORE),
    (_S.HANGUP, _I.TALK_IN): (_S.HANGUP, _A.IGNORE),
    (_S.HANGUP, _I.BANG_OUT): (_S.HANGUP, _A.IGNORE),
    (_S.HANGUP, _I.PROVED): (_S.HANGUP, _A.IGNORE),
}
CALLEE: Final[Table] = {
    **_BOTH,
    (_S.CREATE, _I.BANG_IN): (_S.BANG, _A.BEGIN),
    (_S.BANG, _I.BANG_IN): (_S.BANG, _A.DUPLICATE),
    (_S.BANG, _I.GROWL_OUT): (_S.GROWL, _A.ALERT),
    (_S.BANG, _I.TALK_OUT): (_S.TALK, _A.ACCEPT),
    (_S.GROWL, _I.BANG_IN): (_S.GROWL, _A.DUPLICATE),
    (_S.GROWL, _I.GROWL_OUT): (_S.GROWL, _A.ALERT),
    (_S.GROWL, _I.TALK_OUT): (_S.TALK, _A.ACCEPT),
    (_S.TALK, _I.BANG_IN): (_S.TALK, _A.DUPLICATE),
    (_S.HANGUP, _I.BANG_IN): (_S.HANGUP, _A.IGNORE),
    (_S.HANGUP, _I.GROWL_OUT): (_S.HANGUP, _A.IGNORE),
    (_S.HANGUP, _I.TALK_OUT): (_S.HANGUP, _A.IGNORE),
}
TABLES: Final[Mapping[CallRole, Table]] = {CallRole.CALLER: CALLER, CallRole.CALLEE: CALLEE}
