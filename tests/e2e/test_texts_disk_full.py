# SPDX-License-Identifier: GPL-3.0-or-later
"""A full disk under a mailbox, or under the state folder: nothing is receipted, nothing is lost,
an operator is told, calls go on, and so do texts once there is room. Needs root, to mount a disk.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e import mail
from e2e.support import SECURE_NUMBER, Gateway, gateway, soon, until

HURRYING = Path(__file__).parent / "hurrying"
RECOVERY = 20.0
TEXTS = 5


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount an empty disk of 1 MiB on a folder for the while."""
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0770", "none", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave no room at all; gives the file that takes it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    assert shutil.disk_usage(folder).free == 0
    return filler


async def restart_hurried(running: Gateway) -> None:
    """Start cig-server anew, so that it looks often whether the disk works again."""
    lab = running.lab
    source = Path(__file__).parents[2] / "src"
    lab.server_environment = {"PYTHONPATH": f"{HURRYING}:{source}"}
    await lab.server.stop()
    await lab.start_server()
    await until("the CRS to welcome it", lambda: _connected(running))


async def _connected(running: Gateway) -> bool:
    return bool((await running.status())["umsg_connected"])


async def problem(running: Gateway) -> str:
    """Wait until ``show texts`` tells of a problem; ``status`` tells it too."""

    async def told() -> str:
        # Queues that could not be looked at in time are answered by words alone.
        with contextlib.suppress(ValueError):
            return str((await running.lab.ask("show texts"))["problem"])
        return ""

    words = str(await until("show texts to tell of the disk", told))
    status = await running.status()
    assert not status["texts_ok"]
    assert status["texts_problem"]
    return words


async def a_call_is_put_through(running: Gateway) -> None:
    call = await running.dial()
    incoming = await soon(running.lab.sip_phone.incoming())
    await soon(incoming.accept())
    await soon(call.up)
    call.hangup()


async def all_is_well(running: Gateway) -> None:
    async def well() -> bool:
        return (await running.status())["texts_ok"] is True

    await until("status to be well again", well, RECOVERY)


def found(box: Path) -> list[str]:
    """Take all messages of a mailbox."""
    return sorted(mail.body(mail.take_named(box, name)) for name in mail.names(box))


async def test_under_the_write_mailbox() -> None:
    async with gateway() as running:
        lab = running.lab
        await restart_hurried(running)
        box = mail.to_pbx(lab)
        with small_disk(box):
            for name in ("new", "cur", "tmp", "failed"):
                (box / name).mkdir()
            filler = fill(box)
            sent = [await lab.phone.send_text("+8888w101", f"in {n}") for n in range(TEXTS)]
            words = await problem(running)
            assert str(box) in words
            assert "make room" in words
            assert str(box) in await lab.cli("show", "texts")
            # Nothing else is held up.
            await a_call_is_put_through(running)
            mail.put(mail.from_pbx(lab), "out all the same")
            assert (await soon(lab.phone.next_text())).text == "out all the same"
            assert not any(text.receipt.done() for text in sent)
            assert mail.names(box) == mail.names(box, "tmp") == []

            filler.unlink()
            for text in sent:
                assert (await soon(text.receipt, RECOVERY)).status == "delivered"
            assert found(box) == [f"in {n}" for n in range(TEXTS)]
            await all_is_well(running)


async def test_under_the_state_folder() -> None:
    async with gateway(messaging=True) as running:
        lab = running.lab
        await lab.server.stop()
        state, box = lab.folder / "texts", mail.to_pbx(lab)
        uri = f"sip:{SECURE_NUMBER}@127.0.0.1:{running.port}"
        with small_disk(state):
            await restart_hurried(running)
            filler = fill(state)
            sent = [await lab.phone.send_text("+8888w101", f"in {n}") for n in range(TEXTS)]
            path = mail.put(mail.from_pbx(lab), "out")
            words = await problem(running)
            assert str(state / "texts.db") in words
            assert "make room" in words
            assert await soon(lab.sip_phone.send_message(uri, "not taken")) == 503
            await a_call_is_put_through(running)

            # A start in this state is no other: calls go on, and texts wait.
            await restart_hurried(running)
            assert str(state) in await problem(running)
            await a_call_is_put_through(running)
            assert not any(text.receipt.done() for text in sent)
            assert path.exists()
            assert not lab.phone.texts.unread

            filler.unlink()
            for text in sent:
                assert (await soon(text.receipt, RECOVERY)).status == "delivered"
            assert found(box) == [f"in {n}" for n in range(TEXTS)]
            assert (await soon(lab.phone.next_text(), RECOVERY)).text == "out"
            await until("the message to be gone", lambda: not path.exists())
            await all_is_well(running)
            assert await lab.server.stop() == 0
        await lab.start_server()  # for what is looked over at the end
