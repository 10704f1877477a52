# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts through the real programs, each way: mailboxes, receipts, refusals, restarts."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path

from e2e import mail
from e2e.support import Gateway, gateway, soon, until
from umsg.messages import Message, Receipt

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 200


async def _arrived(running: Gateway) -> None:
    box = mail.to_pbx(running.lab)
    await until("a message in the mailbox", lambda: mail.names(box))


async def test_from_the_secure_phone_to_a_mailbox() -> None:
    async with gateway() as running:
        sent = await running.lab.phone.send_text(
            "+8888w101", "Grüße\nzwei Zeilen", attachments=[("bild ä.png", "image/png", PNG)]
        )
        receipt = await soon(sent.receipt)
        assert receipt.status == "delivered"
        message = mail.take(mail.to_pbx(running.lab))
        assert message["X-Sender-URI"] == "tel:+46701234567"
        assert message["X-Sender-Domain"] == running.lab.kms.domain
        assert message["Auto-Submitted"] == "no"
        assert mail.body(message) == "Grüße\nzwei Zeilen"
        (attachment,) = message.iter_attachments()
        assert attachment.get_filename() == "bild ä.png"
        assert attachment.get_content() == PNG
        told = await running.lab.ask("show texts")
        assert not told["problem"]


async def test_from_a_mailbox_to_the_secure_phone() -> None:
    async with gateway() as running:
        path = mail.put(mail.from_pbx(running.lab), "Hello from the PBX")
        text = await soon(running.lab.phone.next_text())
        assert (text.from_uri, text.to_uri) == ("tel:+8888;101", "tel:+46701234567")
        assert text.text == "Hello from the PBX"
        await until("the message to be gone", lambda: not path.exists())


async def test_nobody_takes_it() -> None:
    async with gateway() as running:
        sent = await running.lab.phone.send_text("+8888", "for nobody")
        receipt = await soon(sent.receipt)
        assert (receipt.status, receipt.reason) == ("refused", "no-mailbox")
        assert "for nobody" not in running.log(running.lab.server)
        assert mail.names(mail.to_pbx(running.lab)) == []


async def test_a_poison_message_blocks_nobody() -> None:
    async with gateway() as running:
        box = mail.from_pbx(running.lab)
        mail.put_octets(box, b"no message at all", "000000.poison")
        mail.put(box, "to nowhere", to="<mailto:somebody>", name="000001.nowhere")
        mail.put(box, "good")
        assert (await soon(running.lab.phone.next_text())).text == "good"
        await until("both to be in failed", lambda: len(mail.names(box, "failed")) == 4)
        reason = (box / "failed" / "000001.nowhere.reason").read_text()
        assert "To" in reason
        assert reason.endswith("\n")


async def test_a_refusal_is_told_to_the_sender() -> None:
    async with gateway() as running:
        running.lab.phone.texts.refuse = lambda text: "not wanted"
        mail.put(mail.from_pbx(running.lab), "please")
        await _arrived(running)
        message = mail.take(mail.to_pbx(running.lab))
        assert message["Auto-Submitted"] == "auto-replied"
        assert message["X-Sender-URI"] == "tel:+46701234567"
        assert "not wanted" in mail.body(message)


async def test_the_recipient_is_unknown() -> None:
    async with gateway() as running:
        box = mail.from_pbx(running.lab)
        mail.put(box, "hello?", to="<sip:49999@secure>", name="000002.unknown")
        await until("it to be in failed", lambda: "000002.unknown" in mail.names(box, "failed"))
        assert "not-found" in (box / "failed" / "000002.unknown.reason").read_text()


async def test_the_server_restarts_with_texts_on_both_sides() -> None:
    async with gateway(look_over=False) as running:
        lab = running.lab
        await lab.server.stop()
        sent = [await lab.phone.send_text("+8888w101", f"in {n}") for n in range(20)]
        for n in range(20):
            mail.put(mail.from_pbx(lab), f"out {n}")
        await lab.start_server()
        for text in sent:
            assert (await soon(text.receipt)).status == "delivered"
        box = mail.to_pbx(lab)
        found = [mail.body(mail.take_named(box, name)) for name in mail.names(box)]
        assert sorted(found) == sorted(f"in {n}" for n in range(20))
        out = [(await soon(lab.phone.next_text())).text for _ in range(20)]
        assert sorted(out) == sorted(f"out {n}" for n in range(20))
        await until("new to be empty", lambda: not mail.names(mail.from_pbx(lab)))
        assert await lab.server.stop() == 0


async def test_a_big_text_delays_no_call() -> None:
    """Only that both come about at once; how long a call waits is measured by bench-texts."""
    async with gateway() as running:
        big = os.urandom(7 << 20)
        sent = await running.lab.phone.send_text(
            "+8888w101", "big", attachments=[("big.bin", "application/octet-stream", big)]
        )
        call = await running.dial()
        incoming = await soon(running.lab.sip_phone.incoming())
        await soon(incoming.accept())
        await soon(call.up)
        call.hangup()
        assert (await soon(sent.receipt, 30)).status == "delivered"
        message = mail.take(mail.to_pbx(running.lab))
        (attachment,) = message.iter_attachments()
        assert attachment.get_content() == big


async def test_everything_dies_while_texts_flow() -> None:
    """Relay, server and CRS are killed in turn; every text arrives, and each of them once."""
    async with gateway(look_over=False) as running:
        lab = running.lab
        inward = [await lab.phone.send_text("+8888w101", f"in {n}") for n in range(30)]
        for n in range(30):
            mail.put(mail.from_pbx(lab), f"out {n}")
        for _ in range(2):
            await _kill(running, "relay")
            await _kill(running, "server")
            await lab.crs.stop()
            await lab.crs.start()
        for text in inward:
            assert (await soon(text.receipt, 60)).status == "delivered"
        box = mail.to_pbx(lab)
        found = [mail.body(mail.take_named(box, name)) for name in mail.names(box)]
        assert sorted(found) == sorted(f"in {n}" for n in range(30))
        out = [(await soon(lab.phone.next_text(), 60)).text for _ in range(30)]
        assert sorted(out) == sorted(f"out {n}" for n in range(30))
        await until("new to be empty", lambda: not mail.names(mail.from_pbx(lab)), 60)


async def _kill(running: Gateway, name: str) -> None:
    child = getattr(running.lab, name)
    os.kill(child.pid, 9)
    await child.wait()
    await asyncio.sleep(0)
    await getattr(running.lab, f"start_{name}")()


async def test_a_text_that_comes_again_after_a_restart(tmp_path: Path) -> None:
    """The CRS's disk is put back to how it was before the gateway's receipts came."""
    folder, backup = tmp_path / "crs", tmp_path / "backup"
    async with gateway(text_folder=folder, look_over=False) as running:
        lab, box = running.lab, mail.to_pbx(running.lab)
        receipts: list[Receipt] = []

        def noted(message: Message) -> list[Message]:
            if isinstance(message, Receipt):
                receipts.append(message)
            return [message]

        lab.crs.text_tamper = noted
        await lab.server.stop()
        for number in ("+8888w101", "+8888"):
            await soon((await lab.phone.send_text(number, "once")).stored)
        shutil.copytree(folder, backup)
        await lab.start_server()
        await until("two receipts", lambda: len(receipts) == 2)
        assert mail.body(mail.take(box)) == "once"  # it is read, and gone

        await lab.crs.stop()
        os.kill(lab.server.pid, signal.SIGKILL)
        await lab.server.wait()
        shutil.rmtree(folder)
        shutil.copytree(backup, folder)
        await lab.crs.start()
        await lab.start_server()
        await until("two more receipts", lambda: len(receipts) == 4, 30)
        first, second = receipts[:2], receipts[2:]
        assert sorted(r.status for r in first) == ["delivered", "refused"]
        assert {r.mid: r for r in first} == {r.mid: r for r in second}  # signatures too
        assert mail.names(box) == mail.names(box, "tmp") == []
