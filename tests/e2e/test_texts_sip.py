# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts as SIP MESSAGE through the real programs, each way, and what is refused."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from cig_lab.sip_phone.message import Response, parse
from e2e import mail
from e2e.support import HOST, SECURE_NUMBER, Gateway, gateway, soon, until

NO_MAILBOX = ('match "tel:+8888;{ext}" translation', 'match "tel:+8888;5{ext}" translation')
"""Has the write mailbox take extensions that begin with 5 only."""


class Sender:
    """A SIP client that sends the same MESSAGE again, octet for octet, when it is told to."""

    def __init__(self, running: Gateway) -> None:
        self._running = running
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((HOST, 0))
        self.address = f"{HOST}:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        self._socket.close()

    async def send(
        self, body: str, name: str, *, branch: str = "", kind: str = "text/plain"
    ) -> Response:
        """Send a MESSAGE, again every 0.5 s as UDP has it, and give the final response."""
        request = (
            f"MESSAGE sip:{SECURE_NUMBER}@{HOST}:{self._running.port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self.address};branch=z9hG4bK{branch or name}\r\n"
            "Max-Forwards: 70\r\n"
            f"From: <sip:101@{self.address}>;tag={name}\r\n"
            f"To: <sip:{SECURE_NUMBER}@{HOST}>\r\n"
            f"Call-ID: {name}@{HOST}\r\nCSeq: 1 MESSAGE\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body.encode())}\r\n\r\n{body}"
        ).encode()
        loop = asyncio.get_running_loop()
        for _ in range(40):
            await loop.sock_sendto(self._socket, request, (HOST, self._running.port))
            try:
                async with asyncio.timeout(0.5):
                    return await self._final(f"{name}@{HOST}")
            except (TimeoutError, ConnectionError):
                continue  # ConnectionError: nobody listens there at present
        raise AssertionError(f"no answer to MESSAGE {name}")

    async def _final(self, call_id: str) -> Response:
        loop = asyncio.get_running_loop()
        while True:
            response = parse(await loop.sock_recv(self._socket, 65535))
            assert isinstance(response, Response)
            if response.status >= 200 and response.need("Call-ID") == call_id:
                return response


@contextmanager
def sender(running: Gateway) -> Iterator[Sender]:
    """Give a SIP client for the while."""
    made = Sender(running)
    try:
        yield made
    finally:
        made.close()


async def test_from_the_secure_phone_to_the_sip_phone() -> None:
    async with gateway(messaging=True) as running:
        lab = running.lab
        # The mailbox and the SIP phone both match: both get it, and it is delivered.
        sent = await lab.phone.send_text(
            "+8888w101", "to böth", attachments=[("a.bin", "x/y", b"\x00")]
        )
        message = await soon(lab.sip_phone.next_message())
        assert (await soon(sent.receipt)).status == "delivered"
        assert message.body.decode() == "to böth"
        assert message.content_type.replace(" ", "").lower() == "text/plain;charset=utf-8"
        assert message.from_uri == f"sip:46701234567@{HOST}"
        in_mailbox = mail.take(mail.to_pbx(lab))
        assert mail.body(in_mailbox) == "to böth"
        assert len(list(in_mailbox.iter_attachments())) == 1

        # The SIP phone alone: the receipt is its answer.
        await running.reconfigure(NO_MAILBOX)
        sent = await lab.phone.send_text("+8888w101", "by SIP alone")
        assert (await soon(lab.sip_phone.next_message())).body == b"by SIP alone"
        assert (await soon(sent.receipt)).status == "delivered"
        lab.sip_phone.answer_messages_with(404)
        sent = await lab.phone.send_text("+8888w101", "not wanted there")
        receipt = await soon(sent.receipt)
        assert (receipt.status, receipt.reason) == ("refused", "sip-404")
        assert mail.names(mail.to_pbx(lab)) == []
        assert not lab.phone.texts.unread  # nobody was told of attachments so far

        # Attachments that nobody gets are told of.
        lab.sip_phone.answer_messages_with(200)
        files = [(f"{n}.bin", "application/octet-stream", bytes(100)) for n in range(2)]
        sent = await lab.phone.send_text("+8888w101", "with files", attachments=files)
        assert (await soon(lab.sip_phone.next_message())).body == b"with files"
        assert (await soon(sent.receipt)).status == "delivered"
        notice = await soon(lab.phone.next_text())
        assert notice.from_uri == "tel:+8888;101"
        assert notice.headers["Auto-Submitted"] == "auto-replied"
        assert "2 attachments" in notice.text
        for words in ("to böth", "by SIP alone", "with files", "0.bin"):
            assert words not in running.log(lab.server) + running.log(lab.relay)


async def test_from_the_sip_phone_to_the_secure_phone() -> None:
    async with gateway(messaging=True) as running:
        lab = running.lab
        uri = f"sip:{SECURE_NUMBER}@{HOST}:{running.port}"
        assert await soon(lab.sip_phone.send_message(uri, "Grüße vom PBX")) == 202
        text = await soon(lab.phone.next_text())
        assert text.text == "Grüße vom PBX"
        assert (text.from_uri, text.to_uri) == ("tel:+8888;101", "tel:+46701234567")
        with sender(running) as client:
            answer = await client.send("<b>bold</b>", "html", kind="text/html")
            assert (answer.status, answer.get("Accept")) == (415, "text/plain")
            # One whose 202 was lost comes as a new request with the same name, and once only.
            assert (await client.send("one", "one", branch="first")).status == 202
            assert (await client.send("one", "one", branch="second")).status == 202
            assert (await client.send("two", "two")).status == 202
        found = [(await soon(lab.phone.next_text())).text for _ in range(2)]
        assert sorted(found) == ["one", "two"]

        # Nobody there has this number: the SIP phone is told, where no mailbox takes it.
        await running.reconfigure(NO_MAILBOX)
        other = f"sip:949999@{HOST}:{running.port}"
        assert await soon(lab.sip_phone.send_message(other, "anybody?")) == 202
        notice = (await soon(lab.sip_phone.next_message())).body.decode()
        assert "was not delivered" in notice
        assert "tel:+49999" in notice

        await running.reconfigure(("messaging true", "messaging false"))
        with sender(running) as client:
            answer = await client.send("hello", "off")
        assert answer.status == 405
        allowed = [word.strip() for word in (answer.get("Allow") or "").split(",")]
        assert "INVITE" in allowed
        assert "MESSAGE" not in allowed
        assert not lab.phone.texts.unread


async def test_killed_between_202_and_the_delivery() -> None:
    """Once with the text not sealed yet, once with it on its way."""
    async with gateway(messaging=True, look_over=False) as running:
        lab = running.lab
        with sender(running) as client:
            await lab.crs.stop()
            for n in range(3):
                assert (await client.send(f"number {n}", f"early-{n}")).status == 202
            await _kill(running)
            # Those whose 202 was lost on the way come again, and are known.
            assert (await client.send("number 0", "early-0", branch="again")).status == 202
            await lab.crs.start()
            found = [(await soon(lab.phone.next_text(), 30)).text for _ in range(3)]
            assert sorted(found) == [f"number {n}" for n in range(3)]

            await until("the CRS to welcome it", lambda: _connected(running), 30)
            lab.crs.text_tamper = lambda message: []  # on its way, and nobody gets it
            assert (await client.send("the fourth", "late")).status == 202
            await _kill(running)
            lab.crs.text_tamper = lambda message: (message,)
            lab.crs.drop_connections()
            assert (await soon(lab.phone.next_text(), 30)).text == "the fourth"

            assert (await client.send("the last", "last")).status == 202
            assert (await soon(lab.phone.next_text(), 30)).text == "the last"
            assert not lab.phone.texts.unread


async def _connected(running: Gateway) -> bool:
    return bool((await running.status())["umsg_connected"])


async def _kill(running: Gateway) -> None:
    os.kill(running.lab.server.pid, signal.SIGKILL)
    await running.lab.server.wait()
    await running.lab.start_server()
