# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a call ended: the `reason` of a `hangup` message."""

from enum import StrEnum


class Reason(StrEnum):
    """The `reason` of a `hangup`."""

    NORMAL = "normal"
    BUSY = "busy"
    DECLINED = "declined"
    NO_ANSWER = "no-answer"
    UNREACHABLE = "unreachable"
    NOT_FOUND = "not-found"
    CRYPTO = "crypto"
    MEDIA = "media"
    OVERLOAD = "overload"
    ERROR = "error"
