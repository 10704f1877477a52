# SPDX-License-Identifier: GPL-3.0-or-later
"""What cig-server and cig-relay say to each other about texts.

The server never holds a text's key. It has the relay seal or open a text piece by piece, each piece
at most `umsg.texts.MAX_PART` octets, in order, under a name that it chooses (``text``). The first
piece comes with the request that begins, further ones with `TextDataRequest`; ``last`` ends the
text, and the relay has forgotten it then. One that is given up before is ended by
`CloseTextRequest`; the end of the connection ends all.

What comes out of an opened text before its last piece is not authentic yet: nothing may be done
with it but keep it, until the last answer says that the whole is what its sender sealed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cig_common.control.record import Record

# --- requests -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenTextRequest(Record):
    """A text came from the secure side: check its I_MESSAGE, open its first piece.

    ``mid``, ``from_uri``, ``to_uri`` and ``mikey`` are those of part 0 as received; ``data`` is
    sealed content. Answered by `OpenTextReply`.
    """

    text: str
    mid: str
    from_uri: str
    to_uri: str
    mikey: bytes
    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class SealTextRequest(Record):
    """A text goes to the secure side: make its I_MESSAGE, seal its first piece.

    ``from_uri`` is the gateway's own, an extension allowed. Answered by `SealTextReply`.
    """

    text: str
    mid: str
    from_uri: str
    to_uri: str
    data: bytes = field(repr=False)
    last: bool


@dataclass(frozen=True, slots=True)
class TextDataRequest(Record):
    """The next piece of a text that is being sealed or opened; answered by `TextDataReply`."""

    text: str
    data: bytes = field(repr=False)
    last: bool


@dataclass(frozen=True, slots=True)
class CloseTextRequest(Record):
    """Give up a text; one that is unknown is left alone. Answered by `Done`."""

    text: str


@dataclass(frozen=True, slots=True)
class SignReceiptRequest(Record):
    """Asks for the signature of a ``receipt``; the relay builds the signed text itself.

    ``status`` is ``delivered`` or ``refused``, ``content_digest`` the SHA-256 (32 octets) of the
    whole sealed content. Answered by `SignReceiptReply`.
    """

    mid: str
    status: str
    content_digest: bytes


@dataclass(frozen=True, slots=True)
class CheckReceiptRequest(Record):
    """Asks whether a ``receipt`` is signed by ``signer`` (a tel URI, an extension left out).

    Answered by `Done`, or by an `ErrorReply` of code ``crypto``.
    """

    mid: str
    status: str
    content_digest: bytes
    signer: str
    period: str
    sig: bytes


# --- answers ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenTextReply(Record):
    """The sender proved to be ``signer`` (its bare tel URI), of the security domain ``domain``.

    ``data`` is the content that the first piece gave: as many octets, less the 16 of the tag.
    """

    signer: str
    domain: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SealTextReply(Record):
    """The I_MESSAGE, and the sealed content of the first piece; the tag follows the last one."""

    mikey: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class TextDataReply(Record):
    """What the piece gave. After a text's last piece: it is whole, and authentic."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignReceiptReply(Record):
    """The period whose key signed (``YYYY-MM-REVISION``), and the signature of 129 octets."""

    period: str
    sig: bytes


TEXT_REQUESTS: tuple[type[Record], ...] = (
    OpenTextRequest,
    SealTextRequest,
    TextDataRequest,
    CloseTextRequest,
    SignReceiptRequest,
    CheckReceiptRequest,
)
"""Messages about texts from the server to the relay."""

TEXT_REPLIES: tuple[type[Record], ...] = (
    OpenTextReply,
    SealTextReply,
    TextDataReply,
    SignReceiptReply,
)
"""The relay's answers to them."""
