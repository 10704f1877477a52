# SPDX-License-Identifier: GPL-3.0-or-later
"""Error codes of the wire, and the exceptions of this package.

An exception carries its consequence as attributes: `code` is what the peer is told and
`closes` says whether the connection ends. Nobody needs to read its text.
"""

from enum import StrEnum


class ErrorCode(StrEnum):
    """The `code` of an `error` message."""

    PROTOCOL = "protocol"
    AUTH = "auth"
    REPLACED = "replaced"
    UNSUPPORTED = "unsupported"
    NOT_FOUND = "not-found"
    FORBIDDEN = "forbidden"
    TOO_LARGE = "too-large"
    OVERLOAD = "overload"
    INTERNAL = "internal"


CLOSING_CODES = frozenset({ErrorCode.PROTOCOL, ErrorCode.AUTH, ErrorCode.REPLACED})
"""Codes that end the connection when the `error` names neither a call nor a text."""


class UmsgError(Exception):
    """Base of all errors of this package."""

    code: ErrorCode = ErrorCode.INTERNAL
    closes: bool = False


class LocalError(UmsgError):
    """Our own side asked for something that the protocol does not allow."""


class FieldError(LocalError, ValueError):
    """A message was built with a value that its field may not hold.

    `type` is the message's type, `field` the key on the wire.
    """

    def __init__(self, type_: str, field: str, words: str) -> None:
        super().__init__(f"{type_}: {field} must be {words}")
        self.type = type_
        self.field = field
        self.words = words


class PeerError(UmsgError):
    """The peer broke a rule of the protocol."""

    code = ErrorCode.PROTOCOL


class FrameError(PeerError):
    """A frame's length is 0 or above the limit; the stream cannot be read any further.

    `frames` holds the payloads that the same call completed before the bad length.
    """

    closes = True

    def __init__(self, length: int, limit: int, frames: list[bytes]) -> None:
        super().__init__(f"frame of {length} octets, allowed are 1 to {limit}")
        self.length = length
        self.limit = limit
        self.frames = frames


class CborError(PeerError):
    """A payload is not one bounded, deterministic CBOR map with text keys and a `t`."""

    closes = True


class UnknownTypeError(PeerError):
    """A message's `t` is none that this version knows; `id` and `mid` where readable."""

    code = ErrorCode.UNSUPPORTED

    def __init__(self, type_: str, id_: str | None, mid: str | None) -> None:
        super().__init__(f"unknown message type {type_!r}")
        self.type = type_
        self.id = id_
        self.mid = mid


class MessageError(PeerError):
    """A message of a known type lacks a field or holds a bad one.

    It ends at most the call `id` or the text `mid` that it names (None if unreadable).
    """

    def __init__(
        self, type_: str, field: str, words: str, *, id_: str | None, mid: str | None
    ) -> None:
        super().__init__(f"{type_}: {field} must be {words}")
        self.type = type_
        self.field = field
        self.id = id_
        self.mid = mid
