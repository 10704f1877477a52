# SPDX-License-Identifier: GPL-3.0-or-later
"""cig-server is killed before each step of a text's way; the text arrives once all the same.

`killing/sitecustomize.py` ends the process. The readers delete what they find, so that a text that
came a second time would be seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from e2e import mail
from e2e.support import Gateway, gateway, soon, until
from e2e.test_texts_sip import sender

KILLER = Path(__file__).parent / "killing"
TIMES = 2
"""How often a step of one kind is waited for: before its first time, and before its second."""
ARRIVAL = 30.0

Done = Callable[[], Any | Awaitable[Any]]


class Killer:
    """Has cig-server die before a step, again and again. ``deaths`` are the steps of which it did:
    there is no second unlink, say, on the way of one text.
    """

    def __init__(self, running: Gateway) -> None:
        self.running = running
        self.file = running.lab.folder / "kill"
        self.deaths: list[str] = []
        self.texts: list[str] = []
        """The text of each life, in order."""

    async def arm(self) -> None:
        """Start cig-server anew, so that it can be killed."""
        lab = self.running.lab
        await lab.server.stop()
        lab.server_environment = {"CIG_KILL_FILE": str(self.file), "PYTHONPATH": _path()}
        await self.start()

    async def start(self) -> None:
        """Start cig-server and wait until it is connected."""
        await self.running.lab.start_server()
        await until("the CRS to welcome it", self._connected)

    def lives(self, *kinds: str) -> Iterator[str]:
        """Go through the steps of some kinds; gives what to send, while it may be killed."""
        for kind in kinds:
            for number in range(1, TIMES + 1):
                self._step = f"{number} {kind}"
                self.texts.append(f"before {self._step}")
                self.file.write_text(self._step)
                yield self.texts[-1]

    async def over(self, done: Done) -> None:
        """Wait until the text is through, or the server is dead; then start it anew."""
        server = self.running.lab.server

        async def over() -> bool:
            if server.returncode is not None:
                return True
            with contextlib.suppress(OSError, ValueError):  # it may die while it is asked
                found = done()
                return bool(await found if isinstance(found, Awaitable) else found)
            return False

        await until("death or success", over, ARRIVAL)
        if server.returncode is None:
            self.file.unlink(missing_ok=True)
        if not self.file.exists() and await _is_dead(server):
            assert server.returncode == -9
            self.deaths.append(self._step)
            await self.start()

    def died_at(self, *kinds: str) -> bool:
        """Tell whether it died before the first step of each kind."""
        return {f"1 {kind}" for kind in kinds} <= set(self.deaths)

    async def _connected(self) -> bool:
        return bool((await self.running.status())["umsg_connected"])


async def _is_dead(server: Any) -> bool:
    """Tell whether it is; one that took the file away is about to be."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await server.wait()
    return server.returncode is not None


def _path() -> str:
    source = Path(__file__).parents[2] / "src"
    return f"{KILLER}:{source}"


async def _is_sent(running: Gateway) -> bool:
    """Tell whether the CRS has everything."""
    queues = (await running.lab.ask("show texts"))["queues"]
    return [queue["waiting"] for queue in queues if queue["name"] == "outgoing"] == [0]


def _rows(running: Gateway) -> int:
    """Count the texts whose receipt has not come."""
    path = running.lab.folder / "texts" / "texts.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return int(database.execute("SELECT count(*) FROM outbox").fetchone()[0])


async def test_a_text_from_the_phone() -> None:
    kinds = ("create", "fsync", "rename", "commit", "after the commit", "send receipt")
    async with gateway(look_over=False) as running:
        killer, box = Killer(running), mail.to_pbx(running.lab)
        await killer.arm()
        read: list[str] = []

        def reader() -> None:
            read.extend(mail.body(mail.take_named(box, name)) for name in mail.names(box))

        for text in killer.lives(*kinds):
            sent = await running.lab.phone.send_text("+8888w101", text)
            await killer.over(sent.receipt.done)
            reader()
            assert (await soon(sent.receipt, ARRIVAL)).status == "delivered"
            reader()
        assert read == killer.texts
        assert killer.died_at(*kinds), killer.deaths
        assert mail.names(box, "tmp") == []


async def test_a_text_from_a_mailbox() -> None:
    kinds = ("commit", "after the commit", "send text", "unlink", "fsync")
    async with gateway(look_over=False) as running:
        killer, box = Killer(running), mail.from_pbx(running.lab)
        await killer.arm()
        for text in killer.lives(*kinds):
            path = mail.put(box, text)

            async def is_done(path: Path = path) -> bool:
                return not path.exists() and await _is_sent(running)

            await killer.over(is_done)
            assert (await soon(running.lab.phone.next_text(), ARRIVAL)).text == text
            await until("the file to be gone", lambda path=path: not path.exists(), ARRIVAL)
        assert killer.died_at(*kinds), killer.deaths
        # Nothing came twice: the next text is a new one.
        mail.put(box, "the last one")
        assert (await soon(running.lab.phone.next_text(), ARRIVAL)).text == "the last one"
        assert mail.names(box, "failed") == []


async def test_a_text_from_sip() -> None:
    """The client sends its MESSAGE until it has an answer, as any does, and the phone gets one."""
    kinds = ("commit", "after the commit", "send text")
    async with gateway(messaging=True, look_over=False) as running:
        killer = Killer(running)
        await killer.arm()
        with sender(running) as client:
            for number, text in enumerate(killer.lives(*kinds)):
                sending = asyncio.ensure_future(client.send(text, f"step-{number}"))

                async def is_done(sending: asyncio.Future[Any] = sending) -> bool:
                    return sending.done() and await _is_sent(running)

                await killer.over(is_done)
                assert (await soon(sending, ARRIVAL)).status == 202
                assert (await soon(running.lab.phone.next_text(), ARRIVAL)).text == text
            assert killer.died_at(*kinds), killer.deaths
            # Nothing came twice: the next text is a new one.
            assert (await client.send("the last one", "last")).status == 202
            assert (await soon(running.lab.phone.next_text(), ARRIVAL)).text == "the last one"


async def test_the_receipt_of_a_text_that_was_sent() -> None:
    """Killed while it writes down a receipt: the text is not sent again."""
    async with gateway(look_over=False) as running:
        killer, box = Killer(running), mail.from_pbx(running.lab)
        await killer.arm()
        for step in ("3 commit", "3 after the commit"):
            killer.file.write_text(step)
            mail.put(box, step)
            assert (await soon(running.lab.phone.next_text(), ARRIVAL)).text == step
            await until("its death", lambda: running.lab.server.returncode == -9, ARRIVAL)
            await killer.start()
            await until("the text to be sent", lambda: _is_sent(running), ARRIVAL)
        assert _rows(running) <= 1  # a receipt is sent once; the text has arrived
        assert running.lab.phone.texts.unread == 0
