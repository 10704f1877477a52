# SPDX-License-Identifier: GPL-3.0-or-later
"""From whatever went wrong to the `ErrorReply` that the server gets, and its stable word."""

from __future__ import annotations

from cig_common.control.messages import ErrorCode, ErrorReply
from cig_common.errors import (
    CigError,
    CodecError,
    ControlError,
    CryptoError,
    MediaError,
    OverloadError,
)
from cig_relay.engines.errors import RefusedError
from cig_relay.keys.errors import NoKeysError
from cig_relay.media.engine import UnknownCallError
from mikey_sakke.errors import IdentifierError, MikeySakkeError, Reason, StaleError
from mikey_sakke.identifiers import bare_tel_uri
from mikey_sakke.message import IMessage
from mikey_sakke.periods import from_ntp

WORDS: dict[str, str] = {
    Reason.SIGNATURE: "bad-signature",
    Reason.PERIOD: "no-period",
    Reason.IDENTIFIER: "identity",
    Reason.STALE: "too-old",
}
"""Where the stable word is another than the library's own."""

_CODES: tuple[tuple[type[CigError], ErrorCode], ...] = (
    (NoKeysError, ErrorCode.NO_KEYS),
    (CryptoError, ErrorCode.CRYPTO),
    (CodecError, ErrorCode.CODEC),
    (MediaError, ErrorCode.MEDIA),
    (OverloadError, ErrorCode.OVERLOAD),
    (UnknownCallError, ErrorCode.UNKNOWN_CALL),
    (ControlError, ErrorCode.PROTOCOL),
)


def refused(error: MikeySakkeError) -> RefusedError:
    """Give the refusal of a message for what the library says of it."""
    return RefusedError(word(error.reason), str(error))


def stale(error: StaleError, message: bytes, now: float) -> RefusedError:
    """Give the refusal of an I_MESSAGE whose T is too far from ``now``, on whichever side."""
    t = from_ntp(IMessage.parse(message).timestamp.ntp, near=now)
    return RefusedError("too-old" if t < now else "too-new", str(error))


def bare(uri: str) -> str:
    """Give a tel URI without its extension; raises RefusedError where it is not canonical."""
    try:
        return bare_tel_uri(uri)
    except IdentifierError as error:
        raise refused(error) from None


def word(reason: str) -> str:
    """Give the stable word for a `mikey_sakke.errors.Reason`."""
    return WORDS.get(reason, str(reason))


def error_reply(error: CigError) -> ErrorReply:
    """Give the reply for an error of the gateway's own tree."""
    code = next((c for kind, c in _CODES if isinstance(error, kind)), ErrorCode.INTERNAL)
    detail = error.detail if isinstance(error, RefusedError) else error.log_code
    if isinstance(error, NoKeysError) and error.month:
        detail = word(Reason.PERIOD)
    return ErrorReply(code, detail, str(error))
