# SPDX-License-Identifier: GPL-3.0-or-later
"""The secure phone: one tel URI at a CRS, and its calls."""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
import time
from collections.abc import Mapping, Sequence

from cig_lab.phone.call import DTMF, SecureCall
from cig_lab.phone.crypto import PhoneCrypto
from cig_lab.phone.link import CrsLink
from cig_lab.phone.media import SecureMedia
from cig_lab.phone.mime import Attachment, ReceivedText
from cig_lab.phone.text_crypto import TextKeys
from cig_lab.phone.texts import PhoneTexts, SentText
from mikey_sakke.errors import MikeySakkeError
from mikey_sakke.keys import UserKeys
from umsg.call import CallMachine
from umsg.errors import LocalError
from umsg.events import ErrorReceived, Event, MessageReceived, Resumed, Welcomed
from umsg.messages import Bang, Hangup, Message
from umsg.reasons import Reason

OFFER = ("PCMA/8000", "PCMU/8000")


def dialled_uri(number: str) -> str:
    """Give the tel URI of what a user dials: ``+8888w101`` is ``tel:+8888;101``.

    The "wait for connect" sign is ``w`` or ``;``; blanks and ``-.()`` mean nothing. Raises
    ValueError where that gives no tel URI.
    """
    head, _, extension = re.sub(r"[\s().-]", "", number.removeprefix("tel:")).partition(
        "w" if "w" in number else ";"
    )
    if not re.fullmatch(r"\+[0-9]{1,15}", head) or not re.fullmatch(r"[0-9A-Za-z*#+_]*", extension):
        raise ValueError(f"{number!r} is no number in international form, such as +8888w101")
    return f"tel:{head}{';' if extension else ''}{extension}"


class SecurePhone:
    """Made inside a running loop; `ready` waits for the login, `stop` ends it."""

    def __init__(
        self, keys: Mapping[str, UserKeys], *, crs: tuple[str, int], pin: bytes, host: str
    ) -> None:
        self._host = host
        self._crypto = PhoneCrypto(keys)
        self._calls: dict[str, SecureCall] = {}
        self._incoming: asyncio.Queue[SecureCall] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self.refused = 0
        self.link = CrsLink(self._crypto, crs, pin, self._session_event)
        self.texts = PhoneTexts(TextKeys(keys), self.link)

    @property
    def uri(self) -> str:
        """The phone's own tel URI."""
        return self._crypto.uri

    async def ready(self) -> None:
        """Wait until the CRS has welcomed us."""
        await self.link.ready.wait()

    async def dial(self, number: str, *, offer: tuple[str, ...] = OFFER) -> SecureCall:
        """Call a number (``+8888w101``) or tel URI; raises ValueError, MikeySakkeError."""
        media = await SecureMedia.open(self._host)
        call_id = base64.b64encode(secrets.token_bytes(12)).decode()
        to_uri = dialled_uri(number)
        mikey, keys = self._crypto.place(
            id=call_id, from_uri=self.uri, to_uri=to_uri, offer=offer, dtmf=DTMF, now=time.time()
        )
        machine = CallMachine.caller(
            id=call_id,
            from_uri=self.uri,
            to_uri=to_uri,
            offer=offer,
            dtmf=DTMF,
            now=asyncio.get_running_loop().time(),
        )
        call = self._add(SecureCall(machine, keys, media, self.link.send))
        call.bang(mikey)
        return call

    async def send_text(
        self,
        number: str,
        text: str,
        *,
        attachments: Sequence[Attachment] = (),
        auto_submitted: str = "no",
    ) -> SentText:
        """Send a text to a number (``+8888w101``) or tel URI; raises ValueError, MikeySakkeError.

        It is sealed when this returns; that it was stored, and what became of it, is told by what
        is returned.
        """
        uri = dialled_uri(number)
        return self.texts.send(uri, text, attachments, auto_submitted=auto_submitted)

    async def next_text(self) -> ReceivedText:
        """Wait for the next text that comes."""
        return await self.texts.next()

    async def incoming(self) -> SecureCall:
        """Wait for the next call; it growls already."""
        return await self._incoming.get()

    async def stop(self) -> None:
        """Hang up everything and disconnect."""
        for call in list(self._calls.values()):
            call.hangup()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.texts.stop()
        await self.link.close()

    def _add(self, call: SecureCall) -> SecureCall:
        self._calls[call.id] = call
        call.ended.add_done_callback(lambda _: self._calls.pop(call.id, None))
        return call

    def _session_event(self, event: Event) -> None:
        match event:
            case Welcomed():
                # First: `resume` may bring what the CRS sent right after its welcome.
                self.texts.welcomed()
                self.link.resume(list(self._calls))
            case Resumed(alive, lost):
                self._resumed(alive, lost)
            case MessageReceived(message):
                self._message(message)
            case ErrorReceived(code, text, _, mid) if mid is not None:
                self.texts.error(mid, code, text)
            case ErrorReceived(code, text, call_id, _):
                call = self._calls.get(call_id or "")
                if call is not None:
                    call.machine.refused(code, text, asyncio.get_running_loop().time())
                    call.flush()

    def _resumed(self, alive: frozenset[str], lost: frozenset[str]) -> None:
        for call_id, call in list(self._calls.items()):
            if call_id in lost:
                call.machine.dropped(asyncio.get_running_loop().time())
            elif call_id in alive:
                call.machine.resume()
            call.flush()

    def _message(self, message: Message) -> None:
        if self.texts.message(message):
            return
        call = self._calls.get(getattr(message, "id", ""))
        if call is not None:
            try:
                call.receive(message)
            except LocalError:
                self.refused += 1
        elif isinstance(message, Bang):
            task = asyncio.ensure_future(self._banged(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _banged(self, bang: Bang) -> None:
        try:
            keys = self._crypto.take(bang, time.time())
        except MikeySakkeError as error:
            self.refused += 1
            self.link.send(Hangup(id=bang.id, reason=Reason.CRYPTO, text=str(error)[:200]))
            return
        media = await SecureMedia.open(self._host)
        machine = CallMachine.callee(bang, asyncio.get_running_loop().time())
        call = self._add(SecureCall(machine, keys, media, self.link.send))
        call.growl()
        self._incoming.put_nowait(call)
