# SPDX-License-Identifier: GPL-3.0-or-later
"""MESSAGE outside of calls (RFC 3428), both ways: what is open in the SIP stack, by name.

Runs in the SIP stack's one thread and knows nothing of pjsua2. The rules:

1. Each request that comes is reported once, or refused here where it cannot be read. Its name
   stays open until it is answered; after `ANSWER_SECONDS`, longer than any client waits, it is
   answered with 503 here.
2. Each `SendMessage` ends with exactly one `MessageResult`.
3. Callbacks of the stack only look and report: a refusal is put off to the end of the turn.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Protocol

from cig_common.errors import CigError
from cig_server.sif.commands import AnswerMessage, Headers, SendMessage
from cig_server.sif.events import MessageEvent, MessageResult
from cig_server.sif.incoming_message import read_message

logger = logging.getLogger("Sif")

ANSWER_SECONDS = 40.0
"""Above timer F of a client, 32 s (RFC 3261 section 17.1.2.2)."""
RETRY_AFTER = ("Retry-After", "5")


class MessageStack(Protocol):
    """The SIP stack's side of it. Both raise StackError."""

    def send(self, token: int, command: SendMessage) -> None:
        """Send a request; `Messages.sent` is called with ``token`` later, or meanwhile."""

    def answer(self, token: int, status: int, headers: Headers) -> None:
        """Send the final response; nothing happens where the request's time has run out."""


class Messages:
    """All that is open. ``post`` takes the events."""

    def __init__(
        self,
        post: Callable[[MessageEvent], None],
        stack: MessageStack,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.stopping = False
        self._post = post
        self._stack = stack
        self._clock = clock
        self._numbers = itertools.count(1)
        self._waiting: dict[str, tuple[int, float]] = {}
        """The requests that wait for an answer, oldest first: the stack's token, and until when."""
        self._sent: dict[int, str] = {}
        self._refusals: deque[tuple[int, int, Headers]] = deque()

    @property
    def busy(self) -> bool:
        """Whether a request waits for its answer, either way."""
        return bool(self._waiting or self._sent)

    # --- what comes in --------------------------------------------------------------------------

    def incoming(self, token: int, text: str, source: str) -> None:
        """A MESSAGE has come; ``text`` is all of it, octets that are no UTF-8 as surrogates."""
        self.counters["messages-in"] += 1
        name = f"msg-{next(self._numbers)}"
        try:
            message = read_message(name, text, source)
        except CigError as error:
            self.counters["messages-malformed"] += 1
            logger.warning("MESSAGE from %s refused: %s", source, error)
            self._refusals.append((token, error.sip_status, ()))
            return
        if self.stopping:
            self._refusals.append((token, 503, (RETRY_AFTER,)))
            return
        self._waiting[name] = (token, self._clock() + ANSWER_SECONDS)
        self._post(message)

    def broken(self, token: int) -> None:
        """The report of a MESSAGE failed: it is refused with 500."""
        self._refusals.append((token, 500, ()))

    def sent(self, token: int, status: int, reason: str, heard: bool) -> None:
        """A MESSAGE of ours got its final status; ``heard`` tells whether a response came."""
        name = self._sent.pop(token, None)
        if name is not None:
            self._post(MessageResult(name, status, reason, heard))

    # --- what goes out --------------------------------------------------------------------------

    def carry_out(self, command: SendMessage | AnswerMessage) -> None:
        """Send, or answer."""
        if isinstance(command, AnswerMessage):
            waiting = self._waiting.pop(command.name, None)
            if waiting is None:
                self.counters["message-answers-too-late"] += 1
                return
            self._answer(waiting[0], command.status, command.headers)
            return
        token = next(self._numbers)
        self._sent[token] = command.name
        self.counters["messages-out"] += 1
        try:
            self._stack.send(token, command)
        except CigError as error:
            self.sent(token, 503, str(error), heard=False)

    def turn(self, now: float) -> None:
        """Send the refusals that were put off, and those of requests that nobody answers."""
        while self._refusals:
            self._answer(*self._refusals.popleft())
        while self._waiting:
            name, (token, until) = next(iter(self._waiting.items()))
            if now < until:
                return
            del self._waiting[name]
            self.counters["messages-unanswered"] += 1
            self._answer(token, 503, (RETRY_AFTER,))

    def stop(self) -> None:
        """Answer what waits with 503; what was sent is reported as unknown, by 503 too."""
        self.stopping = True
        for token, _ in self._waiting.values():
            self._answer(token, 503, (RETRY_AFTER,))
        self._waiting.clear()
        for token in list(self._sent):
            self.sent(token, 503, "the gateway stops", heard=False)

    def _answer(self, token: int, status: int, headers: Headers) -> None:
        try:
            self._stack.answer(token, status, headers)
        except CigError as error:
            self.counters["message-answers-lost"] += 1
            logger.warning("a MESSAGE was not answered with %d: %s", status, error)
