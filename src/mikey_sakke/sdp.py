# SPDX-License-Identifier: GPL-3.0-or-later
"""MIKEY messages in a session description (RFC 4567): `a=key-mgmt`, and bidding-down.

The attribute stands at session level or below an `m=` line; one at media level puts those of
the session out of force for that medium. Whoever stands between two ends could take the
stronger of the offered protocols away, so the maker of an offer signs the list of all of them (in
a General Extension of type 1, "SDP IDs"), and `check_bidding` compares what arrived with it.

All functions are pure and bounded: a description has at most 64 KiB, and no base64 is decoded
that is longer than the longest message.
"""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

from mikey_sakke.errors import BiddingDownError, MalformedError, ParameterError
from mikey_sakke.message import MAX_LENGTH
from mikey_sakke.payloads import ExtensionType, GeneralExtension
from mikey_sakke.receiver import Verified

MIKEY = "mikey"
"""The protocol identifier (KMPID) of MIKEY, case-sensitive as all are."""
MAX_SDP_LENGTH = 65_536
"""Characters of a description at most."""
MAX_BASE64_LENGTH = 4 * -(-MAX_LENGTH // 3)
"""Characters that the longest message (4096 octets) takes in base64."""

_ATTRIBUTE = "a=key-mgmt:"
_VALUE = re.compile(r" ?([A-Za-z0-9]{1,64}) ([!-~](?:[ -~]*[!-~])?) *", re.ASCII)
_PROTOCOL = re.compile(r"[A-Za-z0-9]{1,64}", re.ASCII)
_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class KeyMgmt:
    """One `a=key-mgmt` attribute (RFC 4567 §3.1): a protocol identifier, and its data as text."""

    protocol: str
    text: str

    def octets(self) -> bytes:
        """Decode the data from base64; raises `MalformedError`, also above 4096 octets."""
        if len(self.text) > MAX_BASE64_LENGTH:
            raise MalformedError(
                f"key-mgmt data of {len(self.text)} characters: {MAX_BASE64_LENGTH} are the most"
            )
        try:
            octets = base64.b64decode(self.text, validate=True)
        except ValueError:
            raise MalformedError("the data of a key-mgmt attribute are no base64") from None
        if len(octets) > MAX_LENGTH:
            raise MalformedError(
                f"key-mgmt data of {len(octets)} octets: {MAX_LENGTH} are the most"
            )
        return octets


@dataclass(frozen=True, slots=True)
class Offer:
    """The key-mgmt attributes of a description (RFC 4567 §3.1), in their order.

    `session` are those before the first `m=` line, `media` those below each `m=` line.
    """

    session: tuple[KeyMgmt, ...]
    media: tuple[tuple[KeyMgmt, ...], ...]

    @property
    def attributes(self) -> tuple[KeyMgmt, ...]:
        """All attributes of the description: what the check against bidding-down is made of."""
        return self.session + tuple(attribute for level in self.media for attribute in level)

    def in_force(self, medium: int | None = None) -> tuple[KeyMgmt, ...]:
        """Give the attributes that count for a medium (from 0), or for the session (None).

        Raises `ParameterError` where there is no such medium.
        """
        if medium is None:
            return self.session
        if not 0 <= medium < len(self.media):
            raise ParameterError(f"the description has {len(self.media)} media, none of {medium}")
        return self.media[medium] or self.session


def parse(description: str) -> Offer:
    """Read the key-mgmt attributes of a session description (RFC 4567 §3.1).

    A line with such an attribute that cannot be read raises `MalformedError`, as does one
    protocol twice at one level: passing over them would be what an attacker wants. Other lines
    are not looked at.
    """
    if len(description) > MAX_SDP_LENGTH:
        raise MalformedError(f"a session description of more than {MAX_SDP_LENGTH} characters")
    levels: list[dict[str, KeyMgmt]] = [{}]
    for line in _LINE_END.split(description):
        if line.startswith("m="):
            levels.append({})
        elif line.startswith(_ATTRIBUTE):
            found = parse_line(line)
            if found.protocol in levels[-1]:
                raise MalformedError(f"key management protocol {found.protocol} is offered twice")
            levels[-1][found.protocol] = found
    session, *media = (tuple(level.values()) for level in levels)
    return Offer(session, tuple(media))


def parse_line(line: str) -> KeyMgmt:
    """Read one line `a=key-mgmt:mikey BASE64` (RFC 4567 §3.1); raises `MalformedError`."""
    value = line.removeprefix(_ATTRIBUTE)
    match = _VALUE.fullmatch(value)
    if match is None or value == line:
        raise MalformedError(f"not a key-mgmt attribute: {line[:40]!r}")
    return KeyMgmt(match[1], match[2])


def make_line(message: bytes, *, protocol: str = MIKEY) -> str:
    """Give the attribute line, without its end, that carries a message (at most 4096 octets)."""
    if not message or len(message) > MAX_LENGTH:
        raise ParameterError(f"a key-mgmt attribute carries 1 to {MAX_LENGTH} octets")
    return f"{_ATTRIBUTE}{_checked(protocol)} {base64.b64encode(message).decode('ascii')}"


def protocols(attributes: Iterable[KeyMgmt]) -> tuple[str, ...]:
    """Give the protocol identifiers of attributes, in their order (RFC 4567 §4.1.4)."""
    return tuple(attribute.protocol for attribute in attributes)


def sdp_ids(offered: Iterable[str]) -> GeneralExtension:
    """Make the General Extension that authenticates the offered protocols (RFC 4567 §4.1.4, §7).

    It goes into the message's extensions, type 1, with the identifiers in the order of the
    description, `mikey;keyp1;keyp2`. Even a sole protocol must authenticate itself.
    """
    text = ";".join(_checked(protocol) for protocol in offered)
    if not text:
        raise ParameterError("an offer has at least one key management protocol")
    return GeneralExtension(ExtensionType.SDP_IDS, text.encode("ascii"))


def check_bidding(verified: Verified, offered: Iterable[str], *, required: bool = True) -> None:
    """Compare the offered protocols with those that the initiator signed (RFC 4567 §4.1.4).

    `offered` are the identifiers of the whole description in their order, `protocols` of
    `Offer.attributes`: with those of one level alone, an attacker could take all lines of a medium
    away, and a weaker one of the session would come into force. Takes a verified message only,
    since an unsigned list proves nothing. Raises `BiddingDownError` where they differ, and where
    the message has no list; with `required` False, one without a list passes, for peers such as
    3GPP's that never send it: then an attacker may have taken protocols away.
    """
    message = verified.parsed.message
    lists = [e.data for e in message.extensions if e.extension_type == ExtensionType.SDP_IDS]
    if not lists and not required:
        return
    if not lists:
        raise BiddingDownError(
            "offer refused: its message does not say which key management protocols were offered"
        )
    text = ";".join(offered)
    if lists != [text.encode("utf-8", "backslashreplace")]:
        raise BiddingDownError(
            f"offer refused: {text[:64]!r} arrived, but {lists[0][:64]!r} was signed; somebody on "
            "the way may have taken protocols away"
        )


def _checked(protocol: str) -> str:
    if not _PROTOCOL.fullmatch(protocol):
        raise ParameterError(f"not a key management protocol identifier: {protocol[:64]!r}")
    return protocol
