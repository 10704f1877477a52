# SPDX-License-Identifier: GPL-3.0-or-later
"""Real phones on real sockets: phone to phone, and phone to SIPp."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cig_lab import analysis, signals
from cig_lab.sip_phone.address import host_port
from cig_lab.sip_phone.call import CallEndedError, SipCall
from cig_lab.sip_phone.phone import SipPhone

Phones = tuple[SipPhone, SipPhone]


@pytest.fixture(params=["UDP", "TCP", "UDP over IPv6", "TCP over IPv6"])
async def phones(request: pytest.FixtureRequest) -> AsyncIterator[Phones]:
    transport, _, ipv6 = request.param.partition(" over ")
    host = "::1" if ipv6 else "127.0.0.1"
    try:
        one = await SipPhone.start(user="101", transport=transport, host=host)
    except OSError:
        pytest.skip(f"this host has no {host}")
    two = await SipPhone.start(user="102", transport=transport, host=host, codecs=("PCMU/8000",))
    yield one, two
    await one.stop()
    await two.stop()


async def connect(phones: Phones) -> tuple[SipCall, SipCall]:
    calling = await phones[0].dial(f"sip:102@{host_port(phones[1].address)}")
    called = await phones[1].incoming()
    called.ring()
    assert await calling.ringing == 180
    await called.accept()
    await calling.up
    return calling, called


async def test_voice_and_digits_both_ways(phones: Phones) -> None:
    calling, called = await connect(phones)
    there, back = signals.make("rise", 0.6), signals.make("fall", 0.6)
    await asyncio.gather(calling.send_digits("1#"), called.send_digits("*"))
    await asyncio.gather(calling.play(there), called.play(back))
    await asyncio.sleep(0.05)
    calling.hangup()
    assert (await called.ended).by == "peer"
    assert analysis.compare(there, called.recorded()).ok
    assert analysis.compare(back, calling.recorded()).ok
    assert (called.digits, calling.digits) == ("1#", "*")
    assert [event.packets for event in called.digit_events] == [8, 8]
    assert called.media.stream is not None
    assert called.media.stream.format.codec == "PCMU/8000"
    assert calling.setup_seconds is not None


async def test_hold_silences_and_resume_restores(phones: Phones) -> None:
    calling, called = await connect(phones)
    assert await calling.hold() == 200
    assert called.media.stream is not None
    assert called.media.stream.muted
    assert calling.media.stream is not None
    assert not calling.media.stream.muted
    assert await calling.resume() == 200
    assert not called.media.stream.muted
    assert await called.hold() == 200
    assert calling.media.stream.muted


async def test_busy_cancel_and_no_common_codec(phones: Phones) -> None:
    uri = f"sip:102@{host_port(phones[1].address)}"
    calling = await phones[0].dial(uri)
    (await phones[1].incoming()).reject(486)
    assert (await calling.ended).status == 486
    calling = await phones[0].dial(uri)
    called = await phones[1].incoming()
    called.ring()
    await calling.ringing
    calling.hangup()
    assert (await calling.ended).status == 487
    assert (await called.ended).by == "cancel"
    phones[0].codecs = ("PCMA/8000",)
    calling = await phones[0].dial(uri)
    called = await phones[1].incoming()
    with pytest.raises(CallEndedError) as caught:
        await called.accept()
    assert caught.value.ending.status == 488
    with pytest.raises(CallEndedError):
        await calling.up


async def test_reports_are_exchanged() -> None:
    one, two = await SipPhone.start(user="101"), await SipPhone.start(user="102")
    calling, called = await connect((one, two))
    await asyncio.gather(calling.play(signals.make("rise", 1.2)))
    for call in (calling, called):
        reports = call.media.reports
        assert reports is not None
        assert reports.received == 1
    await one.stop()
    await two.stop()


async def run_sipp(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "sipp", "-i", "127.0.0.1", "-m", "1", "-nostdin", "-timeout", "20", *arguments,
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.parametrize(("transport", "mode"), [("UDP", "u1"), ("TCP", "t1")])
async def test_sipp_calls_the_phone(tmp_path: Path, transport: str, mode: str) -> None:
    phone = await SipPhone.start(user="101", transport=transport)
    target = f"127.0.0.1:{phone.address[1]}"
    process = await run_sipp(tmp_path, "-sn", "uac", "-s", "101", "-t", mode, "-d", "200", target)
    call = await asyncio.wait_for(phone.incoming(), 10)
    call.ring()
    await call.accept()
    assert (await asyncio.wait_for(call.ended, 10)).by == "peer"
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    await phone.stop()


async def test_phone_calls_sipp(tmp_path: Path, unused_udp_port: int) -> None:
    phone = await SipPhone.start(user="101")
    process = await run_sipp(tmp_path, "-sn", "uas", "-p", str(unused_udp_port))
    call = await phone.dial(f"sip:service@127.0.0.1:{unused_udp_port}")
    await asyncio.wait_for(call.up, 10)
    call.hangup()
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    await phone.stop()


async def test_another_user_is_not_found() -> None:
    one, two = await SipPhone.start(user="101"), await SipPhone.start(user="102")
    calling = await one.dial(f"sip:103@127.0.0.1:{two.address[1]}")
    assert (await calling.ended).status == 404
    await one.stop()
    await two.stop()
