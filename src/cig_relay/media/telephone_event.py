# SPDX-License-Identifier: GPL-3.0-or-later
"""Named telephone events, the payload of RFC 4733 section 2.3."""

from __future__ import annotations

from dataclasses import dataclass

LENGTH = 4
HIGHEST_DTMF = 15
"""Events 0 to 9, ``*``, ``#`` and A to D; what the gateway announces as ``0-15``."""


class TelephoneEventError(ValueError):
    """The payload is no telephone event."""


@dataclass(frozen=True, slots=True)
class TelephoneEvent:
    """One report of an event.

    ``event`` 0 to 255, ``volume`` 0 to 63 (-dBm0), ``duration`` in timestamp units since the RTP
    timestamp of the packet, 16 bits; ``end`` is the E bit. The R bit is 0 when sent and ignored
    when received.
    """

    event: int
    end: bool
    volume: int
    duration: int

    def encode(self) -> bytes:
        """Give the four octets."""
        flags = (0x80 if self.end else 0) | self.volume
        return bytes((self.event, flags)) + self.duration.to_bytes(2, "big")

    @staticmethod
    def parse(payload: bytes) -> TelephoneEvent:
        """Read the event; octets after the first four are ignored. Raises TelephoneEventError."""
        if len(payload) < LENGTH:
            raise TelephoneEventError("telephone event of less than four octets")
        flags = payload[1]
        duration = int.from_bytes(payload[2:4], "big")
        return TelephoneEvent(payload[0], bool(flags & 0x80), flags & 0x3F, duration)
