# SPDX-License-Identifier: GPL-3.0-or-later
"""Dials with the secure phone of a running lab: lines of JSON over a Unix socket.

The client sends one line, {"dial": "+8888w101"}. The lab answers a line for each thing that
happens: {"event": "growl" | "talk" | "ended" | "error", "text": …}. When the client goes away, the
call is hung up.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import click

from cig_lab import announcement
from cig_lab.phone.call import SecureCall, SecureCallEndedError
from cig_lab.phone.phone import SecurePhone
from cig_lab.process import LabError
from cig_lab.runtime import find_socket

MAX_LINE = 4096
_ENDINGS = ("ended", "error")


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
        except (OSError, ValueError) as error:
            _tell(writer, "error", str(error))
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request: Any = json.loads(await reader.readline())
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
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=MAX_LINE)
    except OSError as error:
        raise LabError(
            f"the lab does not answer ({error.strerror}): is `cig-lab up` still running?"
        ) from None
    writer.write(json.dumps({"dial": number}).encode() + b"\n")
    talked = False
    event = ""
    with contextlib.closing(writer):
        while event not in _ENDINGS:
            line = await reader.readline()
            if not line:
                raise LabError("the lab was stopped")
            told = json.loads(line)
            event = told["event"]
            talked = talked or event == "talk"
            click.echo(f"{event}: {told['text']}")
    return 0 if talked and event == "ended" else 1


def main(number: str) -> int:
    """Run `cig-lab phone dial`; gives the exit code, 0 for a call that was answered."""
    try:
        return asyncio.run(dial(number, find_socket()))
    except LabError as error:
        click.echo(f"cig-lab: {error}", err=True)
        return 1
    except KeyboardInterrupt:
        return 0
