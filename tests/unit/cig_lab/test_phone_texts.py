# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts from secure phone to secure phone through the lab's CRS, with keys of the lab's KMS."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cig_lab.crs import CrsServer
from cig_lab.crs.texts import WINDOW
from cig_lab.kms import LabKms, months_for
from cig_lab.phone.phone import SecurePhone
from cig_lab.phone.texts import TextRefusedError
from mikey_sakke.keys import UserKeys
from umsg.messages import Message, Receipt, Text

ALICE, BOB = "tel:+46701234567", "tel:+46707654321"
Keys = dict[str, dict[str, UserKeys]]
MONTHS = months_for(time.time())


@pytest.fixture(scope="module")
def kms() -> LabKms:
    return LabKms()


@pytest.fixture(scope="module")
def keys(kms: LabKms) -> Keys:
    return {uri: dict(kms.user_keys(uri, MONTHS)) for uri in (ALICE, BOB)}


@dataclass
class Lab:
    crs: CrsServer
    keys: Keys
    alice: SecurePhone
    bob: SecurePhone

    def phone(self, uri: str) -> SecurePhone:
        return SecurePhone(
            self.keys[uri],
            crs=self.crs.tls_address,
            pin=self.crs.certificate_sha256,
            host="127.0.0.1",
        )

    async def send(self, text: str, **more: Any) -> Any:
        return await self.alice.send_text(BOB.removeprefix("tel:"), text, **more)


@pytest.fixture
async def lab(kms: LabKms, keys: Keys, tmp_path: Path) -> AsyncIterator[Lab]:
    async with CrsServer(kpak=kms.kpak, domain=kms.domain, text_folder=tmp_path / "crs") as crs:
        lab = Lab(crs, keys, None, None)  # type: ignore[arg-type]
        lab.alice, lab.bob = lab.phone(ALICE), lab.phone(BOB)
        await soon(lab.alice.ready())
        await soon(lab.bob.ready())
        yield lab
        await lab.alice.stop()
        await lab.bob.stop()
        assert not crs.stats.internal_errors


async def soon(awaitable: Awaitable[Any], seconds: float = 10.0) -> Any:
    return await asyncio.wait_for(awaitable, seconds)


async def test_a_text_with_an_attachment_arrives_byte_for_byte(lab: Lab) -> None:
    octets = os.urandom(100_000)
    sent = await lab.send("Grüße\nzwei", attachments=[("ä.png", "image/png", octets)])
    text = await soon(lab.bob.next_text())
    assert (text.from_uri, text.to_uri, text.text) == (ALICE, BOB, "Grüße\nzwei")
    assert text.attachments == (("ä.png", "image/png", octets),)
    assert text.headers["Auto-Submitted"] == "no"
    assert sent.stored.done()
    assert (await soon(sent.receipt)).status == "delivered"


async def test_a_text_waits_for_whom_is_away(lab: Lab) -> None:
    await lab.bob.stop()
    sent = await lab.send("later")
    await soon(sent.stored)
    lab.bob = lab.phone(BOB)
    assert (await soon(lab.bob.next_text())).text == "later"
    assert (await soon(sent.receipt)).status == "delivered"


async def test_a_long_text_that_follows_the_welcome_at_once_is_shown(lab: Lab) -> None:
    await lab.bob.stop()
    octets = os.urandom(3 << 20)
    sent = await lab.send("long", attachments=[("a.bin", "application/octet-stream", octets)])
    await soon(sent.stored)
    lab.bob = lab.phone(BOB)
    assert (await soon(lab.bob.next_text())).attachments[0][2] == octets


async def test_a_receipt_waits_for_whom_is_away(lab: Lab) -> None:
    await lab.bob.stop()
    sent = await lab.send("and gone")
    await soon(sent.stored)
    await lab.alice.stop()
    lab.bob = lab.phone(BOB)
    assert (await soon(lab.bob.next_text())).text == "and gone"
    lab.alice = lab.phone(ALICE)
    lab.alice.texts._sent[sent.mid] = sent
    assert (await soon(sent.receipt)).status == "delivered"


async def test_a_crs_that_dies_forgets_nothing(lab: Lab) -> None:
    await lab.bob.stop()
    sent = [await lab.send(f"number {n}") for n in range(5)]
    for text in sent:
        await soon(text.stored)
    await lab.crs.stop()
    during = await lab.send("while it was away")
    await lab.crs.start()
    await soon(during.stored, 20)
    lab.bob = lab.phone(BOB)
    texts = [(await soon(lab.bob.next_text())).text for _ in range(6)]
    assert texts == [*(f"number {n}" for n in range(5)), "while it was away"]
    for text in [*sent, during]:
        assert (await soon(text.receipt, 20)).status == "delivered"


async def test_what_comes_twice_is_shown_once_and_receipted(lab: Lab) -> None:
    def twice(message: Message) -> list[Message]:
        return [message, message] if isinstance(message, Text) else [message]

    lab.crs.text_tamper = twice
    sent = await lab.send("once")
    assert (await soon(lab.bob.next_text())).text == "once"
    await soon(sent.receipt)
    lab.crs.text_tamper = lambda message: [message]
    again = await lab.send("the next")
    assert (await soon(lab.bob.next_text())).text == "the next"
    await soon(again.receipt)
    assert lab.bob.texts.duplicates == 1
    assert not lab.bob.texts.unread


async def test_an_altered_text_is_not_taken(lab: Lab) -> None:
    def altered(message: Message) -> list[Message]:
        if isinstance(message, Text):
            return [replace(message, data=bytes([message.data[0] ^ 1]) + message.data[1:])]
        return [message]

    lab.crs.text_tamper = altered
    await soon((await lab.send("secret")).stored)
    while not lab.bob.texts.forged:
        await asyncio.sleep(0.005)
    assert not lab.bob.texts.unread


async def test_a_forged_receipt_does_not_count(lab: Lab) -> None:
    def refused(message: Message) -> list[Message]:
        if isinstance(message, Receipt):
            return [replace(message, sig=bytes(129)), message]
        return [message]

    lab.crs.text_tamper = refused
    sent = await lab.send("hello")
    assert (await soon(sent.receipt)).status == "delivered"
    assert lab.alice.texts.forged == 1


async def test_a_text_may_be_refused(lab: Lab) -> None:
    lab.bob.texts.refuse = lambda text: "no room"
    receipt = await soon((await lab.send("please")).receipt)
    assert (receipt.status, receipt.reason) == ("refused", "no room")


async def test_a_content_that_cannot_be_read_is_refused(lab: Lab) -> None:
    sent = lab.alice.texts.send_octets(BOB, b"Content-Type: text/plain; charset=klingon\n\n\xff\n")
    receipt = await soon(sent.receipt)
    assert (receipt.status, receipt.reason) == ("refused", "content")
    assert not lab.bob.texts.unread
    assert (await soon((await lab.send("good")).receipt)).status == "delivered"


async def test_nothing_is_kept_of_what_is_over(lab: Lab) -> None:
    await soon((await lab.send("hello")).receipt)
    refused = await lab.alice.send_text("+499", "hello?")
    with pytest.raises(TextRefusedError):
        await soon(refused.receipt)
    assert not lab.alice.texts._sent
    assert not lab.alice.texts._sending


async def test_nobody_has_this_number(lab: Lab) -> None:
    sent = await lab.alice.send_text("+499", "hello?")
    with pytest.raises(TextRefusedError, match="not-found"):
        await soon(sent.stored)


async def test_many_texts_go_through_the_window_in_order(lab: Lab) -> None:
    sent = [await lab.send(f"{n}") for n in range(2 * WINDOW + 3)]
    texts = [(await soon(lab.bob.next_text())).text for _ in sent]
    assert texts == [f"{n}" for n in range(len(sent))]


async def test_a_long_text_lets_a_call_pass(lab: Lab) -> None:
    octets = os.urandom(6 << 20)
    sent = await lab.send("long", attachments=[("x.bin", "application/octet-stream", octets)])
    call = await lab.alice.dial(BOB.removeprefix("tel:"))
    await soon(call.growled)
    assert not sent.receipt.done()
    call.hangup()
    text = await soon(lab.bob.next_text(), 30)
    assert text.attachments[0][2] == octets
