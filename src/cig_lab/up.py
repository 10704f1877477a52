# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab that stays up: call in with a softphone, or dial with the secure phone, until Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

import click

from cig_lab import announcement, runtime
from cig_lab.environment import (
    HOST,
    PBX_USER,
    SECURE_URI,
    WITHOUT_RDRAND,
    Environment,
    Plan,
)
from cig_lab.phone.call import SecureCall, SecureCallEndedError
from cig_lab.phone.mime import ReceivedText
from cig_lab.process import LabError
from cig_lab.remote import PhoneServer
from cig_lab.sip_phone.call import CallEndedError, SipCall

SECURE_NUMBER = "9" + SECURE_URI.removeprefix("tel:+")


def instructions(lab: Environment) -> list[str]:
    """Give the lines that tell how to call in."""
    cli = "cig-cli" if lab.mgmt_port == 8083 else f"cig-cli --port {lab.mgmt_port}"
    return [
        f"The gateway is up; configuration and logs are in {lab.folder}.",
        "",
        "With a softphone of your own: register nothing, set no proxy, and simply call",
        f"    sip:{SECURE_NUMBER}@{HOST}:{lab.sip_port}",
        f"  The secure phone {SECURE_URI} accepts, plays a tune and then echoes you.",
        "With the secure phone, in another terminal:",
        f"    cig-lab phone dial +8888w{PBX_USER}",
        f"  The SIP phone {PBX_USER} answers and does the same.",
        f'    cig-lab phone text +8888w{PBX_USER} "Good morning" --attach picture.png',
        f"  The text lies in {lab.mail}/to-pbx/new. What is put into",
        f"  {lab.mail}/from-pbx/new goes to the secure phone (docs/texts.md).",
        "Look at the gateway meanwhile:",
        f"    {cli} show call        {cli} status",
        "",
        "Ctrl-C stops everything.",
    ]


async def run(say: Callable[[str], None], *, sip_port: int, mgmt_port: int) -> None:
    """Keep the lab up until SIGINT or SIGTERM; raises LabError when it cannot start or breaks."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    plan = Plan(sip_port=sip_port, mgmt_port=mgmt_port, any_caller=True)
    async with Environment(plan) as lab:
        phone_server = PhoneServer(lab.phone)
        await phone_server.start(lab.folder / runtime.SOCKET)
        place = runtime.announce(lab.folder)
        work = [asyncio.ensure_future(_accept_all(lab.phone.incoming, _secure_guest, say)),
                asyncio.ensure_future(_accept_all(lab.sip_phone.incoming, _sip_guest, say)),
                asyncio.ensure_future(_show_texts(lab, say)),
                asyncio.ensure_future(_watch(lab)),
                asyncio.ensure_future(stop.wait())]  # fmt: skip
        try:
            if not lab.has_rdrand:
                say(WITHOUT_RDRAND)
            for line in instructions(lab):
                say(line)
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            say("Stopping ...")
        finally:
            runtime.withdraw(place, lab.folder)
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await phone_server.stop()
    say("Stopped.")


async def _watch(lab: Environment) -> None:
    """Raise LabError as soon as one of the gateway's programs ends by itself."""
    children = (lab.relay, lab.server)
    await asyncio.wait(
        [asyncio.ensure_future(child.wait()) for child in children],
        return_when=asyncio.FIRST_COMPLETED,
    )
    ended = [child.name for child in children if child.returncode is not None]
    raise LabError(f"{' and '.join(ended)} ended by itself\n{lab.tails()}")


async def _show_texts(lab: Environment, say: Callable[[str], None]) -> None:
    while True:
        for line in shown(await lab.phone.next_text()):
            say(line)


def shown(text: ReceivedText) -> list[str]:
    """Tell a text to a person, in lines that cannot steer the terminal."""
    lines = [f"The secure phone gets a text from {text.from_uri}:"]
    lines += [f"    {line}" for line in text.text.splitlines()]
    lines += [
        f"  with {name} ({kind}, {len(octets)} octets)" for name, kind, octets in text.attachments
    ]
    return ["".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
            for line in lines]  # fmt: skip


async def _accept_all(
    incoming: Callable[[], Awaitable[SecureCall | SipCall]],
    guest: Callable[[SecureCall | SipCall, Callable[[str], None]], Awaitable[None]],
    say: Callable[[str], None],
) -> None:
    calls: set[asyncio.Future[None]] = set()
    try:
        while True:
            call = await incoming()
            task = asyncio.ensure_future(guest(call, say))
            calls.add(task)
            task.add_done_callback(calls.discard)
    finally:
        for under_way in list(calls):
            under_way.cancel()


async def _secure_guest(call: SecureCall | SipCall, say: Callable[[str], None]) -> None:
    if isinstance(call, SecureCall):
        say(f"The secure phone growls: {call.machine.from_uri} calls.")
        await _entertain("secure phone", call, say)


async def _sip_guest(call: SecureCall | SipCall, say: Callable[[str], None]) -> None:
    if isinstance(call, SipCall):
        say(f"The SIP phone rings: {call.peer} calls.")
        call.ring()
        await _entertain("SIP phone", call, say)


async def _entertain(name: str, call: SecureCall | SipCall, say: Callable[[str], None]) -> None:
    try:
        await call.accept()
        await announcement.then_echo(call)
    except (CallEndedError, SecureCallEndedError, ValueError) as error:
        say(f"The {name}'s call came to nothing: {error}")
        return
    seen = f", digits {call.digits}" if call.digits else ""
    say(f"The {name}'s call is over{seen}.")


def main(*, sip_port: int, mgmt_port: int) -> int:
    """Run `cig-lab up`; gives the exit code, 0 after Ctrl-C."""
    try:
        asyncio.run(run(click.echo, sip_port=sip_port, mgmt_port=mgmt_port))
    except LabError as error:
        click.echo(f"cig-lab: {error}", err=True)
        return 1
    return 0
