# SPDX-License-Identifier: GPL-3.0-or-later
"""What an external system does with the lab's mailboxes, as the manual has it."""

from __future__ import annotations

import email
import email.policy
import itertools
import os
from email.message import EmailMessage
from pathlib import Path

from cig_lab.environment import Environment

_numbers = itertools.count(1)


def to_pbx(lab: Environment) -> Path:
    """Give the write mailbox, where texts from the secure phone arrive."""
    return lab.folder / "mail" / "to-pbx"


def from_pbx(lab: Environment) -> Path:
    """Give the read mailbox, from which texts go to the secure phone."""
    return lab.folder / "mail" / "from-pbx"


def names(mailbox: Path, folder: str = "new") -> list[str]:
    """List the messages in a mailbox's folder."""
    return sorted(path.name for path in (mailbox / folder).iterdir())


def take(mailbox: Path) -> EmailMessage:
    """Read the one message in new/, by a parser that is not ours, and delete it."""
    (name,) = names(mailbox)
    return take_named(mailbox, name)


def take_named(mailbox: Path, name: str) -> EmailMessage:
    """Read a message in new/ and delete it."""
    path = mailbox / "new" / name
    octets = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o660
    assert b"\r" not in octets
    assert max(map(len, octets.split(b"\n"))) < 1000
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    path.unlink()
    return message


def body(message: EmailMessage) -> str:
    """Give the text of a message."""
    part = message.get_body(("plain",))
    assert part is not None
    return str(part.get_content()).rstrip("\n")


def put(
    mailbox: Path,
    text: str,
    *,
    sender: str = "<sip:101@pbx>",
    to: str = "<sip:46701234567@secure>",
    name: str = "",
    more: str = "",
) -> Path:
    """Write a message into a read mailbox: tmp, fsync, rename to new."""
    name = name or f"{next(_numbers):06}.{os.getpid()}.pbx"
    octets = (
        f"To: {to}\nFrom: {sender}\nDate: 26 Nov 2026 17:15:44 +0000\nAuto-Submitted: no\n"
        f'{more}Content-Type: text/plain; charset="UTF-8"\nContent-Transfer-Encoding: 8bit\n\n'
        f"{text}\n"
    ).encode()
    return put_octets(mailbox, octets, name)


def put_octets(mailbox: Path, octets: bytes, name: str = "") -> Path:
    """Write any octets into a read mailbox, as `put` does."""
    name = name or f"{next(_numbers):06}.{os.getpid()}.pbx"
    made = mailbox / "tmp" / name
    with made.open("wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    ready = mailbox / "new" / name
    made.rename(ready)
    return ready
