# SPDX-License-Identifier: GPL-3.0-or-later
"""MESSAGE outside of calls: taken, answered later, and sent."""

from __future__ import annotations

import asyncio
import socket

import pytest

from sip.gateway import Gateway
from sip.sipp import HOST, HOST6, Sipp, free_port, has_ipv6, in_uri

OVER = pytest.mark.parametrize(("over", "suffix"), [("u1", ""), ("t1", ";transport=tcp")])
HOSTS = pytest.mark.parametrize(
    "host",
    [
        HOST,
        pytest.param(HOST6, marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback")),
    ],
)
PLAIN = "text/plain;charset=utf-8"
FROM = "sip:46701234567@secure.com"


@pytest.fixture
async def takes(gateway):
    """A trunk that reports each MESSAGE."""
    return await taking(gateway)


async def taking(gateway: Gateway) -> Gateway:
    """Have each MESSAGE reported from now on."""
    gateway.do("take_messages")
    await gateway.counters()
    return gateway


def send(gateway: Gateway, name: str, port: int, text: str = "hello", **more) -> None:
    suffix = more.pop("suffix", "")
    to_uri = f"sip:101@{in_uri(gateway.host)}:{port}{suffix}"
    gateway.do("send_message", name=name, to_uri=to_uri, from_uri=FROM, text=text, **more)


@OVER
@HOSTS
async def test_one_that_comes_is_answered_later(tmp_path, over, suffix, host):
    gateway = await Gateway.start(host)
    try:
        await taking(gateway)
        sipp = await Sipp.caller(
            tmp_path,
            "sends_message",
            gateway.port,
            host=host,
            transport=over,
            type='text/plain; charset="UTF-8"',
            body="Grüße\n\nzwei",
            status=202,
            check="X-Test: yes",
        )
        message = await gateway.expect("IncomingMessage", name="msg-1", charset="utf-8")
        assert message["request_uri"] == f"sip:946701234567@{in_uri(host)}:{gateway.port}"
        assert message["from_uri"] == "sip:101@pbx.com"
        assert message["content_type"] == "text/plain" and message["encoding"] == ""
        assert message["body"].replace("\r", "") == "Grüße\n\nzwei"
        assert message["cseq"] == 1 and message["from_tag"] and message["call_id"]
        assert message["source"] == f"{in_uri(host)}:{sipp.port}"
        await asyncio.sleep(1.2)  # the client has repeated it over UDP by now, twice
        gateway.do("answer_message", name="msg-1", status=202, headers=[["X-Test", "yes"]])
        await sipp.passed()
        last = await gateway.stop()
        assert last["counters"]["messages-in"] == 1
    finally:
        await gateway.kill()


async def test_without_a_listener_it_is_405(gateway, tmp_path):
    sipp = await Sipp.caller(
        tmp_path,
        "sends_message",
        gateway.port,
        type=PLAIN,
        body="hello",
        status=405,
        check="Allow: INVITE, ACK, BYE, CANCEL, OPTIONS",
    )
    await sipp.passed()


async def test_an_answer_too_late_or_twice_does_nothing(takes, tmp_path):
    sipp = await Sipp.caller(
        tmp_path, "sends_message", takes.port, type=PLAIN, body="hello", status=404
    )
    name = (await takes.expect("IncomingMessage"))["name"]
    takes.do("answer_message", name=name, status=404)
    takes.do("answer_message", name=name, status=202)
    takes.do("answer_message", name="msg-77", status=202)
    await sipp.passed()
    assert (await takes.counters())["message-answers-too-late"] == 2


async def test_octets_of_any_kind_come_as_they_are(takes):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind((HOST, 0))
        port = peer.getsockname()[1]
        body = bytes(range(256))
        peer.sendto(request(port, body), (HOST, takes.port))
        message = await takes.expect("IncomingMessage", content_type="application/x")
        assert message["body"] == body.decode("utf-8", "backslashreplace")
        takes.do("answer_message", name=message["name"], status=415, headers=[["Accept", "a/b"]])
        peer.settimeout(5)
        answer = await asyncio.to_thread(peer.recv, 9000)
    assert answer.startswith(b"SIP/2.0 415 Unsupported Media Type\r\n")
    assert b"\r\nAccept: a/b\r\n" in answer


def request(port: int, body: bytes, number: int = 1) -> bytes:
    lines = [
        "MESSAGE sip:9101@secure.com SIP/2.0",
        f"Via: SIP/2.0/UDP {HOST}:{port};branch=z9hG4bK{number};rport",
        "From: <sip:101@pbx.com>;tag=a",
        "To: <sip:9101@secure.com>",
        f"Call-ID: call-{number}",
        "CSeq: 7 MESSAGE",
        "Max-Forwards: 70",
        "Content-Type: application/x",
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


async def test_more_than_there_are_places_for_get_503(takes):
    """Of 300 that wait for their answers 256 are taken; what is answered frees its place."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind((HOST, 0))
        peer.settimeout(5)
        port = peer.getsockname()[1]
        for number in range(300):
            peer.sendto(request(port, b"x", number), (HOST, takes.port))
        answers = [await asyncio.to_thread(peer.recv, 9000) for _ in range(44)]
        assert all(b"503 Service Unavailable\r\n" in answer for answer in answers)
        assert b"\r\nRetry-After: 5\r\n" in answers[0]
        names = [(await takes.expect("IncomingMessage"))["name"] for _ in range(256)]
        for name in names:
            takes.do("answer_message", name=name, status=200)
            answer = await asyncio.to_thread(peer.recv, 9000)
            assert answer.startswith(b"SIP/2.0 200 ")
        peer.sendto(request(port, b"x", 300), (HOST, takes.port))
        await takes.expect("IncomingMessage")


async def test_what_waits_at_the_end_gets_503(tmp_path):
    gateway = await Gateway.start()
    try:
        await taking(gateway)
        sipp = await Sipp.caller(
            tmp_path, "sends_message", gateway.port, type=PLAIN, body="hello", status=503
        )
        await gateway.expect("IncomingMessage")
        await gateway.stop()
        await sipp.passed()
    finally:
        await gateway.kill()


async def test_a_connection_that_breaks_frees_its_place(takes):
    """The answer has nowhere to go, and that harms nothing."""
    for number in range(3):
        reader, writer = await asyncio.open_connection(HOST, takes.port)
        port = writer.get_extra_info("sockname")[1]
        octets = request(port, b"x", number).replace(b"/UDP", b"/TCP")
        writer.write(octets)
        name = (await takes.expect("IncomingMessage"))["name"]
        writer.transport.abort()
        takes.do("answer_message", name=name, status=200)
        del reader
    await takes.counters()


@OVER
@HOSTS
@pytest.mark.parametrize(("status", "phrase"), [(200, "OK"), (404, "Not Found"), (486, "Busy")])
async def test_one_that_is_sent_gets_its_status(tmp_path, over, suffix, host, status, phrase):
    gateway = await Gateway.start(host)
    try:
        sipp = await Sipp.callee(
            tmp_path,
            "callee_gets_message",
            host=host,
            transport=over,
            status=status,
            phrase=phrase,
            check=f"From: <{FROM}>",
            check_too="Content-Type: text/plain; ?charset=UTF-8",
        )
        await taking(gateway)
        send(gateway, "t-1", sipp.port, "Grüße\nzwei", suffix=suffix)
        await gateway.expect("MessageResult", name="t-1", status=status, heard=True)
        result = await sipp.passed()
        assert "Grüße\nzwei" in result.messages
        assert "Contact:" not in result.messages  # RFC 3428 section 4
        await gateway.stop()
    finally:
        await gateway.kill()


async def test_a_long_one_goes_over_tcp(takes, tmp_path):
    """RFC 3261 section 18.1.1, though the URI names no transport."""
    sipp = await Sipp.callee(
        tmp_path, "callee_gets_message", transport="t1", status=200, phrase="OK"
    )
    send(takes, "t-1", sipp.port, "x" * 4000)
    await takes.expect("MessageResult", status=200)
    await sipp.passed()


async def test_nobody_takes_the_connection(takes):
    send(takes, "t-1", free_port(), suffix=";transport=tcp")
    result = await takes.expect("MessageResult", status=503, heard=False)
    assert result["reason"]


async def test_what_cannot_be_sent(takes):
    takes.do("send_message", name="a", to_uri="tel:+1", from_uri=FROM, text="x")
    await takes.expect("MessageResult", name="a", status=500, heard=False)
    takes.do("send_message", name="b", to_uri="sip:1@[::1]", from_uri=FROM, text="x")
    await takes.expect("MessageResult", name="b", status=503, heard=False)
    send(takes, "c", free_port(), "x" * 9000)
    await takes.expect("MessageResult", name="c", heard=False)


async def test_what_is_under_way_at_the_end_is_reported(tmp_path):
    gateway = await Gateway.start()
    try:
        await taking(gateway)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind((HOST, 0))
            silent.setblocking(False)
            send(gateway, "t-1", silent.getsockname()[1])
            loop = asyncio.get_running_loop()
            assert (await loop.sock_recv(silent, 9000)).startswith(b"MESSAGE ")
            gateway.process.stdin.close()
            await gateway.expect("MessageResult", name="t-1", status=503, heard=False)
            await gateway.expect("Stopped")
    finally:
        await gateway.kill()
