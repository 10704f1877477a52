# SPDX-License-Identifier: GPL-3.0-or-later
"""G.711 to and from 16-bit linear PCM, and the tables that join two laws in one step.

Linear PCM of 16 bits at 8 kHz, in the host's byte order, is the interchange between the two legs.
From G.711 to G.711 each octet depends on one octet alone, so the way through linear PCM is a table
of 256 octets, made here from the conversions themselves: the same to the bit, and much cheaper.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

from cig_common.errors import CodecError

with warnings.catch_warnings():
    # Python 3.11 and 3.12 announce that their own audioop leaves; 3.13 has audioop-lts instead.
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

CLOCK_RATE = 8000
"""RTP timestamp units in a second, of G.711 and of its telephone events (RFC 3551, RFC 4733)."""

_WIDTH = 2


@dataclass(frozen=True, slots=True)
class Codec:
    """An audio codec: its name in SDP and UMSG, its static payload type, and its conversions."""

    name: str
    payload_type: int
    to_linear: Callable[[bytes], bytes]
    from_linear: Callable[[bytes], bytes]


PCMU = Codec(
    "PCMU/8000",
    0,
    lambda payload: bytes(audioop.ulaw2lin(payload, _WIDTH)),
    lambda linear: bytes(audioop.lin2ulaw(linear, _WIDTH)),
)
PCMA = Codec(
    "PCMA/8000",
    8,
    lambda payload: bytes(audioop.alaw2lin(payload, _WIDTH)),
    lambda linear: bytes(audioop.lin2alaw(linear, _WIDTH)),
)

_CODECS = {codec.name: codec for codec in (PCMU, PCMA)}
_EVERY_OCTET = bytes(range(256))
_TABLES = {
    (source.name, target.name): target.from_linear(source.to_linear(_EVERY_OCTET))
    for source in _CODECS.values()
    for target in _CODECS.values()
    if source is not target
}


def by_name(name: str) -> Codec:
    """Give the codec called ``name`` (``PCMA/8000``); raises CodecError."""
    codec = _CODECS.get(name)
    if codec is None:
        raise CodecError(f"the media engine has no codec {name[:40]!r}; it has PCMA and PCMU")
    return codec


def transcoding_table(source: Codec, target: Codec) -> bytes | None:
    """Give the table for ``bytes.translate`` from one codec to the other.

    None when they are the same: the payload then passes as it is.
    """
    return _TABLES.get((source.name, target.name))
