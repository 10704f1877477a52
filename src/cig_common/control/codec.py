# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames on the control and keys sockets: the length prefix of UMSG around one CBOR map.

The map has ``n`` (the request's number; 0 for events), ``t`` (the message's name) and ``b`` (its
fields). Both ends belong to this gateway and the socket checks the peer's uid, so any fault here
ends the connection, which is then opened anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cbor2

from cig_common.control.messages import EVENTS, REPLIES, REQUESTS
from cig_common.control.record import Record
from cig_common.errors import ControlError
from umsg.errors import FrameError
from umsg.framing import FrameDecoder, encode_frame

MessageTypes = Mapping[str, type[Record]]
"""The messages that a socket carries, by their names."""


def by_name(*types: type[Record]) -> MessageTypes:
    """Give the table of some types of message."""
    return {cls.__name__: cls for cls in types}


CONTROL = by_name(*REQUESTS, *REPLIES, *EVENTS)
"""What the control socket carries."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message with the number that ties an answer to its request."""

    number: int
    message: Record

    def encode(self) -> bytes:
        """Give the frame, length prefix included."""
        body = {"n": self.number, "t": type(self.message).__name__, "b": self.message.to_map()}
        return encode_frame(cbor2.dumps(body))

    @staticmethod
    def parse(payload: bytes, types: MessageTypes = CONTROL) -> Envelope:
        """Read one frame's payload, a message of ``types``; raises ControlError."""
        try:
            value: Any = cbor2.loads(payload)
        except Exception:
            # The decoder's own error could quote what it stumbled over.
            raise ControlError("control frame holds no CBOR") from None
        if not isinstance(value, dict) or set(value) != {"n", "t", "b"}:
            raise ControlError("control frame is no envelope")
        number, name = value["n"], value["t"]
        if type(number) is not int or number < 0 or not isinstance(name, str):
            raise ControlError("control frame has a wrong number or name")
        cls = types.get(name)
        if cls is None or not isinstance(value["b"], dict):
            raise ControlError(f"control frame of unknown type {name[:40]!r}")
        return Envelope(number, cls.from_map(value["b"]))


class ControlDecoder:
    """Splits a socket's byte stream into envelopes with messages of ``types``."""

    def __init__(self, types: MessageTypes = CONTROL) -> None:
        self._types = types
        self._frames = FrameDecoder()

    def feed(self, data: bytes) -> list[Envelope]:
        """Take octets as they came, give the complete messages; raises ControlError."""
        try:
            payloads = self._frames.feed(data)
        except FrameError as error:
            raise ControlError("control stream is out of step") from error
        return [Envelope.parse(payload, self._types) for payload in payloads]
