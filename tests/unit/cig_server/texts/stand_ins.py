# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in for the other parts of the text service: small, and true to their contracts.

The relay seals and opens in earnest, under keys that the I_MESSAGE gives away. The journal is a
real SQLite file and the mailboxes are real folders, so both outlive the object.
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import hashlib
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from cig_common.config import Configuration, Mailbox, MailboxKind
from cig_common.config.patterns import subject
from cig_common.control.key_facts import Identity
from cig_common.errors import CryptoError
from cig_common.texts.content import Attachment, Held, TextContent
from cig_server.texts.copies import Source
from cig_server.texts.copies import Target as AnyTarget
from cig_server.texts.incoming import Incoming
from cig_server.texts.model import ContentRefusedError, Copy, Outcome, TextKey
from umsg.binding import text_associated_data
from umsg.messages import Receipt, ReceiptStatus, Text
from umsg.sealing import SealError, TextOpener, TextSealer
from umsg.texts import MAX_PART, Envelope, parts

PHONE, GATEWAY = "tel:+46701234567", "tel:+8888;101"
DOMAIN = "Lab Domain"
SECRET = "SWORDFISH"
"""Is in every content, so that a test can look for it where it must not be."""


def sealed_text(
    text: str = SECRET, *, mid: str = "", to_uri: str = GATEWAY, attached: bytes | None = None
) -> tuple[Envelope, bytes]:
    """A text as its sender makes it: the envelope, and the sealed content."""
    message = EmailMessage(policy=email.policy.SMTPUTF8)
    message["Date"] = "Wed, 26 Nov 2026 17:15:44 +0000"
    message.set_content(text)
    if attached is not None:
        message.add_attachment(attached, maintype="image", subtype="png", filename="p.png")
    return seal(message.as_bytes(), mid=mid, to_uri=to_uri)


def seal(content: bytes, *, mid: str = "", to_uri: str = GATEWAY) -> tuple[Envelope, bytes]:
    """Seal a content of any octets."""
    key = secrets.token_bytes(16)
    mid = mid or secrets.token_urlsafe(12).replace("-", "+").replace("_", "/")
    envelope = Envelope(mid, PHONE, to_uri, key)
    sealer = TextSealer(key, text_associated_data(mid=mid, from_uri=PHONE, to_uri=to_uri))
    return envelope, sealer.update(content) + sealer.finish()


@dataclass(frozen=True)
class Proof:
    signer: str
    domain: str


class Relay:
    """Opens and signs; raises `fault` where there is one."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.signing_fault: Exception | None = None
        self.opened = self.at_once = self.most_at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def open(self, envelope: Envelope, sealed: BinaryIO, out: BinaryIO) -> Proof:
        self.opened += 1
        with self._busy():
            await self.gate.wait()
            if self.fault is not None:
                raise self.fault
            data = text_associated_data(
                mid=envelope.mid, from_uri=envelope.from_uri, to_uri=envelope.to_uri
            )
            opener = TextOpener(envelope.mikey, data)
            while piece := sealed.read(MAX_PART):
                out.write(opener.update(piece))
                await asyncio.sleep(0)
            try:
                opener.finish()
            except SealError as error:
                raise CryptoError(str(error)) from None
        return Proof(envelope.from_uri.partition(";")[0], DOMAIN)

    async def sign_receipt(
        self, mid: str, status: ReceiptStatus, content_digest: bytes
    ) -> tuple[str, bytes]:
        with self._busy():
            await asyncio.sleep(0)
            if self.signing_fault is not None:
                raise self.signing_fault
            # A signature is never the same twice.
            return "2026-11-1", content_digest + secrets.token_bytes(97)

    @contextlib.contextmanager
    def _busy(self) -> Iterator[None]:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield
        finally:
            self.at_once -= 1


class Mailboxes:
    """The deliverer: a journal in SQLite, and folders with new/ in them."""

    def __init__(self, folder: Path) -> None:
        self.fault: Exception | None = None
        self.probe_says = ""
        self.gate = asyncio.Event()
        self.gate.set()
        self._db = sqlite3.connect(folder / "journal.db", isolation_level=None)
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS received (sender, mid, status, reason, digest,"
            " period, sig, PRIMARY KEY (sender, mid))"
        )

    async def known(self, key: TextKey) -> Outcome | None:
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        row = self._db.execute(
            "SELECT status, reason, digest, period, sig FROM received WHERE sender = ? AND mid = ?",
            (key.from_uri, key.mid),
        ).fetchone()
        return None if row is None else Outcome(ReceiptStatus(row[0]), *row[1:])

    async def deliver(
        self, key: TextKey, content_digest: bytes, copies: Sequence[Copy], reason: str = ""
    ) -> None:
        await self.gate.wait()
        if await self.known(key) is not None:
            return
        files = []
        for copy in copies:
            file = BytesIO()
            await asyncio.to_thread(copy.write, file)
            files.append((Path(copy.mailbox), file))
        for mailbox, file in files:
            name = secrets.token_hex(8)
            (mailbox / "tmp" / name).write_bytes(file.getvalue())
            (mailbox / "tmp" / name).rename(mailbox / "new" / name)
        self._journal(key, ReceiptStatus.DELIVERED, reason, content_digest)

    async def refuse(self, key: TextKey, content_digest: bytes, reason: str) -> None:
        if await self.known(key) is None:
            self._journal(key, ReceiptStatus.REFUSED, reason, content_digest)

    async def keep_receipt(self, key: TextKey, period: str, sig: bytes) -> None:
        if self.fault is not None:
            raise self.fault
        self._db.execute(
            "UPDATE received SET period = ?, sig = ? WHERE sender = ? AND mid = ?",
            (period, sig, key.from_uri, key.mid),
        )

    async def probe(self) -> str:
        return self.probe_says

    def _journal(self, key: TextKey, status: ReceiptStatus, reason: str, digest: bytes) -> None:
        self._db.execute(
            "INSERT INTO received VALUES (?, ?, ?, ?, ?, '', x'')",
            (key.from_uri, key.mid, status.value, reason, digest),
        )


@dataclass(frozen=True)
class Target:
    mailbox: Mailbox
    from_value: str
    to_value: str


class PlainFormats:
    """Reads with the email package, and writes a header and the text."""

    def parse(self, file: BinaryIO, now: datetime) -> TextContent:
        message = email.message_from_bytes(file.read(), policy=email.policy.SMTPUTF8)
        if message.get_content_charset("utf-8") == "x-unheard-of":
            raise ContentRefusedError("charset", "its charset is unknown")
        if message["X-Bug"]:
            raise RuntimeError(f"cannot make anything of {message['X-Bug']}")
        body = message.get_body()
        text = body.get_payload(decode=True) if body is not None else b""
        assert isinstance(text, bytes)
        attachments = []
        for part in message.iter_attachments():
            octets = part.get_payload(decode=True)
            assert isinstance(octets, bytes)
            name = part.get_filename() or ""
            attachments.append(Attachment(name, part.get_content_type(), Held(octets)))
        return TextContent(now, Held(text.rstrip(b"\r\n")), tuple(attachments))

    def targets(
        self, configuration: Configuration, from_uri: str, to_uri: str
    ) -> tuple[Target, ...]:
        found = []
        for mailbox in configuration.mailboxes:
            values = []
            for uri, rules in ((from_uri, mailbox.map_from.rules), (to_uri, mailbox.map_to.rules)):
                for rule in rules:
                    caught = rule.match.match(subject(uri, rule.match.kind))
                    if caught is not None:
                        values.append(rule.translation.substitute(caught))
                        break
            if mailbox.kind is MailboxKind.WRITE and len(values) == 2:
                found.append(Target(mailbox, *values))
        return tuple(found)

    def encode(
        self,
        target: AnyTarget,
        content: TextContent,
        source: Source,
        random_bytes: Callable[[int], bytes],
    ) -> Iterator[bytes]:
        yield f"To: <{target.to_value}>\nFrom: <{target.from_value}>\n".encode()
        yield f"X-Sender-URI: {source.uri}\nX-Sender-Domain: {source.domain}\n".encode()
        yield f"X-CIG-Message-ID: {source.mid}\n\n".encode()
        yield from content.text.chunks()
        for attachment in content.attachments:
            digest = hashlib.sha256()
            for piece in attachment.octets.chunks():
                digest.update(piece)
            yield f"\n{attachment.filename} {digest.hexdigest()}".encode()


class Sip:
    """Takes what `takes` says, and remembers its keys and answers."""

    def __init__(self) -> None:
        self.takes = True
        self.sent: list[tuple[TextKey, TextContent]] = []
        self.answers: dict[TextKey, tuple[bool, str]] = {}
        self.on_result: Callable[[TextKey, bool, str], None] = lambda key, ok, reason: None

    async def offer(self, key: TextKey, from_uri: str, to_uri: str, content: TextContent) -> bool:
        await asyncio.sleep(0)
        if not self.takes:
            return False
        if key not in [had for had, _ in self.sent]:
            self.sent.append((key, content))
        elif key in self.answers:
            self.on_result(key, *self.answers[key])
        return True

    def answer(self, key: TextKey, ok: bool, reason: str = "") -> None:
        self.answers[key] = (ok, reason)
        self.on_result(key, ok, reason)


class Crs:
    """The link, and the CRS behind it: keeps texts until they are receipted."""

    def __init__(self) -> None:
        self.connected = True
        self.identity: Identity | None = Identity(
            "tel:+8888", DOMAIN, ("2026-11-1",), ("crs:5223",), b"p" * 32, None
        )
        self.kept: dict[str, tuple[Envelope, bytes]] = {}
        self.receipts: list[Receipt] = []
        self.asked = 0
        self.incoming: Incoming | None = None
        self._got = asyncio.Condition()

    def send_receipt(self, receipt: Receipt) -> bool:
        if self.connected:
            self.receipts.append(receipt)
            self.kept.pop(receipt.mid, None)
        return self.connected

    def ask_again(self) -> None:
        self.asked += 1
        self.disconnect()
        self.connect()

    def disconnect(self) -> None:
        assert self.incoming is not None
        self.connected = False
        self.incoming.lost()

    def connect(self) -> None:
        assert self.incoming is not None
        self.connected = True
        self.incoming.connected()
        for envelope, sealed in list(self.kept.values()):
            self.send(envelope, sealed)

    def send(self, envelope: Envelope, sealed: bytes) -> None:
        self.kept[envelope.mid] = (envelope, sealed)
        for part in parts(envelope, sealed):
            self.part(part)

    def part(self, part: Text) -> None:
        assert self.incoming is not None
        self.incoming.part(part)

    async def receipts_are(self, count: int) -> list[Receipt]:
        async with asyncio.timeout(20):
            while len(self.receipts) < count:
                await asyncio.sleep(0.002)
        assert len(self.receipts) == count
        return self.receipts


def make_mailbox(folder: Path) -> Path:
    """A maildir."""
    for name in ("new", "cur", "tmp", "failed"):
        (folder / name).mkdir(parents=True)
    return folder


def messages(mailbox: Path) -> list[str]:
    """What is in a mailbox's new/."""
    return [path.read_text("utf-8") for path in sorted((mailbox / "new").iterdir())]


def left_open(folder: Path) -> list[str]:
    """The files without a name that this process has open in a folder."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            name = str(link.readlink())
            if name.startswith(str(folder)) and name.endswith("(deleted)"):
                found.append(name)
    return found
