# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the call machine: hears both interfaces and the relay, and carries out the actions.

One call's trouble stays its own: an exception in a step ends that call and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from cig_common.clock import Clock
from cig_common.errors import CigError
from cig_server.call.direction import Direction
from cig_server.call.machine import Action, CallMachine, Event, State, UnexpectedEvent
from cig_server.call.model import Ending, Parties, Shown
from cig_server.session_log import SessionEvent, SessionLog, SessionState
from umsg.reasons import Reason

logger = logging.getLogger("Call")

ENDED_SHOWN_SECONDS = 5.0
"""How long an ended call stays in ``show call``."""


class Call:
    """One call: its machine, its direction's steps, and what is shown of it."""

    def __init__(self, direction: Direction) -> None:
        self.direction = direction
        self.machine = CallMachine()
        self.shown = Shown.ROUTED
        self.ended_at: float | None = None
        self.ending: Ending | None = None

    @property
    def parties(self) -> Parties:
        """The call's four URIs."""
        return self.direction.parties

    @property
    def handle(self) -> str:
        """The call's name on the control socket."""
        return self.direction.handle

    @property
    def live(self) -> bool:
        """Whether the call has not ended."""
        return self.machine.state is not State.ENDED


class CallManager:
    """All calls of the gateway."""

    def __init__(self, clock: Clock, session_log: SessionLog) -> None:
        self._clock = clock
        self._session_log = session_log
        self._calls: dict[str, Call] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = 0
        self.counters: Counter[str] = Counter()
        self.on_retired: Callable[[Call], None] = lambda call: None

    # --- what others look at --------------------------------------------------------------------

    def next_handle(self) -> str:
        """Give a fresh name for a call, unique while this process lives."""
        self._numbers += 1
        return f"cig-{self._numbers}"

    def __iter__(self) -> Iterator[Call]:
        """Walk all calls, those that ended within the last 5 s included."""
        return iter(list(self._calls.values()))

    @property
    def live_count(self) -> int:
        """Number of calls that have not ended."""
        return sum(call.live for call in self._calls.values())

    # --- births and events ----------------------------------------------------------------------

    def begin(self, direction: Direction) -> Call:
        """Take a routed call in and have the relay open it."""
        call = Call(direction)
        self._calls[direction.handle] = call
        self.counters["calls"] += 1
        self._log(call, SessionState.ROUTED)
        self._spawn(call, direction.open(), Event.OPENED, Event.OPEN_FAILED)
        return call

    def log_unrouted(self, parties: Parties, state: SessionState, caller_if_id: str) -> None:
        """Write ``routing`` or ``failed`` for a call that has no machine (yet)."""
        self._write(parties, state, caller_if_id, "")

    def post(self, call: Call, event: Event, ending: Ending | None = None) -> None:
        """Feed ``event`` to the call's machine and carry out what it asks for.

        ``ending`` says why, for the events that end a call; the first one given stands.
        """
        try:
            actions = call.machine.handle(event)
        except UnexpectedEvent as error:
            self.counters["protocol-errors"] += 1
            logger.warning("%s: protocol error: unexpected %s", call.handle, error)
            return
        if call.ending is None and ending is not None and not call.live:
            call.ending = ending
        for action in actions:
            self._carry_out(call, action)
        if not call.live and call.ended_at is None:
            self._retire(call)

    def abort_all(self, ending: Ending) -> None:
        """End every call that is up."""
        for call in self:
            if call.live:
                self.post(call, Event.ABORT, ending)

    async def wait_idle(self, seconds: float) -> bool:
        """Wait until every step under way is done; tells whether that came within ``seconds``."""
        deadline = self._clock.monotonic() + seconds
        while self._tasks and (left := deadline - self._clock.monotonic()) > 0:
            await asyncio.wait(set(self._tasks), timeout=left)
        return not self._tasks

    def run(self, call: Call, step: Coroutine[Any, Any, object], done: Event | None) -> None:
        """Run a step of ``call`` beside the machine; its failure aborts the call."""
        self._spawn(call, step, done, Event.ABORT)

    # --- actions --------------------------------------------------------------------------------

    def _carry_out(self, call: Call, action: Action) -> None:
        try:
            _ACTIONS[action](self, call)
        except CigError as error:
            logger.warning("%s: %s failed: %s", call.handle, action.name, error)
            self._later_abort(call, Ending.of(error))
        except Exception:
            self.counters["internal-errors"] += 1
            logger.exception("%s: %s failed in a way not foreseen", call.handle, action.name)
            self._later_abort(call, Ending(Reason.ERROR, "internal error"))

    def _later_abort(self, call: Call, ending: Ending) -> None:
        if call.live:
            asyncio.get_running_loop().call_soon(self.post, call, Event.ABORT, ending)

    def _spawn(
        self, call: Call, step: Coroutine[Any, Any, object], done: Event | None, failed: Event
    ) -> None:
        task = asyncio.create_task(self._step(call, step, done, failed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _step(
        self, call: Call, step: Coroutine[Any, Any, object], done: Event | None, failed: Event
    ) -> None:
        try:
            await step
        except CigError as error:
            if call.live:
                self.counters[f"failed-{error.log_code}"] += 1
                logger.warning("%s: %s (%s)", call.handle, error, error.log_code)
            self.post(call, failed, Ending.of(error))
        except Exception:
            self.counters["internal-errors"] += 1
            logger.exception("%s: a step failed in a way not foreseen", call.handle)
            self.post(call, failed, Ending(Reason.ERROR, "internal error", 500))
        else:
            if done is not None:
                self.post(call, done)

    def _retire(self, call: Call) -> None:
        answered = call.shown is Shown.ANSWER
        normal = call.ending is None or call.ending.reason is Reason.NORMAL
        call.shown = Shown.HANGUP if answered or normal else Shown.REJECT
        call.ended_at = self._clock.monotonic()
        loop = asyncio.get_running_loop()
        loop.call_later(ENDED_SHOWN_SECONDS, self._calls.pop, call.handle, None)
        self.on_retired(call)

    def _close_media(self, call: Call) -> None:
        async def close() -> None:
            try:
                await call.direction.close_media()
            except CigError as error:
                logger.debug("%s: nothing to close: %s", call.handle, error)

        self._spawn(call, close(), None, Event.ABORT)

    def _log(self, call: Call, state: SessionState) -> None:
        direction = call.direction
        self._write(call.parties, state, direction.caller_if_id, direction.callee_if_id)

    def _write(
        self, parties: Parties, state: SessionState, caller_if_id: str, callee_if_id: str
    ) -> None:
        event = SessionEvent(
            caller=parties.in_from,
            callee=parties.in_to,
            routed_caller=parties.out_from,
            routed_callee=parties.out_to,
            state=state,
            caller_if_id=caller_if_id,
            callee_if_id=callee_if_id,
        )
        self._session_log.write(event, self._clock.utc())

    def _reached(self, call: Call, shown: Shown, state: SessionState) -> None:
        call.shown = shown
        self._log(call, state)

    def _dial(self, call: Call) -> None:
        call.shown = Shown.TRY
        call.direction.dial()

    def _log_hangup(self, call: Call) -> None:
        ending = call.ending or Ending(Reason.NORMAL)
        self.counters[f"ended-{ending.reason.value}"] += 1
        logger.info("%s ended: %s %s", call.handle, ending.reason.value, ending.text)
        self._log(call, SessionState.HANGUP)


def _ending(call: Call) -> Ending:
    return call.ending or Ending(Reason.NORMAL)


_ACTIONS: dict[Action, Callable[[CallManager, Call], None]] = {
    Action.DIAL: CallManager._dial,
    Action.RING_IN: lambda _, call: call.direction.ring_in(),
    Action.CONNECT_EARLY: lambda manager, call: manager._spawn(
        call, call.direction.connect_early(), Event.PROGRESS_READY, Event.ABORT
    ),
    Action.PROGRESS_IN: lambda _, call: call.direction.progress_in(),
    Action.CONNECT: lambda manager, call: manager._spawn(
        call, call.direction.connect(), Event.CONNECTED, Event.ABORT
    ),
    Action.ANSWER_IN: lambda _, call: call.direction.answer_in(),
    Action.UPDATE_MEDIA: lambda manager, call: manager._spawn(
        call, call.direction.update_media(), None, Event.ABORT
    ),
    Action.END_IN: lambda _, call: call.direction.end_in(_ending(call)),
    Action.END_OUT: lambda _, call: call.direction.end_out(_ending(call)),
    Action.CLOSE_MEDIA: CallManager._close_media,
    Action.LOG_TRYING: lambda manager, call: manager._reached(call, Shown.TRY, SessionState.TRYING),
    Action.LOG_RINGING: lambda manager, call: manager._reached(
        call, Shown.RING, SessionState.RINGING
    ),
    Action.LOG_TALK: lambda manager, call: manager._reached(call, Shown.ANSWER, SessionState.TALK),
    Action.LOG_HANGUP: CallManager._log_hangup,
}
"""How each action of the machine is carried out."""
