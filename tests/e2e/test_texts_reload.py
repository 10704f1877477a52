# SPDX-License-Identifier: GPL-3.0-or-later
"""Mailboxes and their maps in a cig.conf that is taken anew, while texts pass."""

from __future__ import annotations

from pathlib import Path

from e2e import mail
from e2e.support import Gateway, gateway, soon


def make_mailbox(running: Gateway, name: str) -> Path:
    """Make a mailbox beside those of the lab."""
    box = running.lab.mail / name
    for folder in ("new", "cur", "tmp", "failed"):
        (box / folder).mkdir(parents=True)
        (box / folder).chmod(0o2770)
    return box


def block(kind: str, box: Path, map_from: str, map_to: str) -> str:
    return (
        f'  {kind} {{\n    path "{box}";\n    map_from translate_map {map_from};\n'
        f"    map_to translate_map {map_to};\n  }}\n"
    )


def to_line(box: Path) -> str:
    """Take the one message of a mailbox; gives its first line that begins with To."""
    (path,) = (box / "new").iterdir()
    lines = path.read_text().splitlines()
    path.unlink()
    return next(line for line in lines if line.startswith("To"))


async def test_mailboxes_come_and_go() -> None:
    async with gateway() as running:
        lab = running.lab
        second, archive = make_mailbox(running, "second"), make_mailbox(running, "archive")
        first = mail.from_pbx(lab)
        reading = block("read", second, "extensions", "users")
        writing = block("write", archive, "users_out", "extensions_out")

        waiting = mail.put(second, "nobody reads this yet")
        await running.reconfigure(("mailboxes {\n", f"mailboxes {{\n{reading}{writing}"))
        assert (await soon(lab.phone.next_text())).text == "nobody reads this yet"
        mail.put(second, "by inotify")
        assert (await soon(lab.phone.next_text())).text == "by inotify"
        mail.put(first, "the first one still works")
        assert (await soon(lab.phone.next_text())).text == "the first one still works"
        sent = await lab.phone.send_text("+8888w101", "to both")
        assert (await soon(sent.receipt)).status == "delivered"
        for box in (archive, mail.to_pbx(lab)):
            assert mail.body(mail.take(box)) == "to both"
        assert not waiting.exists()

        await running.reconfigure((f"{reading}{writing}", ""))
        left = mail.put(second, "left alone")
        mail.put(first, "the first one works on")
        assert (await soon(lab.phone.next_text())).text == "the first one works on"
        sent = await lab.phone.send_text("+8888w101", "to one")
        assert (await soon(sent.receipt)).status == "delivered"
        assert mail.body(mail.take(mail.to_pbx(lab))) == "to one"
        assert mail.names(archive) == []
        assert left.exists()
        assert not lab.phone.texts.unread


async def test_another_map_counts_for_the_next_message() -> None:
    async with gateway() as running:
        lab = running.lab
        sent = await lab.phone.send_text("+8888w101", "before")
        assert (await soon(sent.receipt)).status == "delivered"
        assert to_line(mail.to_pbx(lab)) == "To: <sip:101@pbx>"
        mail.put(mail.from_pbx(lab), "before")
        assert (await soon(lab.phone.next_text())).from_uri == "tel:+8888;101"

        await running.reconfigure(
            ('translation "sip:{ext}@pbx"', 'translation "{ext}"'),
            ('translation "tel:+8888;{ext}"', 'translation "tel:+8888;9{ext}"'),
        )
        sent = await lab.phone.send_text("+8888w101", "after")
        assert (await soon(sent.receipt)).status == "delivered"
        assert to_line(mail.to_pbx(lab)) == "To: <101>"
        mail.put(mail.from_pbx(lab), "after")
        assert (await soon(lab.phone.next_text())).from_uri == "tel:+8888;9101"
