# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's texts: one each way through the real gateway, each with a picture, byte for byte.

The mailboxes are used as an external system would: written to tmp/, synced and moved to new/, read
by the standard library's parser and deleted.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import os
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from cig_lab.environment import PBX_USER, SECURE_URI, Environment
from cig_lab.phone.texts import TextRefusedError
from cig_lab.process import LabError
from mikey_sakke.errors import MikeySakkeError

STEP_SECONDS = 15.0
_POLL_SECONDS = 0.01
_SIDE = 160
_SHOWN = 14
"""Lines of the message that are printed."""
_TO_PBX = "The backup has finished. ✓ Grüße"
_FROM_PBX = "Door 3 is open."

Say = Callable[[str], None]


@dataclass(slots=True)
class TextReport:
    """One text. ``problem`` says why it did not come about."""

    direction: str
    text_ok: bool = False
    attachment_ok: bool = False
    receipt: str = ""
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether everything arrived as it was sent."""
        return self.text_ok and self.attachment_ok and not self.problem

    def to_map(self) -> dict[str, Any]:
        """Give the text as the JSON object has it."""
        return {
            "direction": self.direction,
            "text": self.text_ok,
            "attachment": self.attachment_ok,
            "receipt": self.receipt,
        }

    def line(self) -> str:
        """Tell it to a person."""
        if self.problem:
            return f"Text {self.direction}: FAILED: {self.problem}"
        words = ("NOT as sent", "as sent")
        return (
            f"Text {self.direction}: text {words[self.text_ok]}, "
            f"picture {words[self.attachment_ok]}, byte for byte"
        )


async def run(lab: Environment, say: Say) -> list[TextReport]:
    """Send both texts; gives what was found."""
    return [await _guarded("secure-to-mailbox", _to_mailbox, lab, say),
            await _guarded("mailbox-to-secure", _to_phone, lab, say)]  # fmt: skip


async def _guarded(direction: str, act: Any, lab: Environment, say: Say) -> TextReport:
    report = TextReport(direction)
    try:
        async with asyncio.timeout(STEP_SECONDS):
            await act(lab, say, report)
    except TimeoutError:
        report.problem = f"it did not arrive in {STEP_SECONDS:g} s"
    except (LabError, MikeySakkeError, OSError, TextRefusedError, ValueError) as error:
        report.problem = str(error)
    return report


async def _to_mailbox(lab: Environment, say: Say, report: TextReport) -> None:
    picture = _picture()
    say(f"\nText 1: the secure phone {SECURE_URI} sends a text with a picture to +8888w{PBX_USER}.")
    sent = await lab.phone.send_text(
        f"+8888w{PBX_USER}", _TO_PBX, attachments=[("état.png", "image/png", picture)]
    )
    receipt = await sent.receipt
    report.receipt = receipt.status.value
    (path,) = (lab.mail / "to-pbx" / "new").iterdir()
    octets = path.read_bytes()
    say(f"Receipted: {report.receipt}. In the mailbox lies a file of {len(octets)} octets:\n")
    lines = octets.decode().split("\n")
    for line in lines[:_SHOWN]:
        say(f"  {line}")
    say(f"  ... {len(lines) - _SHOWN} lines more")
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    path.unlink()
    body = message.get_body(("plain",))
    report.text_ok = body is not None and str(body.get_content()).rstrip("\n") == _TO_PBX
    found = [part.get_payload(decode=True) for part in message.iter_attachments()]
    report.attachment_ok = found == [picture]


async def _to_phone(lab: Environment, say: Say, report: TextReport) -> None:
    picture = _picture()
    message = EmailMessage(policy=email.policy.default.clone(linesep="\n", cte_type="8bit"))
    message["Date"] = "26 Nov 2026 17:15:44 +0000"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_FROM_PBX)
    message.add_attachment(picture, maintype="image", subtype="png", filename="door.png")
    say(f"\nText 2: an external system writes a message from {PBX_USER} into the other mailbox.")
    number = SECURE_URI.removeprefix("tel:+")
    # Added as they are: the library takes a sip: URI for no address.
    addresses = f"To: <sip:{number}@secure>\nFrom: <sip:{PBX_USER}@pbx>\n"
    path = _put(lab.mail / "from-pbx", addresses.encode() + message.as_bytes())
    text = await lab.phone.next_text()
    say(f"The secure phone gets it from {text.from_uri}: {text.text}")
    report.text_ok = text.text == _FROM_PBX
    report.attachment_ok = text.attachments == (("door.png", "image/png", picture),)
    while path.exists():  # it is removed when the CRS has it on disk
        await asyncio.sleep(_POLL_SECONDS)
    say("\n$ cig-cli show texts")
    say((await lab.cli("show", "texts")).rstrip())


def _put(mailbox: Path, octets: bytes) -> Path:
    made = mailbox / "tmp" / f"1.{os.getpid()}.demo"
    with made.open("wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    ready = mailbox / "new" / made.name
    made.rename(ready)
    return ready


def _picture() -> bytes:
    """Make a PNG of noise, which does not shrink: some 75 KiB."""
    image = Image.frombytes("RGB", (_SIDE, _SIDE), os.urandom(3 * _SIDE * _SIDE))
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
