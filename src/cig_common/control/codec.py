# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames on the control socket: the length prefix of UMSG around one CBOR map.

The map has ``n`` (the request's number; 0 for events), ``t`` (the message's name) and ``b`` (its
fields). Both ends belong to this gateway and the socket checks the peer's uid, so any fault here
ends the connection, which is then opened anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cbor2

from cig_common.control.messages import EVENTS, REPLIES, REQUESTS
from cig_common.control.record import Record
from cig_common.errors import ControlError
from umsg.errors import FrameError
from umsg.framing import FrameDecoder, encode_frame

_BY_NAME = {cls.__name__: cls for cls in (*REQUESTS, *REPLIES, *EVENTS)}


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
    def parse(payload: bytes) -> Envelope:
        """Read one frame's payload; raises ControlError."""
        try:
            value: Any = cbor2.loads(payload)
        except Exception as error:
            raise ControlError("control frame holds no CBOR") from error
        if not isinstance(value, dict) or set(value) != {"n", "t", "b"}:
            raise ControlError("control frame is no envelope")
        number, name = value["n"], value["t"]
        if type(number) is not int or number < 0 or not isinstance(name, str):
            raise ControlError("control frame has a wrong number or name")
        cls = _BY_NAME.get(name)
        if cls is None or not isinstance(value["b"], dict):
            raise ControlError(f"control frame of unknown type {name[:40]!r}")
        return Envelope(number, cls.from_map(value["b"]))


class ControlDecoder:
    """Splits the socket's byte stream into envelopes."""

    def __init__(self) -> None:
        self._frames = FrameDecoder()

    def feed(self, data: bytes) -> list[Envelope]:
        """Take octets as they came, give the complete messages; raises ControlError."""
        try:
            payloads = self._frames.feed(data)
        except FrameError as error:
            raise ControlError("control stream is out of step") from error
        return [Envelope.parse(payload) for payload in payloads]
