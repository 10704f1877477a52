# SPDX-License-Identifier: GPL-3.0-or-later
"""One table between the relay's error codes and the exceptions that carry their consequence."""

from __future__ import annotations

from cig_common.control.messages import ErrorCode, ErrorReply
from cig_common.errors import (
    CigError,
    CodecError,
    ControlError,
    CryptoError,
    LocalError,
    MediaError,
    NoKeysForPeerError,
    OverloadError,
)

_EXCEPTIONS: dict[ErrorCode, type[CigError]] = {
    ErrorCode.CRYPTO: CryptoError,
    ErrorCode.NO_KEYS: NoKeysForPeerError,
    ErrorCode.MEDIA: MediaError,
    ErrorCode.CODEC: CodecError,
    ErrorCode.OVERLOAD: OverloadError,
    ErrorCode.UNKNOWN_CALL: LocalError,
    ErrorCode.MATERIAL: LocalError,
    ErrorCode.PROTOCOL: ControlError,
    ErrorCode.INTERNAL: LocalError,
}


def exception_for(reply: ErrorReply) -> CigError:
    """Give the exception for an error reply; its text is ``detail: text``."""
    return _EXCEPTIONS[reply.code](f"{reply.detail}: {reply.text}")
