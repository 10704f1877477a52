# SPDX-License-Identifier: GPL-3.0-or-later
"""Dials and sends texts with the secure phone of a running lab: lines of JSON over a Unix socket.

The client sends one line, {"dial": "+8888w101"} or {"text": …, "to": …, "attachments": [[name,
type, octets in base64], …]}. The lab answers a line for each thing that happens: {"event": "growl"
| "talk" | "ended" | "stored" | "delivered" | "refused" | "error", "text": …}. When the client goes
away, a call is hung up; a text is sent all the same.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import mimetypes
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import click

from cig_lab import announcement
from cig_lab.phone.call import SecureCall, SecureCallEndedError
from cig_lab.phone.mime import Attachment
from cig_lab.phone.phone import SecurePhone
from cig_lab.phone.texts import TextRefusedError
from cig_lab.process import LabError
from cig_lab.runtime import find_socket
from mikey_sakke.errors import MikeySakkeError

MAX_LINE = 24 << 20
"""Octets of a request: a text may have 16 MiB, and base64 adds a third."""
_ENDINGS = ("ended", "delivered", "refused", "error")


class PhoneServer:
    """The lab's side of the socket."""

    def __init__(self, phone: SecurePhone) -> None:
        self._phone = phone
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, path: Path) -> None:
        """Listen; raises OSError."""
        self._server = await asyncio.start_unix_server(self._accepted, str(path), limit=MAX_LINE)

    async def stop(self) -> None:
        """Close the socket and end what is under way."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, ValueError, MikeySakkeError, TextRefusedError) as error:
            _tell(writer, "error", str(error))
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request: Any = json.loads(await reader.readline())
        if isinstance(request, dict) and isinstance(request.get("text"), str):
            await self._send_text(request, writer)
            return
        if not isinstance(request, dict) or not isinstance(request.get("dial"), str):
            raise ValueError("the request is not understood")
        call = await self._phone.dial(request["dial"])
        gone = asyncio.ensure_future(reader.read(1))
        talking = asyncio.ensure_future(_follow(call, writer))
        try:
            await asyncio.wait((gone, talking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            call.hangup()
            gone.cancel()
            await asyncio.gather(gone, talking, return_exceptions=True)

    async def _send_text(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        sent = await self._phone.send_text(
            str(request.get("to")),
            request["text"],
            attachments=_attachments(request.get("attachments")),
        )
        await sent.stored
        _tell(writer, "stored", f"the CRS has it, as {sent.mid}")
        receipt = await sent.receipt
        _tell(
            writer, receipt.status.value, receipt.reason or f"receipted by {sent.envelope.to_uri}"
        )


def _attachments(given: Any) -> list[Attachment]:
    """Read a request's attachments; raises ValueError."""
    try:
        found = [(name, kind, base64.b64decode(octets)) for name, kind, octets in given]
    except (TypeError, ValueError):
        raise ValueError("the attachments are not understood") from None
    for name, kind, _ in found:
        if not isinstance(name, str) or not isinstance(kind, str) or kind.count("/") != 1:
            raise ValueError("the attachments are not understood")
    return found


async def _follow(call: SecureCall, writer: asyncio.StreamWriter) -> None:
    """Tell of a call from its growl to its end, and play the announcement in between."""
    try:
        await call.growled
        _tell(writer, "growl", "it rings")
        await call.up
        _tell(writer, "talk", f"answered after {call.setup_seconds or 0:.1f} s")
        await announcement.then_echo(call)
    except SecureCallEndedError:
        pass
    ending = await call.ended
    text = f"{ending.reason} by {ending.by.value}" + (f" ({ending.text})" if ending.text else "")
    _tell(writer, "ended", text)


def _tell(writer: asyncio.StreamWriter, event: str, text: str) -> None:
    if not writer.is_closing():
        writer.write(json.dumps({"event": event, "text": text}).encode() + b"\n")


async def dial(number: str, path: Path) -> int:
    """Dial through the lab at ``path`` and print what happens; gives the exit code."""
    events = await _ask({"dial": number}, path)
    return 0 if "talk" in events and events[-1] == "ended" else 1


async def text(number: str, words: str, attachments: Sequence[Path], path: Path) -> int:
    """Send a text through the lab at ``path`` and print what becomes of it; gives the exit code."""
    files = [
        (file.name, mimetypes.guess_type(file.name)[0] or "application/octet-stream",
         base64.b64encode(file.read_bytes()).decode())
        for file in attachments
    ]  # fmt: skip
    events = await _ask({"text": words, "to": number, "attachments": files}, path)
    return 0 if events[-1] == "delivered" else 1


async def _ask(request: dict[str, Any], path: Path) -> list[str]:
    """Send a request and print what the lab tells; gives the events."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=MAX_LINE)
    except OSError as error:
        raise LabError(
            f"the lab does not answer ({error.strerror}): is `cig-lab up` still running?"
        ) from None
    writer.write(json.dumps(request).encode() + b"\n")
    events: list[str] = []
    with contextlib.closing(writer):
        while not events or events[-1] not in _ENDINGS:
            line = await reader.readline()
            if not line:
                raise LabError("the lab was stopped")
            told = json.loads(line)
            events.append(told["event"])
            click.echo(f"{told['event']}: {told['text']}")
    return events


def main(number: str) -> int:
    """Run `cig-lab phone dial`; gives the exit code, 0 for a call that was answered."""
    return _run(lambda path: dial(number, path))


def main_text(number: str, words: str, attachments: Sequence[Path]) -> int:
    """Run `cig-lab phone text`; gives the exit code, 0 for a text that was delivered."""
    return _run(lambda path: text(number, words, attachments, path))


def _run(work: Callable[[Path], Coroutine[None, None, int]]) -> int:
    try:
        return asyncio.run(work(find_socket()))
    except LabError as error:
        click.echo(f"cig-lab: {error}", err=True)
        return 1
    except OSError as error:
        click.echo(f"cig-lab: {error.filename}: {error.strerror}", err=True)
        return 1
    except KeyboardInterrupt:
        return 0
