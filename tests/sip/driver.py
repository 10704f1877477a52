# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a `SipInterface` in a process of its own: JSON lines in, JSON lines out.

The SIP stack is a singleton of its process and a fault in it would take the tests along; so they
drive it from outside. A line in is ``{"do": "answer", ...}`` with the arguments of that method of
`SipInterface`, or ``{"do": "take_messages"}``; a line out is an event (``event`` its class, and its
fields) or, for ``{"do": "counters"}``, the counters. End of input stops the interface; the last
line tells how long that took and how many calls were left.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from dataclasses import asdict
from typing import Any

from cig_server.sif.events import MessageEvent, Refused, SipEvent
from cig_server.sif.interface import SipInterface
from cig_server.sif.settings import SipSettings


def say(line: dict[str, Any]) -> None:
    print(json.dumps(line, default=plain), flush=True)


def plain(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def tell(event: SipEvent | MessageEvent | Refused) -> None:
    say({"event": type(event).__name__, **asdict(event)})


async def lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def main() -> None:
    settings = SipSettings(**json.loads(sys.argv[1]))
    interface = SipInterface(settings, tell, on_refused=tell)
    await interface.start()
    say({"event": "Started"})
    reader = await lines()
    while line := await reader.readline():
        command = json.loads(line)
        name = command.pop("do")
        if name == "counters":
            counters = {**interface.counters(), "live": interface.live_calls}
            say({"event": "Counters", "counters": counters})
        elif name == "take_messages":
            interface.message_listener = tell
        else:
            getattr(interface, name)(**command)
    began = time.monotonic()
    await interface.stop()
    say(
        {
            "event": "Stopped",
            "seconds": time.monotonic() - began,
            "live": interface.live_calls,
            "counters": interface.counters(),
        }
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    asyncio.run(main())
