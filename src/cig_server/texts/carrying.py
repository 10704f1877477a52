# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole way of one text, from its message or its row to its end.

The rules:

1. What hinders one text alone (its message cannot be read or moved, a notice cannot be written)
   has that text rest; it never holds up others. Its place's fault is told until it works again.
2. What hinders all (no relay, no keys, our own disk) is raised: the caller pauses.
3. A fault of our own is logged by its kind alone, since its words could hold some of a text, and
   has the text rest too.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from cig_common.clock import Clock
from cig_common.errors import CigError
from cig_server.texts import failed, outbox_store
from cig_server.texts.ending import Ending
from cig_server.texts.faults import Faults
from cig_server.texts.flight import Flight, PartLink
from cig_server.texts.model import StorageError
from cig_server.texts.outbox import Action, Input, OutgoingText, backoff, too_old
from cig_server.texts.outbox_store import Row, RowState
from cig_server.texts.preparing import OwnFaultError, Preparing
from cig_server.texts.read_mailbox import Candidate, Identity, NotYetError
from cig_server.texts.store import TextStore
from cig_server.texts.watch import Found

REST_SECONDS = 60.0
"""How long a message rests that could be neither sent nor put aside."""
_MOST_RESTING = 1024
"""Messages of one mailbox; with more the whole mailbox rests. A few are under way besides."""
_ODD = "it is no file: a link, fifo or the like"

logger = logging.getLogger("Texts")


class Carrying:
    """Carries texts.

    ``retry_seconds`` gives how long one is tried; ``sealed`` is called whenever one was sealed.
    """

    def __init__(
        self,
        *,
        store: TextStore,
        link: PartLink,
        preparing: Preparing,
        ending: Ending,
        clock: Clock,
        retry_seconds: Callable[[], float],
        sealed: Callable[[], None],
        counters: Counter[str],
    ) -> None:
        self.flights: dict[str, Flight | None] = {}
        """By mid, what is under way; None while it is being prepared."""
        self.faults = Faults(clock)
        """Of mailboxes, by path."""
        self._store = store
        self._link = link
        self._preparing = preparing
        self._ending = ending
        self._clock = clock
        self._retry_seconds = retry_seconds
        self._sealed = sealed
        self._counters = counters
        self._taken: dict[str, set[Identity]] = {}
        self._resting: dict[str, dict[Identity, float]] = {}
        self._odd: set[tuple[str, str]] = set()
        self._hindered: dict[str, str] = {}
        """By mid, the place whose fault had its text rest."""

    async def claimed(self, mailbox: str) -> set[Identity]:
        """Give the messages of a mailbox that are under way, or rest."""
        rows = await self._store.run(lambda connection: outbox_store.claimed(connection, mailbox))
        return rows | self._taken.get(mailbox, set()) | self._at_rest(mailbox)

    def held(self) -> set[str]:
        """Give the paths of mailboxes so many of whose messages rest that no other is begun."""
        return {path for path in self._resting if len(self._at_rest(path)) >= _MOST_RESTING}

    def _at_rest(self, mailbox: str) -> set[Identity]:
        now, resting = self._clock.monotonic(), self._resting.get(mailbox, {})
        while resting and (first := next(iter(resting.items())))[1] <= now:
            del resting[first[0]]  # the first to rest is the first to be over
        return set(resting)

    async def from_mailbox(self, found: Found, own_uri: str) -> None:
        """Carry a message. Raises CigError where no other could be carried either."""
        path, candidate = found.mailbox.path, found.candidate
        if candidate is None:
            await self.put_aside(found, _ODD)
            return
        taken = self._taken.setdefault(path, set())
        taken.add(candidate.identity)
        # Before its row is there: whoever looks for rows that are due leaves this one.
        mid = self._preparing.new_mid()
        self.flights[mid] = None
        try:
            row = await self._preparing.from_mailbox(found.mailbox, candidate, own_uri, mid)
            self.faults.note({}, [path])
            self._sealed()
            await self._fly(row)
        except NotYetError:
            self._counters["left-for-later"] += 1
        except OwnFaultError as error:
            await self.put_aside(found, str(error))
        except StorageError as error:
            if error.where != path:
                raise
            self._rest(path, candidate, error)
        except CigError:
            raise
        except Exception as error:
            self._rest(path, candidate, _own_fault(path, error))
        finally:
            self.flights.pop(mid, None)
            taken.discard(candidate.identity)

    async def from_outbox(self, mid: str) -> None:
        """Carry what is in the outbox. Raises CigError as above."""
        self.flights[mid] = None
        try:
            row = await self._store.run(lambda connection: outbox_store.find(connection, mid))
            if row is None or row.state is RowState.STORED:
                return
            try:
                await self._from_outbox(row)
            except CigError:
                raise
            except Exception as error:
                await self._postpone(row, str(_own_fault(mid, error)))
        finally:
            self.flights.pop(mid, None)

    async def finish(self, row: Row) -> bool:
        """Take a text off the outbox that the CRS has; tells whether it is off.

        Where its message cannot be removed now, that is tried later, and it is not sent again.
        Raises StorageError where the outbox cannot be used.
        """
        if row.state is RowState.STORED:
            return True
        try:
            await self._ending.stored(row)
        except StorageError as error:
            self._hinder(row, error)
            due, text = self._clock.utc() + backoff(row.attempts + 1), str(error)
            await self._store.run(
                lambda connection: outbox_store.take(connection, row.mid, due, text)
            )
            return False
        self._works(row)
        return True

    async def give_up(self, row: Row, reason: str) -> None:
        """End a text that cannot be sent; where not all of that can be done, it is done later."""
        try:
            await self._ending.given_up(row, reason)
            self._works(row)
        except StorageError as error:
            self._hinder(row, error)
            await self._postpone(row, reason)

    async def put_aside(self, found: Found, reason: str) -> bool:
        """Give up a message that has no row, for that reason or because it is none.

        Tells whether it was moved; if not, it rests.
        """
        path, candidate = found.mailbox.path, found.candidate
        if candidate is None:
            return await self._put_aside_odd(path, found.odd)
        self._ending.count_failed()
        try:
            await self._ending.put_aside(path, candidate.name, reason, candidate)
        except StorageError as error:
            self._rest(path, candidate, error)
            return False
        self.faults.note({}, [f"{path}/{failed.FOLDER}"])
        return True

    async def _put_aside_odd(self, path: str, name: str) -> bool:
        """Put aside what has no identity, and which several scans may have found."""
        if (path, name) in self._odd:
            return False
        self._odd.add((path, name))
        try:
            await self._ending.put_aside(path, name, _ODD)
        except StorageError as error:
            self._tell(error)  # it is found again by the next scan
            return False
        finally:
            self._odd.discard((path, name))
        self.faults.note({}, [f"{path}/{failed.FOLDER}"])
        return True

    async def _from_outbox(self, row: Row) -> None:
        if row.state is RowState.FAILED:
            await self.give_up(row, row.error)
            return
        if row.state is RowState.TAKEN:
            await self.finish(row)
            return
        if row.state is RowState.QUEUED:
            try:
                row = await self._preparing.seal(row)
                self._sealed()
            except OwnFaultError as error:
                await self.give_up(row, str(error))
                return
        await self._fly(row)

    async def _fly(self, row: Row) -> None:
        machine = OutgoingText()
        flight = self.flights[row.mid] = Flight(row, self._link, machine)
        try:
            action = await flight.fly(self._preparing.pieces(row))
            if action is Action.REST and self._is_too_old(row):
                action = machine.receive(Input.TOO_OLD)
            await self._do(action, row, flight.error)
        finally:
            self._counters["violations"] += machine.violations

    async def _do(self, action: Action, row: Row, error: str) -> None:
        if action is Action.FINISH:
            await self.finish(row)
        elif action is Action.GIVE_UP:
            await self.give_up(row, error)
        elif action is Action.REST:
            self._counters["retries"] += 1
            await self._postpone(row, error)

    async def _postpone(self, row: Row, error: str) -> None:
        due = self._clock.utc() + backoff(row.attempts + 1)
        await self._store.run(
            lambda connection: outbox_store.postpone(connection, row.mid, due, error)
        )

    def _is_too_old(self, row: Row) -> bool:
        return too_old(
            since=row.since,
            now=self._clock.utc(),
            limit=self._retry_seconds(),
            failed=True,
            down=0.0,
        )

    def _rest(self, path: str, candidate: Candidate, error: StorageError) -> None:
        self._tell(error)
        resting = self._resting.setdefault(path, {})
        resting.pop(candidate.identity, None)
        resting[candidate.identity] = self._clock.monotonic() + REST_SECONDS

    def _hinder(self, row: Row, error: StorageError) -> None:
        self._hindered[row.mid] = error.where
        self._tell(error)

    def _works(self, row: Row) -> None:
        """Note that what had a text rest works again."""
        place = self._hindered.pop(row.mid, None)
        if place is not None:
            self.faults.note({}, [place])

    def _tell(self, error: StorageError) -> None:
        self.faults.note({error.where: error}, [])


def _own_fault(where: str, error: Exception) -> StorageError:
    logger.error(
        "a text could not be sent, by a fault of our own: %s",
        type(error).__name__,
        exc_info=error if not isinstance(error, ValueError) else None,
    )
    return StorageError(where, f"a fault of our own ({type(error).__name__}), see cig.log")
