# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of a UMSG stream: a 4-octet big-endian length N, then N octets of payload."""

from umsg.errors import FieldError, FrameError

LENGTH_OCTETS = 4
MAX_FRAME = 65536
"""Longest payload after `welcome`, in octets."""
MAX_FRAME_BEFORE_WELCOME = 4096
"""Longest payload that a server takes from a client that has not been welcomed."""


def encode_frame(payload: bytes) -> bytes:
    """Return the payload (1 to 65536 octets) with its length in front.

    Raises FieldError for a payload that no receiver would take.
    """
    if not 1 <= len(payload) <= MAX_FRAME:
        raise FieldError("frame", "payload", f"1 to {MAX_FRAME} octets long")
    return len(payload).to_bytes(LENGTH_OCTETS, "big") + payload


class FrameDecoder:
    """Cuts a byte stream, in whatever pieces it comes, into payloads.

    It holds at most one incomplete frame. `max_length` may be changed between calls.
    After a FrameError the decoder is of no further use: where the next frame begins
    is unknown.
    """

    def __init__(self, max_length: int = MAX_FRAME) -> None:
        self.max_length = max_length
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take more of the stream and return the payloads completed by it, in order.

        Raises FrameError at a length of 0 or above `max_length`; its `frames` are the
        payloads before it. A bad length is seen as soon as its four octets are there.
        """
        self._buffer += data
        frames: list[bytes] = []
        start = 0
        while len(self._buffer) - start >= LENGTH_OCTETS:
            body = start + LENGTH_OCTETS
            length = int.from_bytes(self._buffer[start:body], "big")
            if not 1 <= length <= self.max_length:
                self._buffer.clear()
                raise FrameError(length, self.max_length, frames)
            if len(self._buffer) < body + length:
                break
            frames.append(bytes(self._buffer[body : body + length]))
            start = body + length
        del self._buffer[:start]
        return frames
