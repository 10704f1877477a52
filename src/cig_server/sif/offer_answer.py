# SPDX-License-Identifier: GPL-3.0-or-later
"""Offers and answers (RFC 3264) of a gateway that speaks G.711 and telephone-event, and no more.

- We offer PCMA, PCMU and telephone-event 101 (RFC 4733, events 0-15), 20 ms.
- Of an offer we take the first audio description over RTP/AVP with a port, a usable address and
  payload type 0 or 8. The answer names one codec, the first in the offerer's order, so that what
  flows is what was agreed; and the offerer's own number for telephone-event. All other media
  descriptions are refused with port 0 (section 6). An offer without any such description is
  answered 488, a fax (T.38) or SRTP-only one among them.
- The direction is mirrored (section 6.1). The address 0.0.0.0 is a hold of the old kind
  (section 8.4), and ``::`` is the same over IPv6: we may receive but not send.
- A call's sound is over IPv4 or IPv6, and the same in both directions: of descriptions that suit
  but for their address's family none is taken.
- The session id of our descriptions stays the same for a call; the version goes up by one with
  every description that differs from the one before (section 8).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from cig_common.control.media import Direction, SipMedia
from cig_common.errors import CodecError, PeerError
from cig_server.sif.sdp import Attributes, Media, Origin, SdpError, SessionDescription
from umsg.reasons import Reason

OUR_DTMF = 101
"""The payload type of telephone-event in our own offers."""

_CODECS = {"0": "PCMU/8000", "8": "PCMA/8000"}
_PAYLOAD_TYPES = {codec: number for number, codec in _CODECS.items()}
_DYNAMIC = re.compile(r"9[6-9]|1[01][0-9]|12[0-7]")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_OFFERED = ("PCMA/8000", "PCMU/8000")
_MIRRORED = {
    Direction.SENDRECV: Direction.SENDRECV,
    Direction.SENDONLY: Direction.RECVONLY,
    Direction.RECVONLY: Direction.SENDONLY,
    Direction.INACTIVE: Direction.INACTIVE,
}
_WITHOUT_SENDING = {
    Direction.SENDRECV: Direction.RECVONLY,
    Direction.SENDONLY: Direction.INACTIVE,
}


BOTH = frozenset({4, 6})
"""The IP versions where nothing speaks against either."""


class AddressFamilyError(PeerError):
    """The SDP's address is of IPv4 and the call's sound of IPv6, or the other way round: 488."""

    sip_status = 488
    umsg_reason = Reason.MEDIA
    log_code = "sip-family"


@dataclass(frozen=True, slots=True)
class SdpOffer:
    """An offer that can be answered: ``media`` is what is agreed once our answer is sent.

    ``codecs`` are all of the offer that we could take, in its order; ``index`` is the place of
    the media description that we take.
    """

    description: SessionDescription
    index: int
    codecs: tuple[str, ...]
    media: SipMedia


def check_family(media: SipMedia, families: frozenset[int]) -> None:
    """Raise AddressFamilyError unless sound over one of ``families`` (4, 6) gets to ``media``.

    An unspecified address gets no sound, so its family does not matter.
    """
    address = ipaddress.ip_address(media.addr)
    if address.version not in families and not address.is_unspecified:
        ours = " or ".join(f"IPv{family}" for family in sorted(families))
        raise AddressFamilyError(f"the SDP names {address}, but this call's sound is over {ours}")


def read_offer(text: str, families: frozenset[int] = BOTH) -> SdpOffer:
    """Read an offer for a call whose sound can be over ``families``.

    Raises SdpError if it is no SDP, CodecError if nothing in it suits us, AddressFamilyError if
    nothing but the address stands in the way.
    """
    description = SessionDescription.parse(text)
    unsuited: AddressFamilyError | None = None
    for index, media in enumerate(description.media):
        found = _usable(description, media)
        if found is None:
            continue
        codecs, agreed = found
        try:
            check_family(agreed, families)
        except AddressFamilyError as error:
            unsuited = unsuited or error
            continue
        return SdpOffer(description, index, codecs, agreed)
    raise unsuited or CodecError("the offer holds no audio with G.711 over RTP/AVP")


def read_answer(text: str, families: frozenset[int] = BOTH) -> SipMedia:
    """Read the answer to an offer of ours. Raises SdpError, CodecError or AddressFamilyError.

    An answer repeats the offer's media descriptions in order (RFC 3264 section 6): ours has one,
    so only the first counts.
    """
    description = SessionDescription.parse(text)
    found = _usable(description, description.media[0]) if description.media else None
    if found is None:
        raise CodecError("the answer takes none of the offered codecs")
    _, agreed = found
    check_family(agreed, families)
    ours = None if agreed.dtmf is None else OUR_DTMF
    return SipMedia(
        addr=agreed.addr,
        port=agreed.port,
        rtcp_port=agreed.rtcp_port,
        codec=agreed.codec,
        dtmf=agreed.dtmf,
        receive_dtmf=ours,
        direction=agreed.direction,
    )


class LocalSession:
    """The session descriptions that we send in one call.

    ``session_id`` (RFC 8866 section 5.2) is chosen by the caller, at random and once a call.
    """

    def __init__(self, session_id: int) -> None:
        self._session_id = session_id
        self._version = 1
        self._last: SessionDescription | None = None

    def offer(self, addr: str, port: int) -> str:
        """Give an offer to receive on ``addr``:``port``."""
        media = _audio(port, _OFFERED, OUR_DTMF, Direction.SENDRECV)
        return self._description(addr, (media,))

    def answer(self, offer: SdpOffer, addr: str, port: int) -> str:
        """Give the answer to ``offer``, receiving on ``addr``:``port``."""
        agreed = offer.media
        ours = _audio(port, (agreed.codec,), agreed.receive_dtmf, agreed.direction)
        media = tuple(
            ours if index == offer.index else Media(theirs.kind, 0, theirs.protocol, theirs.formats)
            for index, theirs in enumerate(offer.description.media)
        )
        return self._description(addr, media)

    def _description(self, addr: str, media: tuple[Media, ...]) -> str:
        current = SessionDescription(self._origin(addr), addr, (), media)
        if self._last is not None and current != self._last:
            self._version += 1
            current = SessionDescription(self._origin(addr), addr, (), media)
        self._last = current
        text = current.encode()
        # A text that the SIP stack cannot parse is silently replaced by one of its own making.
        if SessionDescription.parse(text) != current:
            raise SdpError("our own session description cannot be read back")
        return text

    def _origin(self, addr: str) -> Origin:
        return Origin("cig", self._session_id, self._version, addr)


def _usable(
    description: SessionDescription, media: Media
) -> tuple[tuple[str, ...], SipMedia] | None:
    """Give the codecs of a media description that we share and what would be agreed, or None."""
    if media.kind != "audio" or media.protocol != "RTP/AVP" or media.port == 0:
        return None
    codecs = _common_codecs(media)
    address = _address(media.connection or description.connection)
    rtcp_port = _rtcp_port(media)
    if not codecs or address is None or rtcp_port is None:
        return None
    direction = _MIRRORED[
        _direction(media.attributes) or _direction(description.attributes) or Direction.SENDRECV
    ]
    if address.is_unspecified:
        direction = _WITHOUT_SENDING.get(direction, direction)
    dtmf = _telephone_event(media)
    agreed = SipMedia(str(address), media.port, rtcp_port, codecs[0], dtmf, dtmf, direction)
    return codecs, agreed


def _common_codecs(media: Media) -> tuple[str, ...]:
    """The static G.711 payload types of a description, in its order."""
    maps = dict(value.split(maxsplit=1) for value in media.values("rtpmap") if " " in value.strip())
    codecs = []
    for number in media.formats:
        codec = _CODECS.get(number)
        if codec is not None and _same_encoding(maps.get(number, codec), codec):
            codecs.append(codec)
    return tuple(dict.fromkeys(codecs))


def _same_encoding(rtpmap: str, codec: str) -> bool:
    return rtpmap.strip().upper().removesuffix("/1") == codec


def _telephone_event(media: Media) -> int | None:
    """The payload type of telephone-event at 8 kHz; dynamic numbers only (RFC 3551 section 6)."""
    for value in media.values("rtpmap"):
        number, _, encoding = value.strip().partition(" ")
        wanted = number in media.formats and _DYNAMIC.fullmatch(number)
        if wanted and _same_encoding(encoding, "TELEPHONE-EVENT/8000"):
            return int(number)
    return None


def _address(text: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """A unicast or unspecified address; None for a name, a multicast group or nothing.

    None too for the IPv6 addresses that lead nowhere without more: of one link, and mapped IPv4.
    """
    try:
        address = ipaddress.ip_address(text or "")
    except ValueError:
        return None
    nowhere = isinstance(address, ipaddress.IPv6Address) and (
        address.is_link_local or address.ipv4_mapped is not None
    )
    return None if nowhere or address.is_multicast else address


def _rtcp_port(media: Media) -> int | None:
    """The port of ``a=rtcp`` (RFC 3605) or the one above RTP's; None when there is no such port."""
    for value in media.values("rtcp"):
        number = value.split(" ", 1)[0]
        if _PORT.fullmatch(number) and int(number) <= 65535:
            return int(number)
    return media.port + 1 if media.port < 65535 else None


def _direction(attributes: Attributes) -> Direction | None:
    for name, value in attributes:
        if value is None and name in set(Direction):
            return Direction(name)
    return None


def _audio(port: int, codecs: tuple[str, ...], dtmf: int | None, direction: Direction) -> Media:
    """Our media description."""
    formats = [_PAYLOAD_TYPES[codec] for codec in codecs]
    attributes: list[tuple[str, str | None]] = [
        ("rtpmap", f"{number} {codec}") for number, codec in zip(formats, codecs, strict=True)
    ]
    if dtmf is not None:
        formats.append(str(dtmf))
        attributes.append(("rtpmap", f"{dtmf} telephone-event/8000"))
        attributes.append(("fmtp", f"{dtmf} 0-15"))
    attributes.append(("ptime", "20"))
    attributes.append((direction.value, None))
    return Media("audio", port, "RTP/AVP", tuple(formats), None, tuple(attributes))
