# SPDX-License-Identifier: GPL-3.0-or-later
"""MESSAGE between two of the lab's SIP phones, and to nobody."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from cig_lab.sip_phone import events
from cig_lab.sip_phone.address import host_port
from cig_lab.sip_phone.agent import UserAgent
from cig_lab.sip_phone.phone import SipPhone

Phones = tuple[SipPhone, SipPhone]


@pytest.fixture(params=["UDP", "TCP"])
async def phones(request: pytest.FixtureRequest) -> AsyncIterator[Phones]:
    one = await SipPhone.start(user="101", transport=request.param)
    two = await SipPhone.start(user="102", transport=request.param)
    yield one, two
    await one.stop()
    await two.stop()


async def test_a_text_arrives(phones: Phones) -> None:
    one, two = phones
    uri = f"sip:102@{host_port(two.address)}"
    assert await one.send_message(uri, "Grüße\nzwei") == 200
    text = await two.next_message()
    assert (text.from_uri, text.to_uri) == (one.identity, uri)
    assert text.body.decode() == "Grüße\nzwei"
    assert text.content_type == "text/plain;charset=utf-8"


async def test_it_is_answered_as_one_likes(phones: Phones) -> None:
    one, two = phones
    uri = f"sip:102@{host_port(two.address)}"
    two.answer_messages_with(480)
    assert await one.send_message(uri, "a") == 480
    two.answer_messages_with(202)
    assert await one.send_message(uri, b"b", content_type="") == 202
    assert (await two.next_message()).body == b"b"
    assert await one.send_message(uri.replace("102", "103"), "c") == 404


async def test_many_at_once(phones: Phones) -> None:
    one, two = phones
    uri = f"sip:102@{host_port(two.address)}"
    statuses = await asyncio.gather(*(one.send_message(uri, str(i)) for i in range(50)))
    assert statuses == [200] * 50
    assert {(await two.next_message()).body for _ in range(50)} == {b"%d" % i for i in range(50)}


def test_silence_is_408_after_32_seconds() -> None:
    agent = UserAgent(user="101", local=("192.0.2.1", 5060), random_bytes=lambda n: b"r" * n)
    name = agent.texting.send("sip:102@192.0.2.2", b"hello", 0.0)
    now, sent = 0.0, len(agent.outgoing())
    while (at := agent.next_deadline()) is not None and agent.next_event() is None:
        now = at
        agent.handle_timer(now)
        if (event := agent.next_event()) is not None:
            assert event == events.TextResult(name, 408, "no response")
            break
        sent += len(agent.outgoing())
    assert now == 32 and sent == 11


def test_the_phone_can_stay_silent() -> None:
    one = UserAgent(user="101", local=("192.0.2.1", 5060), random_bytes=lambda n: b"r" * n)
    two = UserAgent(user="102", local=("192.0.2.2", 5060), random_bytes=lambda n: b"s" * n)
    two.texting.answer = 0
    one.texting.send("sip:102@192.0.2.2", b"hello", 0.0)
    (request,) = one.outgoing()
    two.receive(request.data, ("192.0.2.1", 5060), 0.1)
    two.receive(request.data, ("192.0.2.1", 5060), 0.6)
    assert two.outgoing() == [] and two.next_event() is None
