# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts over a real SIP trunk, a real store and a real SIP phone; the way to the CRS is a line."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cig_lab.sip_phone.address import host_port
from cig_lab.sip_phone.phone import SipPhone
from sip.gateway import environment
from sip.sipp import HOST, Sipp, free_port

CONFIG = """
map a { entry e sip "sip:{x}@%(phone)s" tel "tel:+88{x}"; }
map n { entry e sip "sip:9{x}@{host}" tel "tel:+{x}"; }
map s { entry e sip "sip:{x}@secure.com" tel "tel:+{x}"; }
map from { entry e sip "sip:{x}@{host}" tel "tel:+88{x}"; }
interfaces {
  tel { extension map a; source map from; }
  sip { extension map n; source map s; %(messaging)s }
}
"""


class Texts:
    """The running driver, which can be killed and started again on the same folder and port."""

    def __init__(self, folder: Path, messaging: str) -> None:
        self.folder, self.messaging = folder, messaging
        self.port = free_port()
        self.phone: SipPhone
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        values = {"phone": host_port(self.phone.address), "messaging": self.messaging}
        (self.folder / "cig.conf").write_text(CONFIG % values)
        driver = Path(__file__).parent / "texts_driver.py"
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, driver, self.folder, str(self.port)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment(),
        )
        await self.expect("Started")

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def expect(self, event: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            while not (line := await self.process.stdout.readline()).startswith(b"{"):
                assert line, "the driver has ended"  # else pjlib says hello
        found: dict[str, Any] = json.loads(line)
        assert found["event"] == event, found
        return found

    async def send(self, **text: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(text).encode() + b"\n")
        await self.expect("Taken")

    def uri(self, user: str = "946701234567") -> str:
        return f"sip:{user}@{HOST}:{self.port}"


@pytest.fixture
async def texts(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Texts]:
    texts = Texts(tmp_path, getattr(request, "param", "messaging true;"))
    texts.phone = await SipPhone.start(user="101")
    await texts.start()
    yield texts
    await texts.kill()
    await texts.phone.stop()


async def test_from_the_phone(texts: Texts) -> None:
    assert await texts.phone.send_message(texts.uri(), "Grüße\r\nzwei") == 202
    accepted = await texts.expect("Accepted")
    assert accepted["text"] == "Grüße\nzwei" and accepted["origin"] == "sip"
    assert (accepted["from_uri"], accepted["to_uri"]) == ("tel:+88101", "tel:+46701234567")


async def test_what_is_no_text_and_who_is_not_there(texts: Texts) -> None:
    html = {"content_type": "text/html"}
    assert await texts.phone.send_message(texts.uri(), "<p>hello", **html) == 415
    assert await texts.phone.send_message(texts.uri("777"), "hello") == 404
    assert await texts.phone.send_message(texts.uri(), "") == 400
    sipp = await Sipp.caller(
        texts.folder,
        "sends_message",
        texts.port,
        type="application/octet-stream",
        body="hello",
        status=415,
        check="Accept: text/plain",
    )
    await sipp.passed()


@pytest.mark.parametrize("texts", [""], indirect=True)
async def test_messaging_off(texts: Texts) -> None:
    assert await texts.phone.send_message(texts.uri(), "hello") == 405


async def test_to_the_phone_without_its_attachments(texts: Texts) -> None:
    await texts.send(mid="m1", to="tel:+88101", text="Grüße\nzwei", attachments=2)
    message = await texts.phone.next_message()
    assert message.body.decode() == "Grüße\nzwei"
    assert message.content_type == "text/plain;charset=UTF-8"
    assert message.from_uri == "sip:46701234567@secure.com"
    assert await texts.expect("End") == {"event": "End", "mid": "m1", "ok": True, "reason": ""}
    assert (await texts.expect("Notice"))["count"] == 2


async def test_to_nobody(texts: Texts) -> None:
    await texts.send(mid="m1", to="tel:+88102", text="hello")
    end = await texts.expect("End")
    assert not end["ok"] and end["reason"] == "sip-404"


async def test_what_a_killed_gateway_had_taken_arrives(texts: Texts) -> None:
    texts.phone.answer_messages_with(0)
    await texts.send(mid="m1", to="tel:+88101", text="hello")
    await texts.kill()
    texts.phone.answer_messages_with(200)
    await texts.start()
    assert (await texts.phone.next_message()).body == b"hello"
    assert (await texts.expect("End"))["ok"]


async def test_it_ends_with_its_input(texts: Texts) -> None:
    assert texts.process.stdin is not None
    texts.process.stdin.close()
    await texts.expect("Stopped")
    assert await texts.process.wait() == 0
