# SPDX-License-Identifier: GPL-3.0-or-later
"""What must not hurt: garbage, floods, limits, a stop in the middle of calls, a taken port."""

from __future__ import annotations

import asyncio
import random
import socket
from pathlib import Path

import pytest

from sip.gateway import Gateway
from sip.sipp import HOST, Sipp, free_port

HEAD = (
    b"Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK%d\r\n"
    b"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: %d\r\nCSeq: 1 %s\r\nMax-Forwards: 70\r\n"
)


def garbage() -> list[bytes]:
    """Datagrams that no SIP stack should like."""
    chance = random.Random(20261123)
    lines = [chance.randbytes(chance.randrange(1, 1400)) for _ in range(100)]
    head = HEAD % (1, 1, b"INVITE")
    lines += [
        b"",
        b"\x00" * 500,
        b"\r\n" * 200,
        b"INVITE\r\n\r\n",
        b"INVITE sip:a@b SIP/2.0\r\n\r\n",
        b"INVITE sip:a@b SIP/9.9\r\n" + head + b"\r\n",
        b"INVITE " + b"a" * 7000 + b" SIP/2.0\r\n" + head + b"\r\n",
        b"SIP/2.0 200 OK\r\n" + head + b"\r\n",
        b"SIP/2.0 99999 X\r\n" + head + b"\r\n",
        b"INVITE sip:a@b SIP/2.0\r\n" + head + b"Content-Length: 4294967295\r\n\r\nx",
        b"INVITE sip:a@b SIP/2.0\r\n" + head + b"Content-Length: -1\r\n\r\nx",
    ]
    for number, method in enumerate((b"BYE", b"NONSENSE", b"REGISTER", b"CANCEL", b"ACK"), 10):
        lines.append(method + b" sip:a@b SIP/2.0\r\n" + HEAD % (number, number, method) + b"\r\n")
    return lines


def invite(number: int, *, uri: bytes = b"sip:a@b", sender: bytes = b"<sip:a@b>;tag=1") -> bytes:
    head = (HEAD % (number, number, b"INVITE")).replace(b"<sip:a@b>;tag=1", sender)
    return b"INVITE " + uri + b" SIP/2.0\r\n" + head + b"Contact: <sip:a@127.0.0.1:9>\r\n\r\n"


async def a_call_works(gateway: Gateway, folder) -> None:
    def react(event):
        if event["event"] == "IncomingInvite":
            gateway.answer(event["call"])

    gateway.react = react
    await (await Sipp.caller(folder, "caller_talks", gateway.port)).passed()
    gateway.react = None


async def test_garbage_by_udp(gateway, tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for datagram in garbage():
            sender.sendto(datagram, (HOST, gateway.port))
    await a_call_works(gateway, tmp_path)
    assert (await gateway.counters())["stack-lines"] > 0
    last = await gateway.stop()
    assert last["log"].count("WARNING:Pjsip") < 20


async def test_garbage_by_tcp(gateway, tmp_path):
    for chunk in garbage():
        reader, writer = await asyncio.open_connection(HOST, gateway.port)
        writer.write(chunk)
        writer.close()
        del reader
    _, idle = await asyncio.open_connection(HOST, gateway.port)
    idle.write(b"INVITE sip:half")
    await a_call_works(gateway, tmp_path)
    idle.close()


@pytest.mark.parametrize(
    ("uri", "sender"),
    [
        (b"sip:" + b"a" * 300 + b"@b", b"<sip:a@b>;tag=1"),
        (b"sip:a@b", b"<sip:" + b"a" * 300 + b"@b>;tag=1"),
    ],
)
async def test_an_invite_that_only_our_reader_refuses(gateway, tmp_path, uri, sender):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind((HOST, 0))
        port = b"%d" % phone.getsockname()[1]
        text = invite(1, uri=uri, sender=sender).replace(b":9;", b":" + port + b";")
        phone.setblocking(False)
        phone.sendto(text, (HOST, gateway.port))
        loop = asyncio.get_running_loop()
        response = b"SIP/2.0 100"
        while response.startswith(b"SIP/2.0 100"):
            response = await asyncio.wait_for(loop.sock_recv(phone, 4096), 5)
    assert response.startswith(b"SIP/2.0 400")
    await a_call_works(gateway, tmp_path)


async def test_strange_display_names_are_no_obstacle(gateway):
    sender = b'"\xff <sip:evil@x>" <sip:good@b>;tag=1'
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.sendto(invite(2, sender=sender), (HOST, gateway.port))
    event = await gateway.expect("IncomingInvite", from_uri="sip:good@b")
    gateway.do("reject", event["call"], status=404, reason_header=None)
    await gateway.expect("Ended", status=404)


async def test_one_call_more_than_allowed(tmp_path):
    gateway = await Gateway.start(max_calls=1)
    try:
        sipp = await Sipp.caller(tmp_path, "caller_is_hung_up", gateway.port)
        first = (await gateway.expect("IncomingInvite"))["call"]
        over = await Sipp.caller(
            tmp_path, "caller_is_refused", gateway.port, status=503, check="Retry-After: 5"
        )
        await over.passed()
        await gateway.expect("Refused", status=503)
        call = gateway.dial(free_port())
        await gateway.expect("Ended", call=call, status=503, by="us")
        gateway.answer(first)
        gateway.do("hangup", first, reason_header=None)
        await gateway.expect("Ended", call=first, status=0)
        await sipp.passed()
        await gateway.stop()
    finally:
        await gateway.kill()


async def test_a_stop_ends_all_calls_in_their_way(gateway, tmp_path):
    talking = await Sipp.caller(tmp_path, "caller_is_hung_up", gateway.port)
    gateway.answer((await gateway.expect("IncomingInvite"))["call"])
    ringing = await Sipp.caller(tmp_path, "caller_is_refused", gateway.port, status=503)
    await gateway.expect("IncomingInvite")
    callee = await Sipp.callee(tmp_path, "callee_is_cancelled")
    call = gateway.dial(callee.port)
    await gateway.expect("Progress", call=call, status=180)
    last = await gateway.stop()
    assert last["seconds"] < 5
    assert last["live"] == 0
    for sipp in (talking, ringing, callee):
        await sipp.passed()
    assert sum(event["event"] == "Ended" for event in gateway.seen) == 3


async def test_commands_that_come_too_late_or_out_of_turn(gateway, tmp_path):
    gateway.do("ring", "sip-77")
    sipp = await Sipp.callee(tmp_path, "callee_is_cancelled")
    call = gateway.dial(sipp.port)
    gateway.do("ring", call)
    await gateway.expect("Progress", call=call, status=180)
    gateway.do("hangup", call, reason_header="bad\r\nheader")
    gateway.do("hangup", call, reason_header=None)
    await gateway.expect("Ended", call=call)
    await sipp.passed()
    counters = await gateway.counters()
    assert counters["commands-too-late"] == 2
    assert counters["commands-out-of-turn"] == 1
    assert counters["headers-left-out"] == 1


async def test_a_port_that_is_taken(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HOST, 0))
        with pytest.raises(AssertionError, match="SipStartError"):
            await Gateway.start(bind_port=taken.getsockname()[1])


async def test_no_socket_but_the_trunk_s_own(gateway, tmp_path):
    """Signalling only: in the middle of a call the process holds no RTP socket."""

    process = Path(f"/proc/{gateway.process.pid}")

    def sockets() -> int:
        table = (process / "net/udp").read_text().splitlines()[1:]
        udp = {f"socket:[{line.split()[9]}]" for line in table}
        return sum(str(link.readlink()) in udp for link in (process / "fd").iterdir())

    gateway.do("ring", "nobody")  # the first command is what binds the socket that wakes the stack
    await gateway.counters()
    before = sockets()
    sipp = await Sipp.caller(tmp_path, "caller_is_hung_up", gateway.port)
    call = (await gateway.expect("IncomingInvite"))["call"]
    gateway.answer(call)
    await gateway.counters()
    assert sockets() == before
    gateway.do("hangup", call, reason_header=None)
    await gateway.expect("Ended", call=call)
    await sipp.passed()
