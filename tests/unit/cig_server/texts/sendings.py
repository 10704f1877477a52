# SPDX-License-Identifier: GPL-3.0-or-later
"""A way out with all that is around it: the relay, the CRS and the phone behind it.

The relay seals in earnest, under a key that the I_MESSAGE gives away. The CRS keeps what it has in
a folder, one file for each mid, and opens it as the recipient's phone does.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from cig_common.clock import ManualClock
from cig_common.config import Configuration, loads
from cig_common.errors import CryptoError
from cig_common.texts.content import Held, TextContent
from cig_server.texts import outbox_store
from cig_server.texts.crypto import Sealed
from cig_server.texts.model import ContentRefusedError
from cig_server.texts.sending import Sending
from cig_server.texts.store import TextStore
from umsg.binding import text_associated_data
from umsg.errors import ErrorCode
from umsg.messages import Receipt, ReceiptStatus, Text
from umsg.sealing import TextOpener, TextSealer
from umsg.texts import MAX_SEALED, Assembler, Envelope
from unit.cig_server.texts.stand_ins import make_mailbox

OWN, PHONE = "tel:+8888", "tel:+46701234567"
SECRET = "SWORDFISH"

CONFIG = """
translate_map from_pbx {{ rule match "{{e}}@pbx" translation "tel:+8888;{{e}}"; }}
translate_map to_phone {{ rule match "{{n}}@secure" translation "tel:+{{n}}"; }}
mailboxes {{
    read {{ path "{a}"; map_from translate_map from_pbx; map_to translate_map to_phone; }}
    read {{ path "{b}"; map_from translate_map from_pbx; map_to translate_map to_phone; }}
}}
"""


def message(text: str = SECRET, *, to: str = "46701234567@secure", more: str = "") -> bytes:
    """A message as an external system writes it."""
    head = f"To: <{to}>\nFrom: <101@pbx>\nDate: 18 Nov 2026 11:00:00 +0000\n{more}"
    return f'{head}Content-Type: text/plain; charset="UTF-8"\n\n{text}\n'.encode()


def text_content(text: str = SECRET) -> TextContent:
    return TextContent(datetime(2026, 11, 18, 11, tzinfo=UTC), Held(text.encode()))


class SealingRelay:
    """Seals, and checks what `receipt_of` signed; raises `fault` where there is one."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.sealed = self.at_once = self.most_at_once = 0

    async def seal(
        self, mid: str, from_uri: str, to_uri: str, content: Iterable[bytes], out: BinaryIO
    ) -> Sealed:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._seal(mid, from_uri, to_uri, content, out)
        finally:
            self.at_once -= 1

    async def _seal(
        self, mid: str, from_uri: str, to_uri: str, content: Iterable[bytes], out: BinaryIO
    ) -> Sealed:
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        self.sealed += 1
        key, digest, length = secrets.token_bytes(16), hashlib.sha256(), 0
        sealer = TextSealer(key, text_associated_data(mid=mid, from_uri=from_uri, to_uri=to_uri))
        for piece in content:
            data = sealer.update(piece)
            out.write(data)
            digest.update(data)
            length += len(data)
            if length + 16 > MAX_SEALED:
                raise ContentRefusedError("too-large", "it is larger than 16 MiB")
            await asyncio.sleep(0)
        tag = sealer.finish()
        out.write(tag)
        digest.update(tag)
        return Sealed(Envelope(mid, from_uri, to_uri, key), digest.digest(), length + len(tag))

    async def check_receipt(self, receipt: Receipt, *, content_digest: bytes, signer: str) -> None:
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        if receipt.sig[:32] != content_digest or signer != PHONE:
            raise CryptoError("the signature is not its")


def receipt_of(sealed: bytes, mid: str, status: str = "delivered", reason: str = "") -> Receipt:
    """A receipt as the phone signs it."""
    return Receipt(
        mid=mid,
        status=ReceiptStatus(status),
        period="2026-11-1",
        sig=hashlib.sha256(sealed).digest() + bytes(97),
        reason=reason or None,
    )


class KeepingCrs:
    """The link, and the CRS behind it. ``folder`` is its disk, ``answers`` what it does.

    `refuse` gives error codes by the number in the recipient's URI; with `silent` nothing is said.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.connected = True
        self.silent = False
        self.refuse: dict[str, ErrorCode] = {}
        self.sending: Sending | None = None
        self.attempts: Counter[str] = Counter()
        self.order: list[str] = []
        self.under_way: dict[str, tuple[Assembler, bytearray]] = {}
        self.most_under_way = 0
        self.room = asyncio.Event()
        self.room.set()

    async def send_part(self, part: Text) -> bool:
        await self.room.wait()
        await asyncio.sleep(0)
        if not self.connected:
            return False
        if part.seq == 0:
            self.attempts[part.mid] += 1
            self.under_way[part.mid] = (Assembler(part), bytearray(part.data))
        else:
            assembler, data = self.under_way[part.mid]
            assembler.add(part)
            data += part.data
        self.most_under_way = max(self.most_under_way, len(self.under_way))
        assembler, data = self.under_way[part.mid]
        if assembler.complete:
            del self.under_way[part.mid]
            self._whole(assembler.envelope, bytes(data))
        return True

    def _whole(self, envelope: Envelope, sealed: bytes) -> None:
        if self.silent:
            return
        loop = asyncio.get_running_loop()
        assert self.sending is not None
        code = self.refuse.get(envelope.to_uri)
        if code is not None:
            loop.call_soon(self.sending.error, envelope.mid, code, "no")
            return
        text = opened(envelope, sealed)
        path = self.folder / envelope.mid.replace("/", "_")
        if not path.exists():
            self.order.append(text)
            # At once or not at all: the test's own process may be killed at any moment.
            draft = self.folder.parent / f"draft-{path.name}"
            draft.write_text(text, "utf-8")
            draft.replace(path)
        else:
            assert path.read_text("utf-8") == text
        self.sealed = sealed
        loop.call_soon(self.sending.stored, envelope.mid)

    def disconnect(self) -> None:
        assert self.sending is not None
        self.connected = False
        self.under_way.clear()
        self.sending.lost()

    def connect(self) -> None:
        assert self.sending is not None
        self.connected = True
        self.sending.connected()


def opened(envelope: Envelope, sealed: bytes) -> str:
    """The body of a text, as its recipient reads it."""
    data = text_associated_data(
        mid=envelope.mid, from_uri=envelope.from_uri, to_uri=envelope.to_uri
    )
    opener = TextOpener(envelope.mikey, data)
    content = opener.update(sealed)
    opener.finish()
    return content.decode().partition("\n\n")[2]


@dataclasses.dataclass
class Notices:
    """Who is told of refusals; the same mid again changes nothing."""

    told: dict[str, tuple[str, str, str]] = dataclasses.field(default_factory=dict)
    fault: Exception | None = None

    async def deliver_local(
        self, *, from_uri: str, to_uri: str, mid: str, content: TextContent
    ) -> bool:
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        text = b"".join(content.text.chunks()).decode()
        self.told.setdefault(mid, (from_uri, to_uri, text))
        return True


class Bench:
    """A way out in ``folder``, which may have been used before."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.state.mkdir(exist_ok=True)
        self.a, self.b = folder / "a", folder / "b"
        for box in (self.a, self.b):
            if not box.exists():
                make_mailbox(box)
        self.config: Configuration = loads(CONFIG.format(a=self.a, b=self.b))
        self.clock = ManualClock()
        self.relay, self.crs, self.notices = SealingRelay(), KeepingCrs(folder / "crs"), Notices()
        self.own: str | None = OWN
        self.hours = 72.0
        self._made = 0

    async def start(self) -> None:
        self.store = TextStore(self.state, [outbox_store.SCHEMA])
        await self.store.open()
        self.sending = Sending(
            config=lambda: self.config,
            store=self.store,
            crypto=self.relay,
            link=self.crs,
            own_uri=lambda: self.own,
            notify=self.notices,
            clock=self.clock,
            random_bytes=secrets.token_bytes,
            folder=self.state,
            retry_seconds=lambda: self.hours * 3600,
        )
        self.crs.sending = self.sending
        await self.sending.start()

    async def stop(self) -> None:
        await self.sending.stop()
        await self.store.close()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    def put(self, octets: bytes, name: str = "", box: Path | None = None, age: float = 60) -> Path:
        """Put a message into new/ as the manual has it; it comes after those before."""
        box = box or self.a
        self._made += 1
        name = name or f"{self._made:06}"
        when = self.clock.utc() - age + self._made * 1e-3
        (box / "tmp" / name).write_bytes(octets)
        os.utime(box / "tmp" / name, (when, when))
        return (box / "tmp" / name).rename(box / "new" / name)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and have the worker look at the clock."""
        self.clock.advance(seconds)
        self.sending.look()

    async def until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.002)

    async def counted(self, name: str, count: int = 1) -> None:
        await self.until(lambda: self.sending.counters[name] >= count)
        assert self.sending.counters[name] == count

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        await self.until(lambda: not self.sending.busy)

    def new(self, box: Path | None = None) -> list[str]:
        return sorted(path.name for path in ((box or self.a) / "new").iterdir())

    def failed(self, box: Path | None = None) -> dict[str, str]:
        """The messages in failed/, with their reasons; not those that are still on their way."""
        folder = (box or self.a) / "failed"
        return {
            path.stem: path.read_text("utf-8").partition(" ")[2].strip()
            for path in folder.glob("*.reason")
            if os.path.lexists(str(path).removesuffix(".reason"))
        }

    def phone(self) -> list[str]:
        """What the phone has, in the order of arrival."""
        return [text.strip() for text in self.crs.order]
