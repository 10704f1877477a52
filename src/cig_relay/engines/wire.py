# SPDX-License-Identifier: GPL-3.0-or-later
"""What the relay and its crypto engines say to each other on their private socket pair.

The relay asks, an engine answers one request after the other. A frame is that of the control
socket: a length, then one CBOR map of ``n`` (the request's number), ``t`` and ``b``. These are the
only messages in which secrets leave a process, and their repr shows none.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cbor2

from cig_common.control.record import Record
from cig_common.errors import ControlError
from mikey_sakke.secret import Secret
from mikey_sakke.session import SessionKeys
from mikey_sakke.srtp import SrtpKeys
from umsg.binding import ANSWER_INFO, TEXT_INFO
from umsg.framing import encode_frame
from umsg.sealing import KEY_OCTETS

# --- requests -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Load(Record):
    """Replace all keys by those of a key material's CBOR map (empty: hold none any more)."""

    material: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Check(Record):
    """Check all keys of a key material's CBOR map against their equations; keep none of them."""

    material: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sign(Record):
    """Sign ``text`` with the SSK of ``period`` (``YYYY-MM-REVISION``)."""

    period: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Verify(Record):
    """Check the ECCSI signature of an I_MESSAGE that came at ``utc``.

    ``accept_short``: one that leaves out the SIGN header is good too. The answer is `Authentic`.
    """

    message: bytes
    utc: float
    accept_short: bool = False


@dataclass(frozen=True, slots=True)
class Open(Record):
    """Decapsulate an I_MESSAGE that came at ``utc``, and derive its keys.

    Its signature is checked once more, as by `Verify`.
    """

    message: bytes
    utc: float
    accept_short: bool = False


@dataclass(frozen=True, slots=True)
class Build(Record):
    """Make an I_MESSAGE of time ``utc`` for the tel URI ``responder``.

    ``ssrc`` is that of the caller's stream, ``binding`` the digest of the call's clear fields,
    ``csb_id`` a number that no other call of the gateway has.
    """

    responder: str
    utc: float
    ssrc: int
    csb_id: int
    binding: bytes


@dataclass(frozen=True, slots=True)
class OpenText(Record):
    """Check a text's I_MESSAGE as `Verify` does, decapsulate it, and derive the text's key.

    It may be as old as a text may be (`umsg.texts.MAX_AGE`). The answer is `TextSecrets`.
    """

    message: bytes
    utc: float
    accept_short: bool = False


@dataclass(frozen=True, slots=True)
class BuildText(Record):
    """Make a text's I_MESSAGE; as `Build`, but ``ssrc`` names no stream. Gives `TextSecrets`."""

    responder: str
    utc: float
    ssrc: int
    csb_id: int
    binding: bytes


@dataclass(frozen=True, slots=True)
class CheckSignature(Record):
    """Check the ECCSI signature (129 octets) of the tel URI ``signer`` for a month over ``text``.

    The answer is `Ready`.
    """

    signer: str
    month: str
    text: bytes
    sig: bytes


@dataclass(frozen=True, slots=True)
class Ping(Record):
    """Show that the engine is not hung."""


# --- answers ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started(Record):
    """The engine runs and may be given keys: what it says by itself, with number 0.

    ``locked`` tells whether its memory is locked, ``filtered`` whether its system calls are.
    """

    locked: bool
    filtered: bool


@dataclass(frozen=True, slots=True)
class Ready(Record):
    """The engine has carried out what has no other result."""


@dataclass(frozen=True, slots=True)
class Authentic(Record):
    """An I_MESSAGE's signature is its initiator's; ``short``: it leaves out the SIGN header."""

    short: bool


@dataclass(frozen=True, slots=True)
class Signature(Record):
    """An ECCSI signature of 129 octets."""

    sig: bytes


@dataclass(frozen=True, slots=True)
class CallSecrets(Record):
    """What one I_MESSAGE gives: SRTP keys of the caller's and the callee's stream, answer key.

    Master keys have 16 octets, master salts 14, ``answer_key`` 32. ``message`` is the I_MESSAGE
    that was built, empty where one was opened; ``message_digest`` the SHA-256 of its signed part.
    """

    message: bytes
    message_digest: bytes
    caller_key: bytes = field(repr=False)
    caller_salt: bytes = field(repr=False)
    callee_key: bytes = field(repr=False)
    callee_salt: bytes = field(repr=False)
    answer_key: bytes = field(repr=False)

    @staticmethod
    def of(keys: SessionKeys, message: bytes = b"") -> CallSecrets:
        """Take what a call needs out of a message's keys."""
        return CallSecrets(
            message=message,
            message_digest=keys.message_digest,
            caller_key=keys.initiator.master_key.reveal(),
            caller_salt=keys.initiator.master_salt.reveal(),
            callee_key=keys.responder.master_key.reveal(),
            callee_salt=keys.responder.master_salt.reveal(),
            answer_key=keys.answer_key(ANSWER_INFO).reveal(),
        )

    @property
    def caller(self) -> SrtpKeys:
        """Keys of crypto session 1, the stream that the caller sends."""
        return SrtpKeys(Secret(self.caller_key), Secret(self.caller_salt))

    @property
    def callee(self) -> SrtpKeys:
        """Keys of crypto session 2, the stream that the callee sends."""
        return SrtpKeys(Secret(self.callee_key), Secret(self.callee_salt))


@dataclass(frozen=True, slots=True)
class TextSecrets(Record):
    """What a text's I_MESSAGE gives: the key of 16 octets that seals the text, and no other key.

    ``message`` is the I_MESSAGE that was built, empty where one was opened. ``short``: the
    signature of the one that was opened leaves out the SIGN header.
    """

    message: bytes
    key: bytes = field(repr=False)
    short: bool = False

    @staticmethod
    def of(keys: SessionKeys, message: bytes = b"", *, short: bool = False) -> TextSecrets:
        """Take what a text needs out of a message's keys."""
        key = keys.answer_key(TEXT_INFO)
        try:
            return TextSecrets(message, key.reveal()[:KEY_OCTETS], short)
        finally:
            key.wipe()


@dataclass(frozen=True, slots=True)
class Refused(Record):
    """The operation's input was refused: ``reason`` of `mikey_sakke.errors.Reason`."""

    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Failed(Record):
    """The engine could not do it, through no fault of the input; ``text`` names the exception."""

    text: str


_REQUESTS = (Load, Check, Sign, Verify, Open, Build, OpenText, BuildText, CheckSignature, Ping)
_ANSWERS = (Started, Ready, Authentic, Signature, CallSecrets, TextSecrets, Refused, Failed)
_BY_NAME: dict[str, type[Record]] = {cls.__name__: cls for cls in (*_REQUESTS, *_ANSWERS)}


def encode(number: int, message: Record) -> bytes:
    """Give the frame of a message, length prefix included."""
    body = {"n": number, "t": type(message).__name__, "b": message.to_map()}
    return encode_frame(cbor2.dumps(body))


def decode(payload: bytes) -> tuple[int, Record]:
    """Read a frame's payload: the number and the message. Raises ControlError."""
    try:
        value = cbor2.loads(payload)
        number, cls, fields = value["n"], _BY_NAME[value["t"]], value["b"]
    except Exception:
        raise ControlError("a crypto engine's frame is no message") from None
    if type(number) is not int:
        raise ControlError("a crypto engine's frame has no number")
    return number, cls.from_map(fields)
