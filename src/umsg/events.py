# SPDX-License-Identifier: GPL-3.0-or-later
"""What a session tells its shell."""

from dataclasses import dataclass

from umsg.binding import auth_text_from_digests
from umsg.errors import ErrorCode
from umsg.messages import Message


@dataclass(frozen=True, slots=True)
class SignatureWanted:
    """Client: the server has sent its challenge; answer with `authenticate(period, sig)`.

    The digests are SHA-256, 32 octets; `domain` and `time` (UTC seconds) are the server's.
    """

    uri: str
    hello_digest: bytes
    challenge_digest: bytes
    certificate_digest: bytes
    domain: str
    time: int

    def text(self, period: str) -> bytes:
        """Return the text to sign for a key period."""
        return auth_text_from_digests(
            hello_digest=self.hello_digest,
            challenge_digest=self.challenge_digest,
            certificate_digest=self.certificate_digest,
            period=period,
        )


@dataclass(frozen=True, slots=True)
class Welcomed:
    """Client: the way is open; call `resume(ids)` now with the calls that are still held."""

    time: int
    keepalive: int
    pending: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """Client: the server has answered for every call named in `resume`.

    `lost` calls are over at the server; of each in `alive` the last message is to be
    sent again (`CallMachine.resume`).
    """

    alive: frozenset[str]
    lost: frozenset[str]


@dataclass(frozen=True, slots=True)
class AuthWanted:
    """Server: check `sig` (ECCSI) over `text`, then call `accept` or `refuse`."""

    uri: str
    agent: str
    period: str
    sig: bytes
    text: bytes


@dataclass(frozen=True, slots=True)
class ResumeReceived:
    """Server: the client still holds these calls; answer with one `alive`."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message of a call or a text, well-formed and in the right direction."""

    message: Message


@dataclass(frozen=True, slots=True)
class BadMessage:
    """A message that could not be used; it ends at most the call or text that it names."""

    type: str
    id: str | None
    mid: str | None
    text: str


@dataclass(frozen=True, slots=True)
class ErrorReceived:
    """The peer reported an error which does not end the connection."""

    code: ErrorCode
    text: str
    id: str | None
    mid: str | None


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The session is over: flush `data_to_send`, then close the transport.

    `code` is that of the `error` sent or received, None where there was none.
    """

    code: ErrorCode | None
    text: str
    by_peer: bool


Event = (
    SignatureWanted
    | Welcomed
    | Resumed
    | AuthWanted
    | ResumeReceived
    | MessageReceived
    | BadMessage
    | ErrorReceived
    | SessionEnded
)
