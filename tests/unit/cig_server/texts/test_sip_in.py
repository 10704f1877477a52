# SPDX-License-Identifier: GPL-3.0-or-later
"""MESSAGE from the PBX: what is refused and how, what is kept, and what comes twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cig_common.config import Configuration, loads
from cig_common.errors import CigError, OverloadError
from cig_common.texts.content import TextContent
from cig_server.sif.commands import Headers
from cig_server.sif.events import IncomingMessage
from cig_server.texts.model import Origin, StorageError
from cig_server.texts.sip_in import MAX_BODY, REPEAT_SECONDS, SCHEMA, SipIn
from cig_server.texts.store import TextStore, Work

CONFIG = """
map a { entry e sip "sip:9{x}@h" tel "tel:+{x}"; }
map s { entry e sip "sip:{x}@pbx" tel "tel:+88{x}"; }
interfaces {
  tel { extension map a; source map s; }
  sip { extension map a; source map s; messaging true; }
}
"""


class World:
    """Stands for the way to the CRS and for the trunk."""

    def __init__(self, store: TextStore) -> None:
        self.config: Configuration = loads(CONFIG)
        self.now = 1_800_000_000.0
        self.accepted: list[tuple[str, str, bytes, TextContent]] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.answers: dict[str, tuple[int, dict[str, str]]] = {}
        self.store = store
        self.sip_in = self.make()

    def make(self) -> SipIn:
        return SipIn(
            config=lambda: self.config,
            store=self.store,
            sending=self,
            sif=self,
            clock=lambda: self.now,
        )

    async def accept(
        self,
        *,
        from_uri: str,
        to_uri: str,
        content: TextContent,
        origin: Origin,
        also: Work[None] | None = None,
    ) -> str:
        assert origin is Origin.SIP
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        assert also is not None
        await self.store.run(also)
        text = b"".join(content.text.chunks())
        self.accepted.append((from_uri, to_uri, text, content))
        return f"mid-{len(self.accepted)}"

    def answer_message(self, name: str, status: int, headers: Headers = ()) -> None:
        assert name not in self.answers
        self.answers[name] = (status, dict(headers))

    async def answer(self, event: IncomingMessage) -> tuple[int, dict[str, str]]:
        self.sip_in.message(event)
        async with asyncio.timeout(5):
            while event.name not in self.answers:
                await asyncio.sleep(0)
        return self.answers[event.name]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = TextStore(tmp_path, [SCHEMA])
    await store.open()
    yield World(store)
    await store.close()


_count = 0


def message(body: bytes = b"hello", **fields: object) -> IncomingMessage:
    global _count
    _count += 1
    values: dict[str, object] = {
        "name": f"msg-{_count}",
        "request_uri": "sip:94670@h",
        "from_uri": "sip:101@pbx",
        "call_id": f"call-{_count}",
        "cseq": 1,
        "from_tag": "a",
        "content_type": "text/plain",
        "charset": "utf-8",
        "encoding": "",
        "source": "192.0.2.1:5060",
        "body": body,
    }
    return IncomingMessage(**{**values, **fields})  # type: ignore[arg-type]


async def test_a_text_is_kept_and_then_accepted(world: World) -> None:
    assert await world.answer(message("Grüße\r\nzwei\r\n\r\n".encode())) == (202, {})
    ((from_uri, to_uri, text, content),) = world.accepted
    assert (from_uri, to_uri) == ("tel:+88101", "tel:+4670")
    assert text.decode() == "Grüße\nzwei"
    assert content.date.timestamp() == world.now and not content.attachments


@pytest.mark.parametrize(
    "fields",
    [{"charset": ""}, {"charset": "us-ascii"}, {"content_type": ""}, {"encoding": "identity"}],
)
async def test_these_are_plain_text_too(world: World, fields: dict[str, object]) -> None:
    assert (await world.answer(message(**fields)))[0] == 202


@pytest.mark.parametrize(
    ("fields", "status", "header"),
    [
        ({"content_type": "text/html"}, 415, ("Accept", "text/plain")),
        ({"content_type": "application/im-iscomposing+xml"}, 415, ("Accept", "text/plain")),
        ({"charset": "iso-8859-1"}, 415, ("Accept", "text/plain")),
        ({"encoding": "gzip"}, 415, ("Accept", "text/plain")),
        ({"body": b""}, 400, None),
        ({"body": b" \r\n"}, 400, None),
        ({"body": b"\xff"}, 400, None),
        ({"body": "ü".encode(), "charset": "us-ascii"}, 400, None),
        ({"body": b"a\0b"}, 400, None),
        ({"body": b"a" * (MAX_BODY + 1)}, 413, None),
        (
            {"request_uri": "sip:8@h"},
            404,
            ("Reason", 'SIP;cause=404;text="no to-URI: no entry of `a` matched"'),
        ),
        (
            {"from_uri": "sip:8@elsewhere"},
            404,
            ("Reason", 'SIP;cause=404;text="no from-URI: no entry of `s` matched"'),
        ),
    ],
)
async def test_what_is_refused(
    world: World, fields: dict[str, object], status: int, header: tuple[str, str] | None
) -> None:
    answer = await world.answer(message(**fields))
    assert answer == (status, dict([header] if header else []))
    assert not world.accepted


async def test_messaging_off_is_405(world: World) -> None:
    world.config = loads(CONFIG.replace("messaging true;", ""))
    status, headers = await world.answer(message())
    assert status == 405 and "INVITE" in headers["Allow"] and "MESSAGE" not in headers["Allow"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StorageError("/var", "no space left"), 503),
        (OverloadError("too many"), 503),
        (CigError("odd"), 500),
        (RuntimeError("a fault of ours"), 503),
    ],
)
async def test_what_could_not_be_kept_is_not_accepted(
    world: World, error: Exception, status: int
) -> None:
    world.error = error
    event = message()
    assert (await world.answer(event))[0] == status
    assert ("Retry-After" in world.answers[event.name][1]) == (status == 503)
    world.error = None
    again = message(call_id=event.call_id)
    assert (await world.answer(again))[0] == 202
    assert len(world.accepted) == 1


async def test_one_that_comes_again_is_taken_once_even_after_a_restart(world: World) -> None:
    assert (await world.answer(message(call_id="same")))[0] == 202
    world.sip_in = world.make()
    world.now += REPEAT_SECONDS - 1
    assert (await world.answer(message(call_id="same")))[0] == 202
    assert len(world.accepted) == 1
    for other in ({"cseq": 2}, {"from_tag": "b"}):
        assert (await world.answer(message(call_id="same", **other)))[0] == 202
    assert len(world.accepted) == 3
    world.now += 2
    assert (await world.answer(message(call_id="same")))[0] == 202
    assert len(world.accepted) == 4


async def test_two_of_one_at_once_get_one_answer(world: World) -> None:
    world.gate.clear()
    first, second = message(call_id="same"), message(call_id="same")
    world.sip_in.message(first)
    answering = asyncio.create_task(world.answer(second))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not world.answers
    world.gate.set()
    assert (await answering)[0] == 202 and world.answers[first.name][0] == 202
    assert len(world.accepted) == 1


async def test_what_cannot_be_noted_is_not_taken(world: World) -> None:
    world.gate.clear()
    answering = asyncio.create_task(world.answer(message()))
    async with asyncio.timeout(5):
        while not world.sip_in.counters and world.store.commits == 0:
            await asyncio.sleep(0)
    await world.store.run(lambda db: db.execute("DROP TABLE sip_in").close())
    world.gate.set()
    assert (await answering)[0] == 503
    assert not world.accepted


async def test_stopping_waits_for_what_is_taken_and_refuses_the_rest(world: World) -> None:
    world.gate.clear()
    first = message()
    world.sip_in.message(first)
    await asyncio.sleep(0)
    stopping = asyncio.create_task(world.sip_in.stop())
    await asyncio.sleep(0)
    assert (await world.answer(message()))[0] == 503
    assert not stopping.done()
    world.gate.set()
    await stopping
    assert world.answers[first.name][0] == 202


async def test_no_log_line_holds_the_text(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    event = message(b"sesame")
    await world.answer(event)
    world.error = RuntimeError("sesame")
    await world.answer(message(b"sesame"))
    await world.answer(message(b"sesame", charset="latin-1"))
    assert caplog.records and "sesame" not in caplog.text and "sesame" not in repr(event)
