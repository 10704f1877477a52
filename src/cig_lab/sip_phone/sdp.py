# SPDX-License-Identifier: GPL-3.0-or-later
"""Session descriptions (RFC 4566) as far as a telephone needs them: one audio stream, G.711."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

CODECS = {"PCMU/8000": 0, "PCMA/8000": 8}
"""The codecs and their static payload types (RFC 3551 table 4)."""
DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
MAX_LENGTH = 16384

_REVERSE = {"sendonly": "recvonly", "recvonly": "sendonly"}


class SdpError(ValueError):
    """The description is malformed or has no audio stream."""


@dataclass(frozen=True, slots=True)
class AudioDescription:
    """One side's wishes for its audio stream.

    ``codecs`` are G.711 names (``PCMA/8000``) in order of preference; formats of other kinds are
    left out. ``dtmf`` is the payload type of telephone events that this side wants to get. A
    ``port`` of 0 refuses the stream.
    """

    addr: str
    port: int
    codecs: tuple[str, ...]
    dtmf: int | None = None
    direction: str = "sendrecv"
    rtcp_port: int | None = None
    session: int = field(default=1, compare=False)
    version: int = field(default=1, compare=False)

    def encode(self) -> bytes:
        """Give the description's octets."""
        kind = "IP6" if ":" in self.addr else "IP4"
        types = [CODECS[codec] for codec in self.codecs]
        types += [self.dtmf] if self.dtmf is not None else []
        lines = [
            "v=0",
            f"o=- {self.session} {self.version} IN {kind} {self.addr}",
            "s=-",
            f"c=IN {kind} {self.addr}",
            "t=0 0",
            f"m=audio {self.port} RTP/AVP {' '.join(map(str, types))}",
        ]
        lines += [f"a=rtpmap:{CODECS[codec]} {codec}" for codec in self.codecs]
        if self.dtmf is not None:
            lines += [f"a=rtpmap:{self.dtmf} telephone-event/8000", f"a=fmtp:{self.dtmf} 0-15"]
        if self.rtcp_port is not None:
            lines.append(f"a=rtcp:{self.rtcp_port}")
        lines += ["a=ptime:20", f"a={self.direction}", ""]
        return "\r\n".join(lines).encode()

    @staticmethod
    def parse(data: bytes) -> AudioDescription:
        """Read the first audio stream of a description; raises SdpError."""
        if len(data) > MAX_LENGTH:
            raise SdpError("description is too long")
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise SdpError("description is not UTF-8") from error
        lines = [line for line in text.replace("\r\n", "\n").split("\n") if line]
        if not lines or lines[0] != "v=0":
            raise SdpError("description does not begin with v=0")
        return _read(_sections(lines))


def _sections(lines: list[str]) -> tuple[list[str], list[str]]:
    """Give the session's lines and those of the first audio stream."""
    starts = [at for at, line in enumerate(lines) if line.startswith("m=")] + [len(lines)]
    for start, end in itertools.pairwise(starts):
        if lines[start].startswith("m=audio "):
            return lines[: starts[0]], lines[start:end]
    raise SdpError("description has no audio stream")


def _read(sections: tuple[list[str], list[str]]) -> AudioDescription:
    session, media = sections
    fields = media[0][2:].split(" ")
    if len(fields) < 4 or not fields[2].startswith("RTP/"):
        raise SdpError("audio stream is no RTP")
    types = [_number(text, 127) for text in fields[3:]]
    names = _rtpmaps(media, types)
    dtmf = [kind for kind in types if names.get(kind, "").lower() == "telephone-event/8000"]
    addr = _last(session + media, "c=").split(" ")
    if len(addr) != 3 or addr[0] != "IN":
        raise SdpError("connection line is malformed")
    codecs = [names[kind] for kind in types if names.get(kind) in CODECS]
    rtcp = [line for line in media if line.startswith("a=rtcp:")]
    return AudioDescription(
        addr=addr[2],
        port=_number(fields[1].partition("/")[0], 65535),
        codecs=tuple(dict.fromkeys(codecs)),
        dtmf=dtmf[0] if dtmf else None,
        direction=_direction(media) or _direction(session) or "sendrecv",
        rtcp_port=_number(rtcp[0][7:].split(" ")[0], 65535) if rtcp else None,
    )


def _rtpmaps(media: list[str], types: list[int]) -> dict[int, str]:
    names = {number: name for name, number in CODECS.items() if number in types}
    for line in media:
        if line.startswith("a=rtpmap:"):
            kind, _, name = line[9:].partition(" ")
            name = name.strip().removesuffix("/1")
            upper = name.upper()
            names[_number(kind, 127)] = upper if upper in CODECS else name
    return names


def _direction(lines: list[str]) -> str | None:
    found = [line[2:] for line in lines if line.startswith("a=") and line[2:] in DIRECTIONS]
    return found[-1] if found else None


def _last(lines: list[str], prefix: str) -> str:
    found = [line[len(prefix) :] for line in lines if line.startswith(prefix)]
    if not found:
        raise SdpError("connection line is missing")
    return found[-1]


def _number(text: str, limit: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or int(text) > limit:
        raise SdpError("description has a number out of range")
    return int(text)


def answer(
    offer: AudioDescription,
    *,
    addr: str,
    port: int,
    codecs: tuple[str, ...],
    direction: str = "sendrecv",
) -> AudioDescription | None:
    """Answer an offer (RFC 3264 section 6) with its first codec that is in ``codecs``.

    Gives None where there is none in common. ``direction`` is what we would like; an offer of
    ``sendonly`` allows ``recvonly`` at most, and so on (section 6.1). Telephone events are taken
    over with the offer's own payload type, as most phones do.
    """
    common = next((codec for codec in offer.codecs if codec in codecs), None)
    if common is None or offer.port == 0:
        return None
    allowed = _REVERSE.get(offer.direction, offer.direction)
    both = [word for word in ("send", "recv") if _has(allowed, word) and _has(direction, word)]
    chosen = {2: "sendrecv", 1: f"{both[0]}only" if both else "", 0: "inactive"}[len(both)]
    return AudioDescription(addr, port, (common,), offer.dtmf, chosen)


def _has(direction: str, word: str) -> bool:
    return direction == "sendrecv" or direction.startswith(word)
