# SPDX-License-Identifier: GPL-3.0-or-later
"""The two ends of a UMSG connection. `connection.py` has the rules in words."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import ClassVar

from umsg import messages
from umsg.binding import auth_text_from_digests, frame_digest
from umsg.connection import Session, SessionState, Table
from umsg.errors import ErrorCode, LocalError
from umsg.events import AuthWanted, Resumed, ResumeReceived, SignatureWanted, Welcomed
from umsg.fields import MAX_IDS
from umsg.framing import MAX_FRAME, MAX_FRAME_BEFORE_WELCOME
from umsg.messages import (
    Alive,
    Auth,
    Bang,
    Challenge,
    ErrorMessage,
    Growl,
    Hangup,
    Hello,
    Ping,
    Pong,
    Receipt,
    Resume,
    Stored,
    Talk,
    Text,
    Try,
    Welcome,
)

SERVER_PATIENCE = 10.0
"""Seconds from connect to `welcome` that a server allows."""
CLIENT_PATIENCE = 30.0
"""Seconds from connect to `welcome` that a client allows."""

__all__ = ["CLIENT_PATIENCE", "SERVER_PATIENCE", "ClientSession", "ServerSession", "SessionState"]


class ClientSession(Session):
    """A client's end. It never signs: SignatureWanted asks for it.

    `uri` is the client's tel URI without extension, `agent` what it calls itself,
    `certificate_digest` the SHA-256 (32 octets) of the server's DER certificate.
    """

    _SENDS: ClassVar = messages.FROM_CLIENT
    _LATE_CODE: ClassVar = None  # a server that says nothing need not be told

    def __init__(
        self,
        *,
        uri: str,
        agent: str,
        certificate_digest: bytes,
        now: float,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        super().__init__(
            state=SessionState.CHALLENGE, max_frame=MAX_FRAME, deadline=now + CLIENT_PATIENCE
        )
        self.uri = uri
        self._certificate_digest = certificate_digest
        self._unanswered: deque[frozenset[str]] = deque()
        self._alive: set[str] = set()
        self._lost: set[str] = set()
        hello = self._put(Hello(uri=uri, agent=agent, nonce=random_bytes(16)), now)
        self._hello_digest = frame_digest(hello)

    def authenticate(self, period: str, sig: bytes, now: float) -> None:
        """Send `auth`: the answer to SignatureWanted. Ignored if the session ended meanwhile."""
        if self.closed:
            return
        if self.state is not SessionState.SIGNATURE:
            raise LocalError("no signature is wanted now")
        self._put(Auth(period=period, sig=sig), now)
        self.state = SessionState.WELCOME

    def resume(self, ids: Iterable[str], now: float) -> None:
        """Name the calls still held, none or more; to be called once, upon Welcomed.

        A server ends every call that is not named within 5 s. Resumed is the answer.
        """
        held = list(dict.fromkeys(ids))
        for start in range(0, max(len(held), 1), MAX_IDS):
            part = tuple(held[start : start + MAX_IDS])
            self.send(Resume(ids=part), now)
            self._unanswered.append(frozenset(part))

    def _on_challenge(self, message: Challenge, frame: bytes, now: float) -> None:
        self.state = SessionState.SIGNATURE
        self._events.append(
            SignatureWanted(
                uri=self.uri,
                hello_digest=self._hello_digest,
                challenge_digest=frame_digest(frame),
                certificate_digest=self._certificate_digest,
                domain=message.domain,
                time=message.time,
            )
        )

    def _on_welcome(self, message: Welcome, _: bytes, now: float) -> None:
        self._open(message.keepalive, now)
        self._events.append(Welcomed(message.time, message.keepalive, message.pending))

    def _on_alive(self, message: Alive, _: bytes, now: float) -> None:
        if not self._unanswered:
            self._bad(message, "alive without a resume")
            return
        named = self._unanswered.popleft()
        self._alive |= named.intersection(message.ids)
        self._lost |= named.difference(message.ids)
        if not self._unanswered:
            self._events.append(Resumed(frozenset(self._alive), frozenset(self._lost)))
            self._alive, self._lost = set(), set()

    def _on_bang(self, message: Bang, frame: bytes, now: float) -> None:
        if message.leg is None:
            self._bad(message, "bang without a leg")
        else:
            self._on_message(message, frame, now)

    _TABLE: ClassVar[Table] = {
        (SessionState.CHALLENGE, Challenge): _on_challenge,
        (SessionState.CHALLENGE, ErrorMessage): Session._on_error,
        (SessionState.SIGNATURE, ErrorMessage): Session._on_error,
        (SessionState.WELCOME, Welcome): _on_welcome,
        (SessionState.WELCOME, ErrorMessage): Session._on_error,
        (SessionState.OPEN, Ping): Session._on_ping,
        (SessionState.OPEN, Pong): Session._on_pong,
        (SessionState.OPEN, ErrorMessage): Session._on_error,
        (SessionState.OPEN, Alive): _on_alive,
        (SessionState.OPEN, Bang): _on_bang,
        (SessionState.OPEN, Try): Session._on_message,
        (SessionState.OPEN, Growl): Session._on_message,
        (SessionState.OPEN, Talk): Session._on_message,
        (SessionState.OPEN, Hangup): Session._on_message,
        (SessionState.OPEN, Text): Session._on_message,
        (SessionState.OPEN, Stored): Session._on_message,
        (SessionState.OPEN, Receipt): Session._on_message,
    }


class ServerSession(Session):
    """A server's end. It checks no signature: AuthWanted asks for that.

    `certificate_digest` is the SHA-256 (32 octets) of the server's own DER certificate,
    `keepalive` in seconds, `utc` gives the time in UTC seconds.
    """

    _SENDS: ClassVar = messages.FROM_SERVER
    _LATE_CODE: ClassVar = ErrorCode.PROTOCOL

    def __init__(
        self,
        *,
        domain: str,
        certificate_digest: bytes,
        keepalive: int,
        now: float,
        utc: Callable[[], int],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        super().__init__(
            state=SessionState.HELLO,
            max_frame=MAX_FRAME_BEFORE_WELCOME,
            deadline=now + SERVER_PATIENCE,
        )
        self.uri: str | None = None
        """The client's URI as it says, proved once the state is OPEN."""
        self._domain = domain
        self._certificate_digest = certificate_digest
        self._granted_keepalive = keepalive
        self._utc = utc
        self._random_bytes = random_bytes
        self._agent = ""
        self._hello_digest = b""
        self._challenge_digest = b""

    def accept(self, pending: int, now: float) -> None:
        """Send `welcome`: the signature is right. `pending` texts wait for the client."""
        if self.closed:
            return
        if self.state is not SessionState.VERDICT:
            raise LocalError("no signature is waiting for a verdict")
        welcome = Welcome(time=self._utc(), keepalive=self._granted_keepalive, pending=pending)
        self._put(welcome, now)
        self._decoder.max_length = MAX_FRAME
        self._open(self._granted_keepalive, now)

    def refuse(self, text: str, now: float, code: ErrorCode = ErrorCode.AUTH) -> None:
        """Send `error` and end the session: the signature or the URI is not accepted."""
        self.close(now, code, text)

    def _on_hello(self, message: Hello, frame: bytes, now: float) -> None:
        self.uri, self._agent = message.uri, message.agent
        self._hello_digest = frame_digest(frame)
        challenge = Challenge(nonce=self._random_bytes(32), time=self._utc(), domain=self._domain)
        self._challenge_digest = frame_digest(self._put(challenge, now))
        self.state = SessionState.AUTH

    def _on_auth(self, message: Auth, _: bytes, now: float) -> None:
        assert self.uri is not None
        self.state = SessionState.VERDICT
        text = auth_text_from_digests(
            hello_digest=self._hello_digest,
            challenge_digest=self._challenge_digest,
            certificate_digest=self._certificate_digest,
            period=message.period,
        )
        self._events.append(AuthWanted(self.uri, self._agent, message.period, message.sig, text))

    def _on_resume(self, message: Resume, _: bytes, now: float) -> None:
        self._events.append(ResumeReceived(message.ids))

    _TABLE: ClassVar[Table] = {
        (SessionState.HELLO, Hello): _on_hello,
        (SessionState.AUTH, Auth): _on_auth,
        (SessionState.OPEN, Ping): Session._on_ping,
        (SessionState.OPEN, Pong): Session._on_pong,
        (SessionState.OPEN, ErrorMessage): Session._on_error,
        (SessionState.OPEN, Resume): _on_resume,
        (SessionState.OPEN, Bang): Session._on_message,
        (SessionState.OPEN, Growl): Session._on_message,
        (SessionState.OPEN, Talk): Session._on_message,
        (SessionState.OPEN, Hangup): Session._on_message,
        (SessionState.OPEN, Text): Session._on_message,
        (SessionState.OPEN, Receipt): Session._on_message,
    }
