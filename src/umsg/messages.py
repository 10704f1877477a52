# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of UMSG/1: one frozen dataclass each, and `parse` for a payload.

Every payload is one CBOR map (RFC 8949) with the type under `t`. `from` and `to` on the
wire are `from_uri` and `to_uri` here.
"""

# ruff: noqa: RUF009 - wire() makes a dataclass field, which is what the rule asks for
import base64
import dataclasses
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import ClassVar, Final, Self

from umsg import cbor
from umsg.errors import CborError, ErrorCode, FieldError, MessageError, UnknownTypeError
from umsg.fields import (
    ADDRESS,
    BARE_TEL_URI,
    CALL_ID,
    CODEC,
    MAX_IDS,
    MAX_MIKEY,
    PAYLOAD_TYPE,
    PERIOD,
    SECONDS,
    SIGNATURE_OCTETS,
    TEL_URI,
    Record,
    integer,
    list_of,
    octets,
    one_of,
    pattern,
    record_of,
    text,
    wire,
)
from umsg.reasons import Reason

MAX_TEXT_PARTS = 512
MAX_TEXT_PART = 32768
"""Octets of sealed content in one part of a text."""
MAX_OFFER = 16
VERSION = 1


def new_id(random_bytes: Callable[[int], bytes]) -> str:
    """Return a fresh call or text id: 12 random octets in base64, 16 characters."""
    return base64.b64encode(random_bytes(12)).decode()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Message(Record):
    """Base of all messages."""

    TYPE: ClassVar[str] = ""

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> Self:
        """Build one from a decoded map; raises MessageError. `parse` below picks the class."""
        try:
            return cls.from_map(values)
        except FieldError as error:
            id_, mid = _named(values)
            raise MessageError(cls.TYPE, error.field, error.words, id_=id_, mid=mid) from error

    def encode(self) -> bytes:
        """Return the payload: a CBOR map, without the frame's length."""
        return cbor.encode({"t": self.TYPE, **self.to_map()})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Hello(Message):
    """`hello`, client to server: the first message; who wants to come in.

    `nonce` is 16 random octets, so that no two signed texts are alike.
    """

    TYPE: ClassVar[str] = "hello"
    uri: str = wire(BARE_TEL_URI)
    agent: str = wire(text(256))
    nonce: bytes = wire(octets(16, 16))
    v: int = dataclasses.field(
        default=VERSION,
        metadata={"kind": integer(VERSION, VERSION), "key": None, "optional": False},
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Challenge(Message):
    """`challenge`, server to client: 32 random octets, the UTC time, the domain's name."""

    TYPE: ClassVar[str] = "challenge"
    nonce: bytes = wire(octets(32, 32))
    time: int = wire(SECONDS)
    domain: str = wire(text(256))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Auth(Message):
    """`auth`, client to server: the ECCSI signature (RFC 6507, 129 octets) for a period."""

    TYPE: ClassVar[str] = "auth"
    period: str = wire(PERIOD)
    sig: bytes = wire(octets(SIGNATURE_OCTETS, SIGNATURE_OCTETS))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Welcome(Message):
    """`welcome`, server to client: UTC time, keep-alive span in seconds, texts waiting."""

    TYPE: ClassVar[str] = "welcome"
    time: int = wire(SECONDS)
    keepalive: int = wire(integer(1, 3600))
    pending: int = wire(integer(0, 2**32 - 1))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Resume(Message):
    """`resume`, client to server: the calls that the client still holds, at most 500."""

    TYPE: ClassVar[str] = "resume"
    ids: tuple[str, ...] = wire(list_of(CALL_ID, 0, MAX_IDS))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Alive(Message):
    """`alive`, server to client: those calls of one `resume` that still stand."""

    TYPE: ClassVar[str] = "alive"
    ids: tuple[str, ...] = wire(list_of(CALL_ID, 0, MAX_IDS))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ping(Message):
    """`ping`, either way, after a keep-alive span of silence."""

    TYPE: ClassVar[str] = "ping"
    n: int = wire(integer(0, 2**32 - 1))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pong(Message):
    """`pong`, the answer to `ping`, with the same `n`."""

    TYPE: ClassVar[str] = "pong"
    n: int = wire(integer(0, 2**32 - 1))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Leg(Record):
    """Where the server takes one leg's packets, and the STUN credential (RFC 8489) for it."""

    TYPE: ClassVar[str] = "leg"
    addr: str = wire(ADDRESS)
    port: int = wire(integer(1, 65535))
    ufrag: str = wire(pattern("4 to 256 letters, digits, + or /", r"[A-Za-z0-9+/]{4,256}"))
    pwd: str = wire(pattern("24 letters, digits, + or /", r"[A-Za-z0-9+/]{24}"), secret=True)


_LEG = record_of(Leg)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bang(Message):
    """`bang`, caller to callee: a new call. The server adds the callee's `leg`.

    `mikey` is the I_MESSAGE (RFC 6509), at most 4096 octets; `offer` names codecs as
    name/rate; `dtmf` is the RFC 4733 payload type that the caller wants to receive.
    """

    TYPE: ClassVar[str] = "bang"
    id: str = wire(CALL_ID)
    from_uri: str = wire(TEL_URI, key="from")
    to_uri: str = wire(TEL_URI, key="to")
    mikey: bytes = wire(octets(1, MAX_MIKEY))
    offer: tuple[str, ...] = wire(list_of(CODEC, 1, MAX_OFFER))
    dtmf: int | None = wire(PAYLOAD_TYPE, optional=True)
    leg: Leg | None = wire(_LEG, optional=True)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Try(Message):
    """`try`, server to caller: the callee was found and has been sent the `bang`."""

    TYPE: ClassVar[str] = "try"
    id: str = wire(CALL_ID)
    leg: Leg = wire(_LEG)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Growl(Message):
    """`growl`, callee to caller: the callee is alerted; with `codec` it opens early media."""

    TYPE: ClassVar[str] = "growl"
    id: str = wire(CALL_ID)
    codec: str | None = wire(CODEC, optional=True)
    dtmf: int | None = wire(PAYLOAD_TYPE, optional=True)
    mac: bytes | None = wire(octets(32, 32), optional=True)

    def __post_init__(self) -> None:
        Message.__post_init__(self)
        if self.codec is None and (self.mac is not None or self.dtmf is not None):
            raise FieldError(self.TYPE, "codec", "present where mac or dtmf is")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Talk(Message):
    """`talk`, callee to caller: the call is answered with one codec of the offer.

    `mac` may be absent on the wire, because a missing one ends the call with `crypto`
    like a wrong one, and not as a malformed message.
    """

    TYPE: ClassVar[str] = "talk"
    id: str = wire(CALL_ID)
    codec: str = wire(CODEC)
    dtmf: int | None = wire(PAYLOAD_TYPE, optional=True)
    mac: bytes | None = wire(octets(32, 32), optional=True)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Hangup(Message):
    """`hangup`, either way: the call is over, in whatever state it was."""

    TYPE: ClassVar[str] = "hangup"
    id: str = wire(CALL_ID)
    reason: Reason = wire(one_of(Reason))
    text: str | None = wire(text(), optional=True)


class ReceiptStatus(StrEnum):
    """The `status` of a `receipt`."""

    DELIVERED = "delivered"
    REFUSED = "refused"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Text(Message):
    """`text`, sender to server to recipient: part `seq` (from 0) `of` all parts.

    Part 0, and no other, also has `from`, `to` and the I_MESSAGE `mikey`.
    """

    TYPE: ClassVar[str] = "text"
    mid: str = wire(CALL_ID)
    seq: int = wire(integer(0, MAX_TEXT_PARTS - 1))
    of: int = wire(integer(1, MAX_TEXT_PARTS))
    data: bytes = wire(octets(0, MAX_TEXT_PART))
    from_uri: str | None = wire(TEL_URI, key="from", optional=True)
    to_uri: str | None = wire(TEL_URI, key="to", optional=True)
    mikey: bytes | None = wire(octets(1, MAX_MIKEY), optional=True)

    def __post_init__(self) -> None:
        Message.__post_init__(self)
        if self.seq >= self.of:
            raise FieldError(self.TYPE, "seq", "below of")
        for key, value in (("from", self.from_uri), ("to", self.to_uri), ("mikey", self.mikey)):
            if (value is not None) != (self.seq == 0):
                raise FieldError(self.TYPE, key, "in part 0 and in no other")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stored(Message):
    """`stored`, server to sender: all parts of the text are on disk."""

    TYPE: ClassVar[str] = "stored"
    mid: str = wire(CALL_ID)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(Message):
    """`receipt`, recipient to server to sender: what became of the text, signed."""

    TYPE: ClassVar[str] = "receipt"
    mid: str = wire(CALL_ID)
    status: ReceiptStatus = wire(one_of(ReceiptStatus))
    period: str = wire(PERIOD)
    sig: bytes = wire(octets(SIGNATURE_OCTETS, SIGNATURE_OCTETS))
    reason: str | None = wire(text(), optional=True)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ErrorMessage(Message):
    """`error`, either way: what was refused, and of which call or text, if of one."""

    TYPE: ClassVar[str] = "error"
    code: ErrorCode = wire(one_of(ErrorCode))
    text: str = wire(text())
    id: str | None = wire(CALL_ID, optional=True)
    mid: str | None = wire(CALL_ID, optional=True)


FROM_CLIENT: Final[tuple[type[Message], ...]] = (
    *(Hello, Auth, Resume, Ping, Pong),
    *(Bang, Growl, Talk, Hangup, Text, Receipt, ErrorMessage),
)
"""What a client may send."""
FROM_SERVER: Final[tuple[type[Message], ...]] = (
    *(Challenge, Welcome, Alive, Ping, Pong),
    *(Bang, Try, Growl, Talk, Hangup, Text, Stored, Receipt, ErrorMessage),
)
"""What a server may send."""
TYPES: Final[dict[str, type[Message]]] = {cls.TYPE: cls for cls in (*FROM_CLIENT, *FROM_SERVER)}
"""All message classes by their `t`."""


def _named(values: Mapping[str, object]) -> tuple[str | None, str | None]:
    """Return the call id and the text id that a map names, where they are readable."""
    found = [
        value if isinstance(value := values.get(key), str) and CALL_ID.check(value) else None
        for key in ("id", "mid")
    ]
    return found[0], found[1]


def parse(payload: bytes) -> Message:
    """Return the message in a frame's payload.

    Raises CborError (the connection ends), UnknownTypeError (answered with `error
    unsupported`) or MessageError (ends at most the call or text that it names).
    """
    values = cbor.decode_map(payload)
    type_ = values.get("t")
    if not isinstance(type_, str):
        raise CborError("map without a type t")
    cls = TYPES.get(type_)
    if cls is None:
        raise UnknownTypeError(type_[:32], *_named(values))
    return cls.parse(values)
