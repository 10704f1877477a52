# SPDX-License-Identifier: GPL-3.0-or-later
"""The one thread of the SIP stack: its turns, its start and its end.

A turn is a poll of the stack, the commands that wait, and what the trunk and the messages put off.
Commands come in through a queue; an empty keep-alive datagram to our own SIP port ends a poll at
once. `cig_server.sif.pjsua` fills in what only the stack itself can do.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future

from cig_server.sif.commands import AnswerMessage, Command, SendMessage
from cig_server.sif.events import MessageEvent, Refused, SipEvent
from cig_server.sif.inbox import Inbox
from cig_server.sif.leg import Leg
from cig_server.sif.messages import Messages, MessageStack
from cig_server.sif.settings import SipSettings, SipStartError
from cig_server.sif.stack_log import StackLog
from cig_server.sif.trunk import StackCall, Trunk

_LAST_WORDS = 0.6
"""Seconds for BYE and its first retransmission when the gateway stops."""

Post = Callable[[SipEvent | MessageEvent | Refused], None]


class StackThread:
    """The thread that owns the SIP stack.

    `start` and `submit` may be called from another thread. ``post`` is called in this one with
    each event.
    """

    def __init__(
        self, settings: SipSettings, post: Post, random_bytes: Callable[[int], bytes]
    ) -> None:
        self.log = StackLog()
        self.started: Future[None] = Future()
        self.finished: Future[None] = Future()
        self.trunk = Trunk(settings, post, random_bytes, self._make_call)
        self.messages = Messages(post, self._message_stack())
        self._settings, self._post = settings, post
        self._stop_wanted = False
        self._thread = threading.Thread(target=self._run, name="sip", daemon=True)
        self._listening = settings.listening()
        self._inbox: Inbox[Command | None] = Inbox(self._listening[0], settings.bind_port)

    def start(self) -> None:
        """Begin; ``started`` is done once the stack listens, or holds a SipStartError."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for the thread's very end: cut off inside the stack, it aborts the process."""
        self._thread.join(seconds)

    def submit(self, command: Command | None) -> None:
        """Have a command carried out soon; never blocks.

        None ends all calls and the thread; ``finished`` is done afterwards.
        """
        if not self._inbox.put(command):
            self.trunk.counters["wakes-lost"] += 1  # the poll ends by itself soon

    def counters(self) -> Counter[str]:
        """Give the counters since the start."""
        return self.trunk.counters + self.messages.counters

    # --- what the stack fills in ----------------------------------------------------------------

    def _set_up(self) -> None:
        """Make the stack listen; raises whatever is wrong."""
        raise NotImplementedError

    def _poll(self) -> None:
        """Wait a little for the network, and handle what came."""
        raise NotImplementedError

    def _tear_down(self) -> None:
        """End the stack, however far `_set_up` came."""
        raise NotImplementedError

    def _make_call(self, leg: Leg) -> StackCall:
        """Make a call of the stack for an outgoing leg."""
        raise NotImplementedError

    def _message_stack(self) -> MessageStack:
        """Give the stack's way to send and to answer a MESSAGE."""
        raise NotImplementedError

    def _words(self, error: Exception) -> str:
        """Say what an error of `_set_up` means."""
        raise NotImplementedError

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._set_up()
        except Exception as error:
            self._tear_down()
            self.finished.set_result(None)
            self.started.set_exception(self._start_error(error))
            return
        self.started.set_result(None)
        while not self._stop_wanted:
            self._turn()
        some = self.trunk.calls or self.messages.busy
        end = time.monotonic() + (_LAST_WORDS if some else 0.0)
        self.trunk.attempt(self.trunk.stop)
        self.trunk.attempt(self.messages.stop)
        while time.monotonic() < end:
            self._turn()
        self._tear_down()
        self.finished.set_result(None)

    def _turn(self) -> None:
        trunk, messages = self.trunk, self.messages
        trunk.attempt(self._poll)
        for command in self._inbox.take():
            now = time.monotonic()
            if command is None:
                self._stop_wanted = True
            elif isinstance(command, SendMessage | AnswerMessage):
                trunk.attempt(functools.partial(messages.carry_out, command))
            else:
                trunk.attempt(functools.partial(trunk.carry_out, command, now))
        now = time.monotonic()
        trunk.turn(now)
        trunk.attempt(functools.partial(messages.turn, now))

    def _start_error(self, error: Exception) -> SipStartError:
        if isinstance(error, SipStartError):
            return error
        return SipStartError(f"the SIP stack cannot be started: {self._words(error)}")
