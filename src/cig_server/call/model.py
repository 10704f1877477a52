# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gateway knows of one call, and why a call ends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cig_common.errors import CigError
from umsg.reasons import Reason


class Shown(StrEnum):
    """The states that ``show call`` prints: the last completed event of a call."""

    ROUTED = "ROUTED"
    TRY = "TRY"
    RING = "RING"
    REJECT = "REJECT"
    ANSWER = "ANSWER"
    HANGUP = "HANGUP"


@dataclass(frozen=True, slots=True)
class Parties:
    """The four URIs of a call: who calls whom, as seen by the caller's and the callee's domain."""

    in_from: str
    in_to: str
    out_from: str
    out_to: str


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a call ends, in the words of both sides.

    ``sip_status`` is the response that a SIP caller gets before an answer, or None where the table
    of reasons shall choose it; ``text`` is for people.
    """

    reason: Reason
    text: str = ""
    sip_status: int | None = None

    @staticmethod
    def of(error: CigError) -> Ending:
        """Give the ending that ``error`` stands for."""
        return Ending(error.umsg_reason, str(error), error.sip_status)


NORMAL = Ending(Reason.NORMAL)
"""Somebody hung up."""
