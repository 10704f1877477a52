# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts to SIP: sent once, tried again, refused, and none of it forgotten over a restart."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cig_common.config import Configuration, loads
from cig_common.errors import OverloadError
from cig_common.texts.content import Attachment, Held, TextContent
from cig_server.sif.commands import Headers
from cig_server.sif.events import MessageResult
from cig_server.texts.model import ContentRefusedError, TextKey
from cig_server.texts.sip_out import MAX_TEXT, SCHEMA, WINDOW, SipOut
from cig_server.texts.sip_out_store import KEPT_SECONDS
from cig_server.texts.store import TextStore

CONFIG = """
map a { entry e sip "sip:9{x}@h" tel "tel:+{x}"; }
map s { entry e sip "sip:{x}@gw" tel "tel:+{x}"; }
interfaces {
  tel { extension map a; }
  sip { extension map a; source map s; messaging true; }
}
"""
FROM, TO = "tel:+4670", "tel:+101"
DATE = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
HOURS = 3600.0


class World:
    """Stands for the trunk and for the way in; `statuses` are what the PBX answers, then 200."""

    def __init__(self, store: TextStore) -> None:
        self.config: Configuration = loads(CONFIG)
        self.now = 1_800_000_000.0
        self.sent: list[tuple[str, str, str, str, Headers]] = []
        self.statuses: deque[int] = deque()
        self.silent = False
        self.ends: list[tuple[TextKey, bool, str]] = []
        self.notices: list[tuple[str, str, int]] = []
        self.notice_error: Exception | None = None
        self.store = store
        self.out = self.make()

    def make(self) -> SipOut:
        return SipOut(
            config=lambda: self.config,
            store=self.store,
            sif=self,
            on_result=lambda *end: self.ends.append(end),
            notify_attachments=self.notify,
            clock=lambda: self.now,
            retry_seconds=lambda: 72 * HOURS,
        )

    def send_message(
        self, name: str, *, to_uri: str, from_uri: str, text: str, headers: Headers = ()
    ) -> None:
        self.sent.append((name, to_uri, from_uri, text, headers))
        if not self.silent:
            status = self.statuses.popleft() if self.statuses else 200
            result = MessageResult(name, abs(status), "words", heard=status > 0)
            asyncio.get_running_loop().call_soon(self.out.result, result)

    async def notify(self, key: TextKey, from_uri: str, to_uri: str, count: int) -> None:
        if self.notice_error is not None:
            raise self.notice_error
        self.notices.append((from_uri, to_uri, count))

    async def restart(self) -> None:
        await self.out.stop()
        self.out = self.make()
        await self.out.start()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.001)

    async def later(self, seconds: float, condition: Callable[[], object]) -> None:
        self.now += seconds
        self.out.look()
        await self.until(condition)

    async def waiting(self) -> int:
        (facts,) = await self.out.facts()
        return facts.waiting


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = TextStore(tmp_path, [SCHEMA])
    await store.open()
    world = World(store)
    await world.out.start()
    yield world
    await world.out.stop()
    await store.close()


def content(text: str = "hello", attachments: int = 0) -> TextContent:
    files = tuple(Attachment(f"{i}.png", "image/png", Held(b"x")) for i in range(attachments))
    return TextContent(DATE, Held(text.encode()), files)


def key(mid: str = "m1") -> TextKey:
    return TextKey(FROM, mid)


async def test_a_text_arrives(world: World) -> None:
    assert await world.out.offer(key(), FROM, TO, content("Grüße\nzwei"))
    await world.until(lambda: world.ends)
    assert world.ends == [(key(), True, "")]
    ((_, to_uri, from_uri, text, headers),) = world.sent
    assert (to_uri, from_uri, text) == ("sip:9101@h", "sip:4670@gw", "Grüße\nzwei")
    assert headers == (("Date", "Wed, 25 Nov 2026 12:00:00 GMT"),)
    assert not await world.waiting() and not world.notices


async def test_what_the_maps_do_not_lead_to_sip_is_left(world: World) -> None:
    assert not await world.out.offer(key(), FROM, "tel:0", content())
    world.config = loads(CONFIG.replace("messaging true;", ""))
    assert not await world.out.offer(key(), FROM, TO, content())
    assert not await world.waiting()


async def test_a_text_too_large_is_refused_at_once(world: World) -> None:
    with pytest.raises(ContentRefusedError) as refused:
        await world.out.offer(key(), FROM, TO, content("ü" * (MAX_TEXT // 2 + 1)))
    assert refused.value.word == "too-large"
    assert await world.out.offer(key(), FROM, TO, content("ü" * (MAX_TEXT // 2)))


@pytest.mark.parametrize("status", [302, 403, 404, 405, 415, 603])
async def test_a_final_status_refuses(world: World, status: int) -> None:
    world.statuses.append(status)
    await world.out.offer(key(), FROM, TO, content())
    await world.until(lambda: world.ends)
    assert world.ends == [(key(), False, f"sip-{status}")]
    assert len(world.sent) == 1


@pytest.mark.parametrize("status", [408, 480, 486, 500, 503, 504, -408, -503])
async def test_a_passing_failure_is_tried_again(world: World, status: int) -> None:
    """Minus: without a response."""
    world.statuses.append(status)
    await world.out.offer(key(), FROM, TO, content())
    await world.until(lambda: world.out.counters["sip-out-retries"])
    async with asyncio.timeout(5):
        while not (facts := (await world.out.facts())[0]).error:
            await asyncio.sleep(0)
    assert facts.waiting == 1 and facts.error == f"{abs(status)} words"
    assert facts.oldest == facts.error_at == world.now
    assert not world.ends and len(world.sent) == 1
    await world.later(10, lambda: world.ends)
    assert world.ends == [(key(), True, "")] and len(world.sent) == 2


async def test_the_waits_double_up_to_a_quarter_of_an_hour(world: World) -> None:
    world.statuses.extend([503] * 9)
    await world.out.offer(key(), FROM, TO, content())
    for number, wait in enumerate((10, 20, 40, 80, 160, 320, 640, 900, 900), 1):
        await world.until(lambda n=number: world.out.counters["sip-out-retries"] == n)
        await asyncio.sleep(0.02)  # the attempt is noted
        world.now += wait - 1
        world.out.look()
        await asyncio.sleep(0.02)
        assert len(world.sent) == number
        await world.later(1, lambda n=number: len(world.sent) == n + 1)
    await world.until(lambda: world.ends)


async def test_it_is_given_up_when_it_is_too_old(world: World) -> None:
    world.statuses.extend([503, -408])
    await world.out.offer(key("old"), FROM, TO, content())
    await world.until(lambda: world.out.counters["sip-out-retries"])
    await asyncio.sleep(0.02)
    await world.later(73 * HOURS, lambda: world.ends)
    assert world.ends == [(key("old"), False, "sip-unreachable")]


async def test_a_long_stop_gives_nothing_up_at_once(world: World) -> None:
    world.silent = True
    await world.out.offer(key(), FROM, TO, content())
    await world.until(lambda: world.sent)
    await world.out.stop()
    world.now += 100 * HOURS
    world.silent = False
    world.statuses.append(-408)
    await world.restart()
    await world.until(lambda: world.out.counters["sip-out-retries"])
    await asyncio.sleep(0.02)
    await world.later(10, lambda: world.ends)
    assert world.ends == [(key(), True, "")]


async def test_a_route_that_is_gone_is_waited_for(world: World) -> None:
    world.statuses.append(503)
    await world.out.offer(key(), FROM, TO, content())
    await world.until(lambda: world.out.counters["sip-out-retries"] == 1)
    await asyncio.sleep(0.02)
    whole = world.config
    world.config = loads(CONFIG.replace("tel:+{x}", "tel:+1{x}9"))
    await world.later(10, lambda: world.out.counters["sip-out-retries"] == 2)
    await asyncio.sleep(0.02)
    assert len(world.sent) == 1
    world.config = whole
    await world.later(20, lambda: world.ends)
    assert world.ends[0][1]


async def test_what_waited_is_sent_after_a_restart(world: World) -> None:
    world.silent = True
    for number in range(3):
        await world.out.offer(key(f"m{number}"), FROM, f"tel:+10{number}", content())
    await world.until(lambda: len(world.sent) == 3)
    await world.out.stop()
    world.silent = False
    await world.restart()
    await world.until(lambda: len(world.ends) == 3)
    assert {end[0].mid for end in world.ends} == {"m0", "m1", "m2"}


async def test_a_key_that_is_known_is_not_sent_again(world: World) -> None:
    await world.out.offer(key(), FROM, TO, content())
    await world.until(lambda: world.ends)
    await world.restart()
    assert await world.out.offer(key(), FROM, TO, content())
    await world.until(lambda: len(world.ends) == 2)
    assert len(world.sent) == 1 and world.ends[1] == (key(), True, "")


async def test_one_that_is_still_waiting_is_not_there_twice(world: World) -> None:
    world.silent = True
    for _ in range(2):
        assert await world.out.offer(key(), FROM, TO, content())
    assert await world.waiting() == 1


async def test_what_is_settled_is_forgotten_in_the_end(world: World) -> None:
    await world.out.offer(key(), FROM, TO, content("sesame"))
    await world.until(lambda: world.ends)
    rows = await world.store.run(lambda db: db.execute("SELECT text FROM sip_out").fetchall())
    assert rows == [("",)]
    world.now += KEPT_SECONDS + 3600
    await world.out.offer(key("new"), FROM, TO, content())
    await world.until(lambda: len(world.ends) == 2)
    rows = await world.store.run(lambda db: db.execute("SELECT key_mid FROM sip_out").fetchall())
    assert rows == [("new",)]


async def test_one_recipient_gets_texts_in_order_one_at_a_time(world: World) -> None:
    world.silent = True
    for number in range(5):
        await world.out.offer(key(f"m{number}"), FROM, TO, content(str(number)))
    await world.until(lambda: world.sent)
    await asyncio.sleep(0.02)
    assert len(world.sent) == 1
    world.silent = False
    world.out.result(MessageResult(world.sent[0][0], 200, "OK", True))
    await world.until(lambda: len(world.ends) == 5)
    assert [sent[3] for sent in world.sent] == ["0", "1", "2", "3", "4"]


async def test_so_many_are_under_way_and_no_more(world: World) -> None:
    world.silent = True
    for number in range(WINDOW + 3):
        await world.out.offer(key(f"m{number}"), FROM, f"tel:+1{number}", content())
    await world.until(lambda: len(world.sent) == WINDOW)
    await asyncio.sleep(0.02)
    assert len(world.sent) == WINDOW
    world.silent = False
    for name, *_ in list(world.sent):
        world.out.result(MessageResult(name, 200, "OK", True))
    await world.until(lambda: len(world.ends) == WINDOW + 3)


async def test_the_sender_hears_of_attachments_once_it_has_arrived(world: World) -> None:
    world.statuses.append(503)
    world.notice_error = OverloadError("later")
    await world.out.offer(key(), FROM, TO, content(attachments=2))
    await world.until(lambda: world.out.counters["sip-out-retries"])
    await asyncio.sleep(0.02)
    await world.later(10, lambda: world.ends)
    assert not world.notices
    world.notice_error = None
    await world.restart()
    await world.until(lambda: world.notices)
    await world.restart()
    await asyncio.sleep(0.02)
    assert world.notices == [(FROM, TO, 2)]


async def test_of_attachments_alone_a_line_tells(world: World) -> None:
    await world.out.offer(key(), FROM, TO, content("", attachments=3))
    await world.until(lambda: world.ends)
    assert world.sent[0][3] == "[3 attachments, which cannot be sent by SIP]"


async def test_an_answer_that_cannot_be_noted_is_not_asked_for_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cig_server.texts.sip_out._TROUBLE_WAIT", 0.01)
    world.silent = True
    await world.out.offer(key(), FROM, TO, content())
    await world.until(lambda: world.sent)
    await world.store.run(lambda db: db.execute("ALTER TABLE sip_out RENAME TO away").close())
    world.out.result(MessageResult(world.sent[0][0], 200, "OK", True))
    await world.until(lambda: world.out.trouble)
    await world.store.run(lambda db: db.execute("ALTER TABLE away RENAME TO sip_out").close())
    await world.until(lambda: world.ends)
    assert len(world.sent) == 1 and world.ends == [(key(), True, "")]
    await world.until(lambda: not world.out.trouble)


async def test_no_log_line_holds_the_text(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    world.statuses.extend([503, 404])
    await world.out.offer(key(), FROM, TO, content("sesame"))
    await world.until(lambda: world.out.counters["sip-out-retries"])
    await asyncio.sleep(0.02)
    await world.later(10, lambda: world.ends)
    assert caplog.records and "sesame" not in caplog.text
