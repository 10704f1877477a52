# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: a call and a text each way through the real gateway, and what arrived of them."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from cig_lab import analysis, demo_texts, signals
from cig_lab.environment import (
    KEYS_FILE,
    MGMT_PORT,
    PASSPHRASE_FILE,
    PBX_USER,
    SECURE_URI,
    WITHOUT_RDRAND,
    Environment,
    Plan,
)
from cig_lab.phone.call import SecureCall, SecureCallEndedError
from cig_lab.process import LabError
from cig_lab.report import (
    SECURE_TO_SIP,
    SIP_TO_SECURE,
    CallReport,
    DemoReport,
    Hearing,
)
from cig_lab.sip_phone.call import CallEndedError, Ending, SipCall
from umsg.call import CallEnded

DIALLED_BY_SECURE = "+8888w101"
SECURE_NUMBER = "946701234567"
DIGITS = "159*#"
STEP_SECONDS = 15.0
"""How long any one step of a call may take."""

_TAIL_SECONDS = 0.3
_POLL_SECONDS = 0.02

Say = Callable[[str], None]
_Result = TypeVar("_Result")


async def run(out: Path, say: Say, *, mgmt_port: int = MGMT_PORT, keep: bool = False) -> DemoReport:
    """Start everything, make both calls, write the files; gives what was found.

    Raises LabError when the lab itself does not start.
    """
    report = DemoReport()
    task = asyncio.current_task()
    if task is not None:
        # Otherwise a signal could leave the gateway's programs behind.
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    say("Starting the lab's KMS, CRS and phones, and the real cig-relay and cig-server ...")
    async with Environment(Plan(mgmt_port=mgmt_port, keep=keep)) as lab:
        if lab.mgmt_port != mgmt_port:
            say(f"Port {mgmt_port} is taken: the management port is {lab.mgmt_port} this time.")
        say(f"Running in {lab.folder}, SIP on 127.0.0.1:{lab.sip_port}.")
        if not lab.has_rdrand:
            say(WITHOUT_RDRAND)
        say("")
        say(f"$ cig-cli set-key --file {KEYS_FILE} --passphrase-file {PASSPHRASE_FILE}")
        for line in lab.keys_installed.splitlines():
            say(line)
        for act in (_secure_to_sip, _sip_to_secure):
            say("")
            report.calls.append(await act(lab, say))
        report.texts = await demo_texts.run(lab, say)
        if not report.ok:
            say(lab.tails())
            for path in lab.save_logs(out / "logs"):
                say(f"wrote {path}")
    say("")
    for line in report.table():
        say(line)
    say("")
    for path in report.write(out):
        say(f"wrote {path}")
    say("Everything arrived." if report.ok else "NOT everything arrived.")
    return report


async def _secure_to_sip(lab: Environment, say: Say) -> CallReport:
    to_uri = f"tel:{DIALLED_BY_SECURE.replace('w', ';')}"
    report = CallReport(SECURE_TO_SIP, SECURE_URI, to_uri, expected_dtmf=DIGITS)
    say(f"Call 1: the secure phone {SECURE_URI} dials {DIALLED_BY_SECURE}.")
    secure = await lab.phone.dial(DIALLED_BY_SECURE)

    async def act() -> None:
        sip = await _step("the SIP phone rang", lab.sip_phone.incoming(), secure.ended)
        sip.ring()
        await _step("the secure phone heard of the ringing", secure.growled)
        say(f"The SIP phone {PBX_USER} rings, called by {sip.peer}. It answers.")
        await _step("the SIP phone's answer was acknowledged", sip.accept())
        await _step("the secure phone was connected", secure.up)
        report.setup_ms = _milliseconds(secure.setup_seconds)
        say(f"Connected. The secure phone sends the digits {' '.join(DIGITS)}.")
        await _step("the digits were sent", secure.send_digits(DIGITS))
        await _digits_seen(sip)
        report.dtmf = sip.digits
        await _while_up(lab, report, say)
        say("Both play their signals for 3 s.")
        report.by_callee, report.by_caller = await _talk("call1", secure, sip, ("rise", "fall"))
        secure.hangup()
        await _step("the SIP phone heard of the end", sip.ended)

    await _guarded(report, act(), secure.hangup)
    return report


async def _sip_to_secure(lab: Environment, say: Say) -> CallReport:
    to_uri = f"sip:{SECURE_NUMBER}@127.0.0.1"
    report = CallReport(SIP_TO_SECURE, lab.sip_phone.identity, to_uri)
    say(f"Call 2: the SIP phone {PBX_USER} dials {SECURE_NUMBER}.")
    sip = await lab.sip_phone.dial(f"{to_uri}:{lab.sip_port}", through=lab.gateway)

    async def act() -> None:
        secure = await _step("the secure phone growled", lab.phone.incoming(), sip.ended)
        await _step("the SIP phone heard of the ringing", sip.ringing)
        say(f"The secure phone growls, called by {secure.machine.from_uri}. It accepts.")
        await _step("the secure phone was connected", secure.accept())
        await _step("the SIP phone was connected", sip.up)
        report.setup_ms = _milliseconds(sip.setup_seconds)
        await _while_up(lab, report, say)
        say("Both play their signals for 3 s.")
        heard = await _talk("call2", secure, sip, ("low-rise", "low-fall"))
        report.by_caller, report.by_callee = heard
        sip.hangup()
        await _step("the secure phone heard of the end", secure.ended)

    await _guarded(report, act(), sip.hangup)
    return report


async def _guarded(report: CallReport, act: Awaitable[None], hangup: Callable[[], None]) -> None:
    """Let an act go wrong without ending the demo: the report says why."""
    try:
        await act
    except (LabError, CallEndedError, SecureCallEndedError, OSError, ValueError) as error:
        report.problem = str(error)
        hangup()


async def _step(
    what: str,
    awaited: Awaitable[_Result],
    *ends: asyncio.Future[CallEnded] | asyncio.Future[Ending],
) -> _Result:
    """Wait for something, but neither for ever nor beyond one of the calls' ends."""
    step = asyncio.ensure_future(awaited)
    waiting: set[asyncio.Future[Any]] = {step, *ends}
    await asyncio.wait(waiting, timeout=STEP_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    if step.done():
        return step.result()
    step.cancel()
    for end in ends:
        if end.done():
            raise LabError(f"the call ended ({end.result().reason}) before {what}")
    raise LabError(f"{STEP_SECONDS:.0f} s went by without {what}")


async def _digits_seen(sip: SipCall) -> None:
    """Wait until as many digits have come as were sent, or no more is to be expected."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 1.0
    while len(sip.digits) < len(DIGITS) and loop.time() < deadline:
        await asyncio.sleep(_POLL_SECONDS)


async def _while_up(lab: Environment, report: CallReport, say: Say) -> None:
    """Look at the call with the real cig-cli, and print what it prints."""
    calls = (await lab.ask("show call"))["calls"]
    states = [call["state"] for call in calls if call["state"] != "HANGUP"]
    report.state = states[0] if states else "NONE"
    if report.direction != SECURE_TO_SIP:
        return
    for command in ("show call", "show umsg", "status"):
        say(f"\n$ cig-cli {command}")
        say((await lab.cli(*command.split())).rstrip())
    say("")


async def _talk(
    name: str, secure: SecureCall, sip: SipCall, names: tuple[str, str]
) -> tuple[Hearing, Hearing]:
    """Let both speak at once; gives what the SIP phone heard, then what the secure phone heard."""
    from_secure, from_sip = (signals.make(signal) for signal in names)
    speaking = asyncio.gather(secure.play(from_secure), sip.play(from_sip))
    await _step("both had spoken", speaking, secure.ended, sip.ended)
    # The last packets are still on their way.
    await asyncio.sleep(_TAIL_SECONDS)
    by_sip, by_secure = sip.recorded(), secure.recorded()
    return (
        Hearing(
            f"{name}-secure-to-sip", "secure phone", "SIP phone", from_secure, by_sip,
            analysis.compare(from_secure, by_sip),
        ),
        Hearing(
            f"{name}-sip-to-secure", "SIP phone", "secure phone", from_sip, by_secure,
            analysis.compare(from_sip, by_secure),
        ),
    )  # fmt: skip


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def main(out: Path, *, as_json: bool, mgmt_port: int, keep: bool) -> int:
    """Run the demo for the command line; gives the exit code.

    With ``as_json`` everything for people goes to standard error, and the one line on standard
    output is the JSON object.
    """

    def say(text: str) -> None:
        click.echo(text, err=as_json)

    try:
        report = asyncio.run(run(out, say, mgmt_port=mgmt_port, keep=keep))
    except LabError as error:
        click.echo(f"cig-lab: {error}", err=True)
        report = DemoReport()
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("cig-lab: interrupted", err=True)
        return 130
    if as_json:
        sys.stdout.write(json.dumps(report.to_map()) + "\n")
    return 0 if report.ok else 1
