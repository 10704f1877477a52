# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rest of the gateway asks the SIP stack to do, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Dial:
    """Send an INVITE; the URIs stand in angle brackets, ``relay`` is what our SDP offers."""

    call: str
    to_uri: str
    from_uri: str
    relay: tuple[str, int]
    headers: Headers


@dataclass(frozen=True, slots=True)
class Ring:
    """Send 180."""

    call: str


@dataclass(frozen=True, slots=True)
class SendProgress:
    """Send 183 with SDP."""

    call: str
    relay: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """Send 200 with SDP."""

    call: str
    relay: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Reject:
    """Send a final response of 300 or more."""

    call: str
    status: int
    headers: Headers


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call, whatever its state: CANCEL, a final response or BYE."""

    call: str
    headers: Headers


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send a MESSAGE with a body of type text/plain; the URIs stand in angle brackets."""

    name: str
    to_uri: str
    from_uri: str
    text: str = field(repr=False)
    headers: Headers


@dataclass(frozen=True, slots=True)
class AnswerMessage:
    """Send the final response to a MESSAGE."""

    name: str
    status: int
    headers: Headers


CallCommand = Dial | Ring | SendProgress | Answer | Reject | HangUp
Command = CallCommand | SendMessage | AnswerMessage
