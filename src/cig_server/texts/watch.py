# SPDX-License-Identifier: GPL-3.0-or-later
"""All mailboxes that are read: watched by inotify and scanned, since neither is enough alone.

The rules:

1. inotify says at once that something came, and what of it is whole: a file that was moved into
   new/. A file that was made there is not taken while somebody writes it (`read_mailbox`, rule 3);
   one that was linked there nobody writes.
2. new/ is scanned when something came, every `SCAN_SECONDS`, and after what a scan gave is used up
   if it held more. So a missed event, a full queue of the kernel, a folder that was removed and
   made anew, or no inotify at all, cost a few seconds and no message.
3. The mailboxes take turns, message by message; within each the oldest comes first.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from pathlib import Path

from asyncinotify import Inotify, Mask

from cig_common.clock import Clock
from cig_common.config import Mailbox
from cig_server.texts import failed
from cig_server.texts.maildir import storage_error
from cig_server.texts.model import QueueFacts
from cig_server.texts.read_mailbox import QUIET_SECONDS, Candidate, Identity, Scan, scan

SCAN_SECONDS = 30.0
_REMEMBERED = 4096
"""Names of which is known whether they are whole; with more the rule of quiet does alone."""
_WRITING_SECONDS = 600.0
_EVENTS = (
    *(Mask.MOVED_TO, Mask.CREATE, Mask.MODIFY, Mask.CLOSE_WRITE),
    *(Mask.DELETE, Mask.MOVED_FROM, Mask.DELETE_SELF, Mask.MOVE_SELF, Mask.ONLYDIR),
)
_GONE = Mask.DELETE_SELF | Mask.MOVE_SELF | Mask.IGNORED | Mask.UNMOUNT

logger = logging.getLogger("Texts")

Claimed = Callable[[str], Awaitable[set[Identity]]]
"""Gives which messages of a mailbox are under way already."""


@dataclass(frozen=True, slots=True)
class Found:
    """A message to be sent; ``odd`` is the name of something in new/ that can be none."""

    mailbox: Mailbox
    candidate: Candidate | None
    odd: str = ""


@dataclass(slots=True)
class _Box:
    mailbox: Mailbox
    task: asyncio.Task[None] | None = None
    waiting: deque[Found] = field(default_factory=deque)
    dirty: bool = True
    scan_at: float = 0.0
    moved: set[str] = field(default_factory=set)
    made: dict[str, float] = field(default_factory=dict)
    writing: dict[str, float] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    fault: str = ""


class ReadMailboxes:
    """The read mailboxes of the configuration. ``wake`` is called when there may be something."""

    def __init__(self, wake: Callable[[], None], clock: Clock) -> None:
        self._wake = wake
        self._clock = clock
        self._boxes: dict[str, _Box] = {}
        self._turn: deque[str] = deque()
        self._no_inotify = False
        self.scans = 0

    @property
    def trouble(self) -> str:
        """What is wrong with mailboxes at present; empty where nothing is."""
        return "; ".join(box.fault for box in self._boxes.values() if box.fault)

    def configure(self, mailboxes: Sequence[Mailbox]) -> None:
        """Watch these from now on, and no others."""
        wanted = {mailbox.path: mailbox for mailbox in mailboxes}
        for path in [path for path in self._boxes if path not in wanted]:
            _cancel(self._boxes.pop(path))
        for path, mailbox in wanted.items():
            box = self._boxes.get(path)
            if box is None:
                box = self._boxes[path] = _Box(mailbox)
                box.task = asyncio.create_task(self._watch(box), name="texts-watch")
            else:
                box.mailbox = mailbox
                box.waiting.clear()  # it may be mapped otherwise now
                box.dirty = True
        self._turn = deque(self._boxes)
        self._wake()

    async def stop(self) -> None:
        """Watch nothing any more."""
        tasks = [_cancel(box) for box in self._boxes.values()]
        self._boxes.clear()
        self._turn.clear()
        await asyncio.gather(*(task for task in tasks if task), return_exceptions=True)

    def look_again(self) -> None:
        """Have all mailboxes scanned at the next `next`."""
        for box in self._boxes.values():
            box.dirty = True

    def next_scan(self) -> float:
        """Give in how many seconds a mailbox is to be scanned."""
        now = self._clock.monotonic()
        return max(0.0, min((box.scan_at - now for box in self._boxes.values()), default=3600.0))

    async def next(self, claimed: Claimed, leave: Container[str] = ()) -> Found | None:
        """Give the next message that nobody has, None where there is none at present.

        The mailboxes with the paths ``leave`` are left out.
        """
        for _ in range(len(self._turn)):
            self._turn.rotate(-1)
            box = self._boxes.get(self._turn[-1])
            if box is None or box.mailbox.path in leave:
                continue
            if not box.waiting and (box.dirty or self._clock.monotonic() >= box.scan_at):
                await self._scan(box, claimed)
            if box.waiting:
                return box.waiting.popleft()
        return None

    def put_back(self, found: Found) -> None:
        """Have `next` give a message once more, before the later ones of its mailbox."""
        box = self._boxes.get(found.mailbox.path)
        if box is not None:
            box.waiting.appendleft(found)

    # --- scanning -------------------------------------------------------------------------------

    async def _scan(self, box: _Box, claimed: Claimed) -> None:
        path, now = box.mailbox.path, self._clock.monotonic()
        box.dirty, box.scan_at = False, now + SCAN_SECONDS
        for names in (box.made, box.writing):
            for name in [n for n, since in names.items() if now - since > _WRITING_SECONDS]:
                del names[name]
        taken = await claimed(path)
        self.scans += 1
        try:
            found = await asyncio.to_thread(
                scan,
                path,
                now=self._clock.utc(),
                moved=frozenset(box.moved),
                writing=frozenset(box.writing),
                made=frozenset(box.made),
                leave_out=taken,
            )
        except OSError as error:
            self._fault(box, error)
            return
        box.fault = ""
        self._tell_folders(box, found)
        box.waiting.extend(Found(box.mailbox, None, name) for name in found.odd)
        box.waiting.extend(Found(box.mailbox, candidate) for candidate in found.candidates)
        box.dirty = box.dirty or found.more
        if found.later:
            box.scan_at = now + QUIET_SECONDS

    def _fault(self, box: _Box, error: OSError) -> None:
        fault = str(storage_error(box.mailbox.path, error))
        if fault != box.fault:
            logger.warning("a mailbox cannot be read: %s", fault)
        box.fault = fault

    def _tell_folders(self, box: _Box, found: Scan) -> None:
        for name in found.folders:
            if name not in box.told and len(box.told) < _REMEMBERED:
                box.told.add(name)
                logger.warning(
                    "%s/new holds a folder, %r, which is left there: it is no message",
                    box.mailbox.path,
                    name,
                )

    # --- inotify --------------------------------------------------------------------------------

    async def _watch(self, box: _Box) -> None:
        while True:
            try:
                await self._follow(box)
            except OSError as error:
                self._tell_inotify(error)
            for names in (box.moved, box.made, box.writing):
                names.clear()
            await asyncio.sleep(SCAN_SECONDS)

    async def _follow(self, box: _Box) -> None:
        with Inotify() as inotify:
            folder = Path(box.mailbox.path, "new")
            inotify.add_watch(folder, reduce(or_, _EVENTS))
            box.dirty = True
            self._wake()
            async for event in inotify:
                if event.mask & _GONE:
                    return
                if event.mask & Mask.Q_OVERFLOW:
                    box.moved.clear()
                elif event.name is not None:
                    self._note(box, event.mask, str(event.name))
                if event.mask & Mask.MODIFY:
                    continue  # it is not whole yet
                box.dirty = True
                self._wake()

    def _note(self, box: _Box, mask: Mask, name: str) -> None:
        now = self._clock.monotonic()
        if mask & Mask.MODIFY:
            box.moved.discard(name)
            _remember(box.writing, name, now)
            return
        box.made.pop(name, None)
        box.writing.pop(name, None)
        if mask & Mask.CREATE:
            box.moved.discard(name)
            _remember(box.made, name, now)
        elif mask & Mask.MOVED_TO:
            if len(box.moved) < _REMEMBERED:
                box.moved.add(name)
        elif not mask & Mask.CLOSE_WRITE:
            box.moved.discard(name)

    def _tell_inotify(self, error: OSError) -> None:
        limit = error.errno in (errno.EMFILE, errno.ENOSPC)
        if limit and not self._no_inotify:
            self._no_inotify = True
            logger.warning(
                "mailboxes are not watched, only scanned every %g s: this host's limit of inotify "
                "is reached, raise fs.inotify.max_user_instances and max_user_watches",
                SCAN_SECONDS,
            )


def look(path: str, now: float) -> QueueFacts:
    """Give how a read mailbox stands at ``now`` (seconds since 1970); blocks."""
    try:
        found = scan(path, now=now, most=1)
    except OSError as error:
        fault = str(storage_error(path, error))
        return QueueFacts("read", path, 0, None, error=fault, error_at=now)
    return QueueFacts("read", path, found.total, found.oldest, failed.count(path))


def _remember(names: dict[str, float], name: str, now: float) -> None:
    if name in names or len(names) < _REMEMBERED:
        names[name] = now


def _cancel(box: _Box) -> asyncio.Task[None] | None:
    if box.task is not None:
        box.task.cancel()
    return box.task
