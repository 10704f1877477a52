# SPDX-License-Identifier: GPL-3.0-or-later
"""Many texts at once: each arrives once, in order, and cig-server's memory does not grow."""

from __future__ import annotations

import os
import time
from pathlib import Path

from e2e import mail
from e2e.support import Gateway, gateway, until

OUT = 500
IN = 200
MOST_GROWTH = 15 << 10
"""KiB that cig-server's memory may grow by between the first texts and the last."""
PATIENCE = 120.0


def memory(running: Gateway) -> int:
    """Give cig-server's resident memory in KiB."""
    status = Path(f"/proc/{running.lab.server.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1])


async def test_many_messages_wait_in_a_mailbox() -> None:
    async with gateway() as running:
        lab, box = running.lab, mail.from_pbx(running.lab)
        await lab.server.stop()
        began = time.time_ns() - OUT * 10**6
        for n in range(OUT):
            # The names do not tell the order.
            path = mail.put(box, f"number {n}", name=f"{n * 7 % OUT:05}.{n}.pbx")
            os.utime(path, ns=(began, began + n * 10**6))
        await lab.start_server()
        texts = lab.phone.texts
        await until("the first to come", lambda: texts.unread >= 100, PATIENCE)
        at_first = memory(running)
        await until("all to come", lambda: texts.unread >= OUT, PATIENCE)
        await until("new to be empty", lambda: not mail.names(box), PATIENCE)
        assert memory(running) - at_first < MOST_GROWTH
        assert texts.unread == OUT
        found = [int((await texts.next()).text.split()[1]) for _ in range(OUT)]
        assert sorted(found) == list(range(OUT))
        # Of those under way at once, 16, one may overtake another.
        assert max(abs(n - at) for at, n in enumerate(found)) <= 32
        assert mail.names(box, "failed") == []


async def test_many_texts_come_from_the_phone() -> None:
    async with gateway() as running:
        lab, box = running.lab, mail.to_pbx(running.lab)
        sent = [await lab.phone.send_text("+8888w101", f"number {n}") for n in range(IN)]
        await until("all receipts", lambda: all(text.receipt.done() for text in sent), PATIENCE)
        assert {text.receipt.result().status for text in sent} == {"delivered"}
        found = [int(mail.body(mail.take_named(box, name)).split()[1]) for name in mail.names(box)]
        assert sorted(found) == list(range(IN))
        assert mail.names(box, "tmp") == []
