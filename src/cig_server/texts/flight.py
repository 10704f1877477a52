# SPDX-License-Identifier: GPL-3.0-or-later
"""One attempt to bring a sealed text to the CRS: its parts, and what is heard of it meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Protocol

from cig_server.texts.outbox import ANSWER_SECONDS, Action, Input, OutgoingText
from cig_server.texts.outbox_store import Row
from umsg.messages import Text
from umsg.texts import MAX_PART, part, part_count


class PartLink(Protocol):
    """The connection to the CRS (`uif.interface.UmsgInterface`)."""

    @property
    def connected(self) -> bool:
        """Whether a CRS has welcomed us."""
        ...

    async def send_part(self, part: Text) -> bool:
        """Send a part as soon as there is room; tells whether the way was open."""
        ...


class Flight:
    """A text under way; ``error`` is what was said last of what went wrong."""

    def __init__(self, row: Row, link: PartLink, machine: OutgoingText) -> None:
        self.row = row
        self.error = ""
        self._link = link
        self._machine = machine
        self._heard: asyncio.Queue[tuple[Input, str]] = asyncio.Queue()

    def hear(self, what: Input, text: str = "") -> None:
        """Note what was said of it."""
        self._heard.put_nowait((what, text))

    async def fly(self, pieces: Iterator[bytes]) -> Action:
        """Send all parts of the content that ``pieces`` gives, in pieces of `MAX_PART`; wait.

        Gives what is to be done: finish, rest, release or give up.
        """
        action = self._machine.receive(Input.DUE)
        if action is Action.SEND:
            action = await self._send(pieces)
        if action is Action.AWAIT:
            action = await self._answer()
        return action

    async def _send(self, pieces: Iterator[bytes]) -> Action:
        row, of = self.row, part_count(self.row.length)
        for seq in range(of):
            action = self._take_what_was_heard()
            if action is not Action.NOTHING:
                return action
            data = next(pieces, b"")
            if len(data) != min(MAX_PART, row.length - seq * MAX_PART):
                self.error = "its sealed content is damaged"
                return self._machine.receive(Input.REFUSED)
            if not await self._link.send_part(part(row.envelope, seq, of, data)):
                self.error = "the connection to the CRS broke"
                return self._machine.receive(Input.LOST)
        return self._machine.receive(Input.SENT)

    def _take_what_was_heard(self) -> Action:
        while not self._heard.empty():
            action = self._move(*self._heard.get_nowait())
            if action is not Action.NOTHING:
                return action
        return Action.NOTHING

    async def _answer(self) -> Action:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while True:
                    action = self._move(*await self._heard.get())
                    if action is not Action.NOTHING:
                        return action
        except TimeoutError:
            return self._move(Input.SILENT, f"the CRS did not answer in {ANSWER_SECONDS:g} s")

    def _move(self, what: Input, text: str) -> Action:
        self.error = text or self.error
        return self._machine.receive(what)
