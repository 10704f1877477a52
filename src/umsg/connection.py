# SPDX-License-Identifier: GPL-3.0-or-later
"""What both ends of a UMSG connection have in common, without I/O.

The rules:
- Each side is in one state, and a table says which message it takes in which state.
- Before `welcome` a message that the table lacks, or that is malformed or unknown, is
  answered with `error protocol` and ends the session.
- After `welcome` such a message becomes a BadMessage event and nothing else; an unknown
  type is also answered with `error unsupported`.
- A frame that is too long or is not one CBOR map ends the session in every state.
- A side that has sent nothing for a keep-alive span sends `ping`; one that has heard
  nothing for two spans ends the session.
- A server gives a client 10 s to be welcomed, a client gives a server 30 s.

`now` is in seconds of a clock that never steps back.
"""

from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, ClassVar

from umsg import messages
from umsg.errors import (
    CLOSING_CODES,
    CborError,
    ErrorCode,
    FrameError,
    LocalError,
    MessageError,
    UnknownTypeError,
)
from umsg.events import (
    BadMessage,
    ErrorReceived,
    Event,
    MessageReceived,
    SessionEnded,
)
from umsg.framing import FrameDecoder, encode_frame
from umsg.messages import ErrorMessage, Message, Ping, Pong

SILENT_SPANS = 2
"""Keep-alive spans without a word after which the peer is taken for dead."""


class SessionState(Enum):
    """How far a session has come. In brackets: whose turn it is."""

    CHALLENGE = "client: waits for challenge"
    SIGNATURE = "client: waits for authenticate()"
    WELCOME = "client: waits for welcome"
    HELLO = "server: waits for hello"
    AUTH = "server: waits for auth"
    VERDICT = "server: waits for accept() or refuse()"
    OPEN = "after welcome"
    CLOSED = "over"


Table = Mapping[tuple[SessionState, type[Message]], Callable[[Any, Any, bytes, float], None]]
"""(state, message class) to handler(session, message, payload, now)."""


class Session:
    """What both ends have in common; `ClientSession` and `ServerSession` are the ends."""

    _TABLE: ClassVar[Table]
    _SENDS: ClassVar[tuple[type[Message], ...]]
    _LATE_CODE: ClassVar[ErrorCode | None]  # what a peer is told that is never welcomed

    def __init__(self, *, state: SessionState, max_frame: int, deadline: float) -> None:
        self.state = state
        self._decoder = FrameDecoder(max_frame)
        self._out = bytearray()
        self._events: deque[Event] = deque()
        self._patience_ends = deadline
        self._keepalive = 0.0
        self._sent_at = 0.0
        self._heard_at = 0.0
        self._ping_number = 0

    @property
    def closed(self) -> bool:
        """Whether the session is over."""
        return self.state is SessionState.CLOSED

    def receive_data(self, data: bytes, now: float) -> None:
        """Take octets from the peer; results come from `next_event` and `data_to_send`."""
        if self.closed:
            return
        self._heard_at = now
        broken: FrameError | None = None
        try:
            frames = self._decoder.feed(data)
        except FrameError as error:
            frames, broken = error.frames, error
        for frame in frames:
            if not self.closed:
                self._receive_frame(frame, now)
        if broken is not None:
            self.close(now, broken.code, str(broken))

    def next_event(self) -> Event | None:
        """Return the oldest event that has not been taken yet, or None."""
        return self._events.popleft() if self._events else None

    def data_to_send(self) -> bytes:
        """Return the octets to write to the peer now, each once."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` wants to be called, None if never."""
        if self.state is SessionState.CLOSED:
            return None
        if self.state is not SessionState.OPEN:
            return self._patience_ends
        return min(self._sent_at + self._keepalive, self._dead_at())

    def handle_timer(self, now: float) -> None:
        """Do what is due: `ping` after silence, the end after too much of it."""
        if self.state is SessionState.CLOSED:
            return
        if self.state is not SessionState.OPEN:
            if now >= self._patience_ends:
                self.close(now, self._LATE_CODE, "no welcome in time")
        elif now >= self._dead_at():
            self.close(now, None, "nothing heard for two keep-alive spans")
        elif now >= self._sent_at + self._keepalive:
            self._ping_number = (self._ping_number + 1) % 2**32
            self._put(Ping(n=self._ping_number), now)

    def send(self, message: Message, now: float) -> None:
        """Queue a message. Raises LocalError before `welcome` or for the wrong direction."""
        if self.state is not SessionState.OPEN:
            raise LocalError(f"cannot send {message.TYPE}: the session is not open")
        if not isinstance(message, self._SENDS):
            raise LocalError(f"{message.TYPE} does not go this way")
        self._put(message, now)

    def close(self, now: float, code: ErrorCode | None = None, text: str = "") -> None:
        """End the session; with a code the peer is told by `error` first."""
        if self.state is SessionState.CLOSED:
            return
        if code is not None:
            self._put(ErrorMessage(code=code, text=text), now)
        self._end(code, text, by_peer=False)

    def connection_lost(self) -> None:
        """Tell the session that the transport is gone."""
        if self.state is not SessionState.CLOSED:
            self._out.clear()
            self._end(None, "connection lost", by_peer=True)

    def _dead_at(self) -> float:
        return self._heard_at + SILENT_SPANS * self._keepalive

    def _put(self, message: Message, now: float) -> bytes:
        payload = message.encode()
        self._out += encode_frame(payload)
        self._sent_at = now
        return payload

    def _end(self, code: ErrorCode | None, text: str, *, by_peer: bool) -> None:
        self.state = SessionState.CLOSED
        self._events.append(SessionEnded(code, text, by_peer))

    def _open(self, keepalive: int, now: float) -> None:
        self.state = SessionState.OPEN
        self._keepalive = float(keepalive)
        self._heard_at = now

    def _receive_frame(self, frame: bytes, now: float) -> None:
        try:
            message = messages.parse(frame)
        except CborError as error:
            self.close(now, error.code, str(error))
        except (UnknownTypeError, MessageError) as error:
            self._refuse_message(error, now)
        else:
            handler = self._TABLE.get((self.state, type(message)))
            if handler is not None:
                handler(self, message, frame, now)
            elif self.state is SessionState.OPEN:
                self._bad(message, f"{message.TYPE} is not expected now")
            else:
                self.close(now, ErrorCode.PROTOCOL, f"{message.TYPE} is out of turn")

    def _refuse_message(self, error: UnknownTypeError | MessageError, now: float) -> None:
        if self.state is not SessionState.OPEN:
            self.close(now, ErrorCode.PROTOCOL, str(error))
            return
        if isinstance(error, UnknownTypeError):
            answer = ErrorMessage(code=error.code, text=str(error), id=error.id, mid=error.mid)
            self._put(answer, now)
        self._events.append(BadMessage(error.type, error.id, error.mid, str(error)))

    def _bad(self, message: Message, text: str) -> None:
        id_, mid = getattr(message, "id", None), getattr(message, "mid", None)
        self._events.append(BadMessage(message.TYPE, id_, mid, text))

    def _on_ping(self, message: Ping, _: bytes, now: float) -> None:
        self._put(Pong(n=message.n), now)

    def _on_pong(self, message: Pong, _: bytes, now: float) -> None:
        """Do nothing: that something was heard has been noted already."""

    def _on_error(self, message: ErrorMessage, _: bytes, now: float) -> None:
        of_one = message.id is not None or message.mid is not None
        if self.state is SessionState.OPEN and (of_one or message.code not in CLOSING_CODES):
            self._events.append(ErrorReceived(message.code, message.text, message.id, message.mid))
        else:
            self._end(message.code, message.text, by_peer=True)

    def _on_message(self, message: Message, _: bytes, now: float) -> None:
        self._events.append(MessageReceived(message))
