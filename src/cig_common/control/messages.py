# SPDX-License-Identifier: GPL-3.0-or-later
"""What cig-server and cig-relay say to each other on the control socket.

The server asks, the relay answers each request once and in any order, and reports events on its
own. No message holds a key: the server gets handles, public facts and finished octet strings.

A call is named by ``call``, a string that the server chooses and that is unique while the server's
connection lasts. URIs are as on the wire of UMSG, extension included (``tel:+8888;101``). Codecs
are named as in UMSG: ``PCMA/8000``. ``dtmf`` is always an RFC 4733 payload type (0 to 127) or None.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cig_common.control.key_facts import Identity, KeysEnding, PeriodRow
from cig_common.control.media import LegStatistics, SipMedia, TelLeg
from cig_common.control.record import Record
from cig_common.control.texts import TEXT_REPLIES, TEXT_REQUESTS

VERSION = 4
"""Version of this protocol; both sides must have the same one."""


class ErrorCode(StrEnum):
    """Why a request failed; `cig_common.control.failures` turns it into an exception."""

    CRYPTO = "crypto"
    NO_KEYS = "no-keys"
    MEDIA = "media"
    CODEC = "codec"
    OVERLOAD = "overload"
    UNKNOWN_CALL = "unknown-call"
    MATERIAL = "material"
    PROTOCOL = "protocol"
    INTERNAL = "internal"


# --- requests -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HelloRequest(Record):
    """First message of a connection. ``pid`` is the server's process id, for the relay's log.

    ``sip_bind`` is the IP address that the server takes SIP on; the SIP side of the media uses the
    same one. The unspecified address stands for all. Empty: the relay goes by its cig.conf.
    """

    version: int
    agent: str
    pid: int
    sip_bind: str = ""


@dataclass(frozen=True, slots=True)
class SignAuthRequest(Record):
    """Asks for the signature of a UMSG ``auth``; each digest is a SHA-256 of 32 octets.

    The relay builds the signed text itself, so this is no oracle for other signatures.
    """

    hello_digest: bytes
    challenge_digest: bytes
    certificate_digest: bytes
    period: str


@dataclass(frozen=True, slots=True)
class AcceptCallRequest(Record):
    """A ``bang`` came from the secure side: check its I_MESSAGE and reserve the call's ports.

    ``id`` to ``dtmf`` are the fields of the ``bang`` as received; ``codec`` is the one of ``offer``
    that the gateway will use towards the secure side. ``sip_peer`` is the IP address of the PBX
    that will be called, empty where it is not known: the sound's address on the SIP side has to be
    of its family.
    """

    call: str
    mikey: bytes
    id: str
    from_uri: str
    to_uri: str
    offer: tuple[str, ...]
    dtmf: int | None
    codec: str
    sip_peer: str = ""


@dataclass(frozen=True, slots=True)
class PlaceCallRequest(Record):
    """A call goes to the secure side: make its I_MESSAGE and reserve its ports.

    ``sip_peer`` is the IP address at which the PBX wants the sound, or from which it calls.
    """

    call: str
    id: str
    from_uri: str
    to_uri: str
    offer: tuple[str, ...]
    dtmf: int | None
    sip_peer: str = ""


@dataclass(frozen=True, slots=True)
class TelLegRequest(Record):
    """The CRS has named the leg of this call: bind it."""

    call: str
    leg: TelLeg


@dataclass(frozen=True, slots=True)
class TelMediaRequest(Record):
    """What the secure side's streams carry from now on; ``dtmf`` is what the peer wants to get."""

    call: str
    codec: str
    dtmf: int | None


@dataclass(frozen=True, slots=True)
class SipMediaRequest(Record):
    """The PBX's side after an answer, early answer or re-INVITE."""

    call: str
    media: SipMedia


@dataclass(frozen=True, slots=True)
class AnswerMacRequest(Record):
    """Asks for the ``mac`` of a ``talk`` or ``growl`` (field ``t``) that the gateway will send."""

    call: str
    t: str
    codec: str
    dtmf: int | None


@dataclass(frozen=True, slots=True)
class CheckMacRequest(Record):
    """Asks whether ``mac``, got in a ``talk`` or ``growl`` (field ``t``), is right."""

    call: str
    t: str
    codec: str
    dtmf: int | None
    mac: bytes


@dataclass(frozen=True, slots=True)
class CloseCallRequest(Record):
    """The call is over: close its sockets, wipe its keys, give its statistics."""

    call: str


@dataclass(frozen=True, slots=True)
class StatisticsRequest(Record):
    """Asks for the statistics of a running call."""

    call: str


@dataclass(frozen=True, slots=True)
class StatusRequest(Record):
    """Asks for the relay's state as ``status`` shows it."""


@dataclass(frozen=True, slots=True)
class KeysRequest(Record):
    """Asks what keys there are, as ``show keys`` shows it; nothing in the answer is secret."""


@dataclass(frozen=True, slots=True)
class PrepareReloadRequest(Record):
    """Asks the relay to compile its cig.conf anew, and to use nothing of it yet.

    ``digest`` is the SHA-256 of the file that the server has compiled: the relay refuses a file
    that is another one. Compiling may take minutes.
    """

    digest: bytes


@dataclass(frozen=True, slots=True)
class CommitReloadRequest(Record):
    """Has new calls use what was prepared under ``digest``. This cannot fail after a `Done`."""

    digest: bytes


# --- answers ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HelloReply(Record):
    """Answers `HelloRequest`; ``identity`` is None while no keys are loaded.

    ``configuration`` is the SHA-256 of the cig.conf that the relay uses. ``keys_ending`` is the
    warning that stands, if one does.
    """

    version: int
    agent: str
    identity: Identity | None
    configuration: bytes = b""
    keys_ending: KeysEnding | None = None


@dataclass(frozen=True, slots=True)
class SignAuthReply(Record):
    """The ECCSI signature (129 octets) for ``auth``."""

    sig: bytes


@dataclass(frozen=True, slots=True)
class AcceptCallReply(Record):
    """Where the SIP side shall send its RTP (even port, RTCP on the next); who proved to call."""

    sip_addr: str
    sip_port: int
    signer: str


@dataclass(frozen=True, slots=True)
class PlaceCallReply(Record):
    """The I_MESSAGE for ``bang``, and where the SIP side shall send its RTP."""

    mikey: bytes
    sip_addr: str
    sip_port: int


@dataclass(frozen=True, slots=True)
class Done(Record):
    """The request was carried out; there is nothing more to say."""


@dataclass(frozen=True, slots=True)
class MacReply(Record):
    """The MAC asked for, 32 octets."""

    mac: bytes


@dataclass(frozen=True, slots=True)
class StatisticsReply(Record):
    """Statistics of a call's two legs, the secure one first."""

    call: str
    seconds: float
    legs: tuple[LegStatistics, ...]


@dataclass(frozen=True, slots=True)
class StatusReply(Record):
    """The relay's state; ``crypto_state`` is ``OK`` or says in words what is wrong.

    ``periods`` are those of the keystore, oldest first; ``keys_ending`` is the warning that stands.
    ``keystore`` says in words what the keystore is sealed by.
    ``random`` says where random octets come from; it begins with ``FAILED:`` when there are none.
    """

    engines_available: int
    engines_total: int
    crypto_state: str
    identity: Identity | None
    calls: int
    ports_free: int
    random: str
    counters: dict[str, int]
    periods: tuple[PeriodRow, ...]
    keys_ending: KeysEnding | None
    keystore: str


@dataclass(frozen=True, slots=True)
class KeysReply(Record):
    """The keys that there are.

    ``anchor`` says by what the CRS's certificate is checked, empty without keys. ``path`` is the
    keystore's file, empty where there is none; ``sealed_by`` says what protects it at rest;
    ``problem`` what is wrong with the keys, empty where nothing is.
    """

    identity: Identity | None
    anchor: str
    periods: tuple[PeriodRow, ...]
    path: str
    sealed_by: str
    problem: str
    keys_ending: KeysEnding | None


@dataclass(frozen=True, slots=True)
class ErrorReply(Record):
    """The request failed; ``detail`` is a stable word (``replayed``), ``text`` is for people."""

    code: ErrorCode
    detail: str
    text: str


# --- events -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TelBoundEvent(Record):
    """The CRS answered the leg's STUN binding: media can flow."""

    call: str


@dataclass(frozen=True, slots=True)
class MediaLostEvent(Record):
    """No authenticated SRTP or SRTCP has come for the time that UMSG allows; the call must end."""

    call: str
    side: str
    seconds: float


@dataclass(frozen=True, slots=True)
class EnginesEvent(Record):
    """A crypto engine died or came back."""

    available: int
    total: int


@dataclass(frozen=True, slots=True)
class IdentityEvent(Record):
    """The keystore was loaded anew; ``identity`` None means that there are no keys."""

    identity: Identity | None


@dataclass(frozen=True, slots=True)
class KeysEndingEvent(Record):
    """The keys come to an end, or not any more: ``warning`` None takes the last one back."""

    warning: KeysEnding | None


@dataclass(frozen=True, slots=True)
class ConfigurationEvent(Record):
    """The relay was told by its own signal to take cig.conf anew: ``digest`` is its SHA-256."""

    digest: bytes


REQUESTS: tuple[type[Record], ...] = (
    HelloRequest,
    SignAuthRequest,
    AcceptCallRequest,
    PlaceCallRequest,
    TelLegRequest,
    TelMediaRequest,
    SipMediaRequest,
    AnswerMacRequest,
    CheckMacRequest,
    CloseCallRequest,
    StatisticsRequest,
    StatusRequest,
    KeysRequest,
    PrepareReloadRequest,
    CommitReloadRequest,
    *TEXT_REQUESTS,
)
"""Messages from the server to the relay."""

REPLIES: tuple[type[Record], ...] = (
    HelloReply,
    SignAuthReply,
    AcceptCallReply,
    PlaceCallReply,
    Done,
    MacReply,
    StatisticsReply,
    StatusReply,
    KeysReply,
    *TEXT_REPLIES,
    ErrorReply,
)
"""The relay's answers; each names the request's number."""

EVENTS: tuple[type[Record], ...] = (
    TelBoundEvent,
    MediaLostEvent,
    EnginesEvent,
    IdentityEvent,
    KeysEndingEvent,
    ConfigurationEvent,
)
"""What the relay reports on its own, with the number 0."""
