# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts from the CRS, on their way to the mailboxes and to SIP.

A text goes through these steps, each in the task that its part 0 starts:

1. The journal is asked. A text that it has is answered by the receipt that it had, and its parts
   are left.
2. Its parts are kept in a spool file until it is whole (`texts.assembly`).
3. It is opened, read and handed on (`texts.handing`). No more than `ENGINES` texts have a request
   to a crypto engine at once, so that a call never queues behind a thousand of them.
4. The receipt leaves once the text is settled (`texts.receipts`).
5. A text that cannot be taken for now is not receipted, and asked for later (`texts.postponed`).

What ends one text ends no other. Nothing of a text's content is ever logged.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from cig_common.clock import Clock
from cig_common.config import Configuration
from cig_common.errors import CigError
from cig_common.texts.content import TextContent
from cig_server.texts.assembly import Arrival, State, Step, TextsUnderWay
from cig_server.texts.copies import Formats
from cig_server.texts.handing import Handing
from cig_server.texts.model import Outcome, QueueFacts, TextKey
from cig_server.texts.ports import Deliverer, Link, SipSink, TextOpening
from cig_server.texts.postponed import Cause, Postponed, cause_of
from cig_server.texts.receipts import Receipts
from cig_server.texts.spool import Receiving
from umsg.messages import Text

ENGINES = 4
"""Requests to crypto engines that all texts together may have at once."""
CHECK_SECONDS = 10.0
"""How often it is looked whether what held texts up is over."""
STOP_SECONDS = 1.0
"""How long whole texts may take to be settled when the service stops."""
KEYS_PATIENCE = 3600.0
"""Seconds after which a lack of keys is tried again even if no others have come."""

logger = logging.getLogger("Texts")


class Incoming:
    """The way in. ``config`` gives the configuration in force, ``folder`` is the state folder.

    ``relay_ready`` tells whether cig-relay is connected and holds keys.
    """

    def __init__(
        self,
        *,
        config: Callable[[], Configuration],
        crypto: TextOpening,
        deliverer: Deliverer,
        formats: Formats,
        sip: SipSink | None,
        link: Link,
        relay_ready: Callable[[], bool],
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        folder: Path,
    ) -> None:
        self._deliverer = deliverer
        self._link = link
        self._relay_ready = relay_ready
        self._clock = clock
        self._folder = folder
        self.counters: Counter[str] = Counter()
        slots = asyncio.Semaphore(ENGINES)
        self._receipts = Receipts(crypto, deliverer, link, slots, self.counters)
        self._handing = Handing(
            config=config,
            crypto=crypto,
            deliverer=deliverer,
            formats=formats,
            sip=sip,
            slots=slots,
            clock=clock,
            random_bytes=random_bytes,
            folder=folder,
            counters=self.counters,
        )
        self._under_way = TextsUnderWay()
        self._receiving: dict[Arrival, Receiving] = {}
        self._postponed = Postponed()
        self._periods: tuple[str, ...] = ()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._stopping = False
        self._error = ""
        self._error_at: float | None = None

    @property
    def trouble(self) -> str:
        """Why texts are left with the CRS at present; empty where all is well."""
        return self._postponed.trouble

    async def start(self) -> None:
        """Begin to look after what is postponed; texts are taken from construction on."""
        self._watch = asyncio.create_task(self._look_again(), name="texts-incoming")

    async def stop(self) -> None:
        """Take no more; give texts that are whole a little time, and give up the others."""
        self._stopping = True
        self.lost()
        tasks = set(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_SECONDS)
        if self._watch is not None:
            tasks.add(self._watch)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def facts(self) -> list[QueueFacts]:
        """Return how many texts are under way or left with the CRS, and the last error."""
        oldest = min((r.begun_at for r in self._receiving.values()), default=None)
        waiting = len(self._receiving) + self._postponed.texts
        error, at = self._error, self._error_at
        return [QueueFacts("crs", "incoming", waiting, oldest, error=error, error_at=at)]

    # --- what the CRS sends ---------------------------------------------------------------------

    def part(self, part: Text) -> None:
        """Take a part of a text."""
        if self._stopping:
            return
        taken = self._under_way.take(part, self._clock.monotonic(), self._handing.awaited)
        if taken.ended is not None:
            self.counters["cut-off"] += 1
            self._give_up(taken.ended)
        match taken.step:
            case Step.BEGIN | Step.ADD if taken.arrival is not None:
                self._keep(taken.arrival, part)
            case Step.NO_ROOM:
                self._postpone(Cause.ROOM, "too many texts came at once, or too long ones")
            case Step.REFUSE:
                self.counters["out-of-turn"] += 1
                logger.warning("text %s: a part is out of turn, the text is left", part.mid)
            case _:
                self.counters["parts-left"] += 1

    def connected(self) -> None:
        """Take note of a ``welcome``: all that was not receipted comes again."""
        self.lost()
        self._postponed.welcomed()

    def lost(self) -> None:
        """Take note that the connection is gone: what was only half here will come anew."""
        for arrival in self._under_way.lost():
            self.counters["cut-off"] += 1
            self._give_up(arrival)

    def _keep(self, arrival: Arrival, part: Text) -> None:
        receiving = self._receiving.get(arrival) or self._begin(arrival)
        try:
            receiving.spool.write(part.data)
        except OSError as error:
            self._give_up(arrival)
            self._postpone(Cause.STORAGE, self._disk(error))
            return
        if arrival.state is State.WHOLE:
            receiving.whole.set()

    def _begin(self, arrival: Arrival) -> Receiving:
        receiving = Receiving(arrival, self._folder, self._clock.utc())
        self._receiving[arrival] = receiving
        receiving.task = self._spawn(lambda: self._take(receiving), arrival.key)
        # For a task that is cancelled before its first step: it never comes to its own end.
        receiving.task.add_done_callback(lambda _: self._forget(receiving))
        return receiving

    def _give_up(self, arrival: Arrival) -> None:
        receiving = self._receiving.get(arrival)
        if receiving is not None:
            if receiving.task is not None:
                receiving.task.cancel()
            self._forget(receiving)

    def _forget(self, receiving: Receiving) -> None:
        receiving.close()
        self._under_way.end(receiving.arrival)
        self._receiving.pop(receiving.arrival, None)

    async def _take(self, receiving: Receiving) -> None:
        key = receiving.arrival.key
        try:
            outcome = await self._deliverer.known(key)
            if outcome is not None:
                self.counters["known-already"] += 1
                self._forget(receiving)
            else:
                await receiving.whole.wait()
                outcome = await self._handing.settle(receiving)
            await self._receipt(key, outcome)
        finally:
            self._forget(receiving)

    async def _receipt(self, key: TextKey, outcome: Outcome | None) -> None:
        if outcome is not None:
            await self._receipts.send(key, outcome)
            self._postponed.receipted()

    # --- notices, and SIP's answers -------------------------------------------------------------

    async def deliver_local(
        self, *, from_uri: str, to_uri: str, mid: str, content: TextContent
    ) -> bool:
        """Deliver a text of our own to the mailboxes that match or, where none does, to SIP.

        Tells whether anybody takes it. The same (``from_uri``, ``mid``) again changes nothing.
        Raises StorageError: nothing was delivered.
        """
        identity = self._link.identity
        return await self._handing.deliver_local(
            from_uri=from_uri,
            to_uri=to_uri,
            mid=mid,
            domain=identity.domain if identity is not None else "",
            content=content,
        )

    def sip_result(self, key: TextKey, ok: bool, reason: str) -> None:
        """Take SIP's final answer to a text that was offered; ``reason`` is why it refused.

        An answer that nobody awaits is left: a mailbox has the text, or it is a notice, or the CRS
        has yet to send it again after a restart, and the answer will be told once more then.
        """

        async def settle() -> None:
            await self._receipt(key, await self._handing.answered(key, ok=ok, reason=reason))

        self._spawn(settle, key)

    # --- what is postponed ----------------------------------------------------------------------

    async def look(self) -> None:
        """Give up what has stalled; ask the CRS again where what held texts up may be over."""
        now = self._clock.monotonic()
        for arrival in self._under_way.stalled(now):
            self._give_up(arrival)
            self._postpone(Cause.STALLED, "the CRS sent a part of a text and no more of it")
        if not self._link.connected:
            return
        over = [cause for cause in self._postponed.due(now) if await self._over(cause)]
        over = [cause for cause in over if cause in self._postponed.notes]
        if not over or (self._receiving and self._postponed.patient(over, now)):
            return
        self._postponed.asked(over, now)
        self.counters["asked-again"] += 1
        logger.info("the CRS is asked again for the texts that were left with it")
        self._link.ask_again()

    async def _over(self, cause: Cause) -> bool:
        match cause:
            case Cause.RELAY:
                return self._relay_ready()
            case Cause.KEYS:
                waited = self._clock.monotonic() - self._postponed.notes[cause].since
                return self._periods != self._held_periods() or waited >= KEYS_PATIENCE
            case Cause.STORAGE:
                return not await self._deliverer.probe()
            case Cause.ROOM:
                return self._under_way.roomy
            case Cause.STALLED | Cause.OTHER:
                return True

    def _held_periods(self) -> tuple[str, ...]:
        identity = self._link.identity
        return identity.periods if identity is not None else ()

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await self._guarded(self.look)

    def _postpone(self, cause: Cause, words: str) -> None:
        self.counters[f"postponed-{cause.value}"] += 1
        self._error, self._error_at = words, self._clock.utc()
        if self._postponed.note(cause, words, self._clock.monotonic()):
            logger.warning("a text is left with the CRS for now: %s", words)
            if cause is Cause.KEYS:
                self._periods = self._held_periods()

    # --- helpers --------------------------------------------------------------------------------

    def _spawn(self, work: Callable[[], Awaitable[None]], key: TextKey) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guarded(work), name=f"text-{key.mid}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work``; what is in its way for now is noted, and ends nothing else."""
        try:
            await work()
        except CigError as error:
            self._postpone(cause_of(error), str(error))
        except OSError as error:
            self._postpone(Cause.STORAGE, self._disk(error))
        except Exception as error:
            logger.error("a text failed in a way not foreseen: %s", _where(error))
            self._postpone(Cause.OTHER, "an internal error, see cig.log")

    def _disk(self, error: OSError) -> str:
        return f"{self._folder}: {error.strerror or type(error).__name__}"


def _where(error: Exception) -> str:
    """Tell an error's type and place alone: its text could hold a piece of the content."""
    frames = traceback.extract_tb(error.__traceback__)
    places = (f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
    return f"{type(error).__name__} at {' > '.join(places)}"
