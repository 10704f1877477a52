# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the text service's two ends of SIP on a real trunk, in a process of its own.

Arguments: the folder for the store, and the SIP port; cig.conf is ``cig.conf`` in the folder. A
line in is ``{"mid": …, "to": …, "text": …, "attachments": n}``, a text to send; lines out tell of
what was accepted, of ends and of notices. It runs until it is killed or its input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cig_common.config import loads
from cig_common.texts.content import Attachment, Held, TextContent
from cig_server.sif.events import IncomingMessage, MessageEvent
from cig_server.sif.interface import SipInterface
from cig_server.sif.settings import SipSettings
from cig_server.texts import sip_in, sip_out
from cig_server.texts.model import Origin, TextKey
from cig_server.texts.store import TextStore, Work

SENDER = "tel:+46701234567"


def say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


class Sending:
    def __init__(self, store: TextStore) -> None:
        self._store = store

    async def accept(
        self,
        *,
        from_uri: str,
        to_uri: str,
        content: TextContent,
        origin: Origin,
        also: Work[None],
    ) -> str:
        await self._store.run(also)
        text = b"".join(content.text.chunks()).decode()
        say("Accepted", from_uri=from_uri, to_uri=to_uri, text=text, origin=origin)
        return "mid"


async def notify(key: TextKey, from_uri: str, to_uri: str, count: int) -> None:
    say("Notice", mid=key.mid, to_uri=to_uri, count=count)


async def main() -> None:
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    config = loads((folder / "cig.conf").read_text())
    store = TextStore(folder, [sip_in.SCHEMA, sip_out.SCHEMA])
    await store.open()
    sif = SipInterface(SipSettings("127.0.0.1", port), lambda event: None)
    incoming = sip_in.SipIn(
        config=lambda: config, store=store, sending=Sending(store), sif=sif, clock=time.time
    )
    outgoing = sip_out.SipOut(
        config=lambda: config,
        store=store,
        sif=sif,
        on_result=lambda key, ok, reason: say("End", mid=key.mid, ok=ok, reason=reason),
        notify_attachments=notify,
        clock=time.time,
        retry_seconds=lambda: 3600.0,
    )

    def listen(event: MessageEvent) -> None:
        if isinstance(event, IncomingMessage):
            incoming.message(event)
        else:
            outgoing.result(event)

    sif.message_listener = listen
    await sif.start()
    await outgoing.start()
    say("Started")
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        text = json.loads(line)
        files = (Attachment("a.png", "image/png", Held(b"x")),) * text.get("attachments", 0)
        content = TextContent(datetime.now(UTC), Held(text["text"].encode()), files)
        key = TextKey(SENDER, text["mid"])
        taken = await outgoing.offer(key, SENDER, text["to"], content)
        say("Taken" if taken else "Left", mid=text["mid"])
    await incoming.stop()
    await outgoing.stop()
    await sif.stop()
    await store.close()
    say("Stopped")


if __name__ == "__main__":
    asyncio.run(main())
