# SPDX-License-Identifier: GPL-3.0-or-later
"""cig-server is killed before each single step of a text's way; the text arrives once all the same.

`killing/sitecustomize.py` ends the process. The reader of the mailbox deletes what it finds, so
that a text that was written a second time would be seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from e2e import mail
from e2e.support import Gateway, gateway, soon, until
from e2e.test_texts_sip import sender

KILLER = Path(__file__).parent / "killing"
MOST_STEPS = 60
ARRIVAL = 30.0


class Killer:
    """Has cig-server die before a step, again and again."""

    def __init__(self, running: Gateway) -> None:
        self.running = running
        self.file = running.lab.folder / "kill"
        self.deaths: list[str] = []

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

    async def _connected(self) -> bool:
        return bool((await self.running.status())["umsg_connected"])

    async def over(self, done: Any) -> bool:
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
        survived = server.returncode is None
        if survived:
            self.file.unlink(missing_ok=True)
        else:
            assert server.returncode == -9
            self.deaths.append(Path(f"{self.file}.last").read_text())
            await self.start()
        return survived


def _path() -> str:
    source = Path(__file__).parents[2] / "src"
    return f"{KILLER}:{source}"


def _outbox_is_empty(running: Gateway) -> bool:
    """Tell whether nothing of an earlier text is still to be written down."""
    path = running.lab.folder / "texts" / "texts.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


async def _is_done(running: Gateway, path: Path) -> bool:
    """Tell whether a message is off the mailbox and off the outbox."""
    return not path.exists() and await _outbox_is_empty(running)


async def _outbox_is_empty(running: Gateway) -> bool:
    queues = (await running.lab.ask("show texts"))["queues"]
    return [queue["waiting"] for queue in queues if queue["name"] == "outgoing"] == [0]


async def test_a_text_from_the_phone() -> None:
    async with gateway(look_over=False) as running:
        killer, box = Killer(running), mail.to_pbx(running.lab)
        await killer.arm()
        read: list[str] = []

        def reader() -> None:
            read.extend(mail.body(mail.take_named(box, name)) for name in mail.names(box))

        for step in range(1, MOST_STEPS):
            killer.file.write_text(str(step))
            sent = await running.lab.phone.send_text("+8888w101", f"number {step}")
            survived = await killer.over(sent.receipt.done)
            reader()
            assert (await soon(sent.receipt, ARRIVAL)).status == "delivered"
            reader()
            if survived:
                break
        assert read == [f"number {n}" for n in range(1, step + 1)]
        assert survived
        words = " ".join(killer.deaths)
        for what in ("create", "fsync", "rename", "commit", "after the commit", "send receipt"):
            assert what in words, killer.deaths
        assert mail.names(box, "tmp") == []


async def test_a_text_from_a_mailbox() -> None:
    async with gateway(look_over=False) as running:
        killer, box = Killer(running), mail.from_pbx(running.lab)
        await killer.arm()
        for step in range(1, MOST_STEPS):
            killer.file.write_text(str(step))
            path = mail.put(box, f"number {step}")
            survived = await killer.over(lambda path=path: _is_done(running, path))
            text = await soon(running.lab.phone.next_text(), ARRIVAL)
            assert text.text == f"number {step}"
            await until("the file to be gone", lambda path=path: not path.exists(), ARRIVAL)
            await until("the receipt to be taken", lambda: _outbox_is_empty(running), ARRIVAL)
            if survived:
                break
        assert survived
        words = " ".join(killer.deaths)
        for what in ("commit", "after the commit", "send text", "unlink", "fsync"):
            assert what in words, killer.deaths
        # Nothing came twice: the next text is a new one.
        mail.put(box, "the last one")
        assert (await soon(running.lab.phone.next_text(), ARRIVAL)).text == "the last one"
        assert mail.names(box, "failed") == []


async def test_a_text_from_sip() -> None:
    """The client sends its MESSAGE until it has an answer, as any does, and the phone gets one."""
    async with gateway(messaging=True, look_over=False) as running:
        killer = Killer(running)
        await killer.arm()
        with sender(running) as client:
            left = 0
            for step in range(1, MOST_STEPS):
                killer.file.write_text(str(step))
                sending = asyncio.ensure_future(client.send(f"number {step}", f"step-{step}"))
                survived = await killer.over(lambda sending=sending: _is_sent(running, sending))
                assert (await soon(sending, ARRIVAL)).status == 202
                text = await soon(running.lab.phone.next_text(), ARRIVAL)
                assert text.text == f"number {step}"
                left = await _settled(running, left)
                if survived:
                    break
            assert survived
            words = " ".join(killer.deaths)
            for what in ("commit", "after the commit", "send text"):
                assert what in words, killer.deaths
            # Nothing came twice: the next text is a new one.
            assert (await client.send("the last one", "last")).status == 202
            assert (await soon(running.lab.phone.next_text(), ARRIVAL)).text == "the last one"


async def _is_sent(running: Gateway, sending: asyncio.Future[Any]) -> bool:
    """Tell whether a text from SIP was answered, and is off the outbox."""
    return sending.done() and await _outbox_is_empty(running)


async def _settled(running: Gateway, left: int) -> int:
    """Wait for a text's receipt, so that the next steps are those of the next text alone.

    ``left`` is how many receipts died with cig-server so far, for the CRS sends each once; gives
    how many they are now.
    """
    with contextlib.suppress(AssertionError):
        await until("its receipt", lambda: _rows(running) <= left, 0.5)
    return _rows(running)


def _rows(running: Gateway) -> int:
    """Count the texts whose receipt has not come."""
    with contextlib.closing(sqlite3.connect(running.lab.folder / "texts" / "texts.db")) as store:
        return int(store.execute("SELECT count(*) FROM outbox").fetchone()[0])
