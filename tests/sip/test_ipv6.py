# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP over IPv6: on one address, beside IPv4, and what cannot be joined with the other family."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sip.gateway import Gateway
from sip.sipp import HOST, HOST6, Sipp, free_port, has_ipv6, in_uri

pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this host has no IPv6 loopback")

ALL = "::"
OVER = pytest.mark.parametrize(("over", "suffix"), [("u1", ""), ("t1", ";transport=tcp")])
OPEN_TO = pytest.mark.parametrize(
    ("bind", "host"), [(HOST6, HOST6), (ALL, HOST6), (ALL, HOST)], ids=["one", "all-6", "all-4"]
)
G711 = "m=audio 20000 RTP/AVP 8"


def network(host: str) -> str:
    return f"IN IP{6 if ':' in host else 4} {host}"


async def answered(gateway: Gateway, call: str) -> dict:
    """Wait for the 200; gives what is agreed about the sound."""
    while (event := await gateway.expect_any(call))["event"] == "Progress":
        pass
    assert event["event"] == "Answered", event
    return event["media"]


def headers(messages: str, start: str, name: str) -> list[str]:
    """Give the values of a header field in each message that begins with ``start``."""
    blocks = messages.replace("\r", "").split("\n\n")
    lines = [block.splitlines() for block in blocks if block.startswith(start)]
    found = [line for block in lines for line in block if line.startswith(f"{name}: ")]
    return [line.partition(": ")[2] for line in found]


async def refused_call(gateway: Gateway, folder: Path, scenario: str, **options) -> None:
    sipp = await Sipp.caller(folder, scenario, gateway.port, host=gateway.host, **options)
    await gateway.expect("Refused", status=488)
    await sipp.passed()


@OVER
@OPEN_TO
async def test_an_incoming_call(tmp_path, bind, host, over, suffix):
    gateway = await Gateway.start(host, bind_addr=bind)
    try:
        sipp = await Sipp.caller(
            tmp_path,
            "caller_talks",
            gateway.port,
            host=host,
            transport=over,
            check=f"c={network(host)}",
        )
        invite = await gateway.expect("IncomingInvite")
        assert invite["request_uri"] == f"sip:946701234567@{in_uri(host)}:{gateway.port}"
        assert invite["source"] == f"{in_uri(host)}:{sipp.port}"
        assert invite["offer"]["media"]["addr"] == host
        gateway.do("ring", invite["call"])
        gateway.answer(invite["call"])
        await gateway.expect("Ended", call=invite["call"], status=0, by="peer")
        result = await sipp.passed()
        contacts = headers(result.messages, "SIP/2.0 200", "Contact")
        transport = ";transport=TCP" if suffix else ""
        assert contacts[0] == f"<sip:trunk@{in_uri(host)}:{gateway.port}{transport}>"
        await gateway.stop()
    finally:
        await gateway.kill()


@OVER
@OPEN_TO
async def test_an_outgoing_call(tmp_path, bind, host, over, suffix):
    gateway = await Gateway.start(host, bind_addr=bind)
    try:
        sipp = await Sipp.callee(
            tmp_path,
            "callee_answers",
            host=host,
            transport=over,
            check=f"INVITE sip:101@{in_uri(host)}:".replace("[", r"\[").replace("]", r"\]"),
            check_too=f"c={network(host)}",
        )
        call = gateway.dial(sipp.port, transport=suffix)
        assert (await answered(gateway, call))["addr"] == host
        gateway.do("hangup", call, reason_header=None)
        await gateway.expect("Ended", call=call, status=0, by="us")
        result = await sipp.passed()
        transport = ";transport=TCP" if suffix else ""
        own = f"{in_uri(host)}:{gateway.port}"
        assert headers(result.messages, "INVITE", "Contact") == [f"<sip:trunk@{own}{transport}>"]
        if bind == host:
            vias = headers(result.messages, "INVITE", "Via")
            assert vias[0].startswith(f"SIP/2.0/{'TCP' if suffix else 'UDP'} {own};")
        await gateway.stop()
    finally:
        await gateway.kill()


@pytest.fixture
async def gateway6():
    """A trunk on ``::1`` alone."""
    gateway = await Gateway.start(HOST6)
    try:
        yield gateway
        last = await gateway.stop()
        assert last["live"] == 0
        assert not last["counters"].get("faults") and not last["counters"].get("callback-errors")
    finally:
        await gateway.kill()


@OVER
async def test_hold_and_resume(gateway6, tmp_path, over, suffix):
    """Among the ways to hold is ``c=IN IP4 0.0.0.0``, which no sound ever goes to."""
    sipp = await Sipp.caller(tmp_path, "caller_holds", gateway6.port, host=HOST6, transport=over)
    call = (await gateway6.expect("IncomingInvite"))["call"]
    gateway6.answer(call)
    seen = []
    while (event := await gateway6.expect_any(call))["event"] == "MediaChanged":
        seen.append((event["media"]["addr"], event["media"]["direction"]))
    assert event["event"] == "Ended"
    assert (HOST6, "recvonly") in seen and ("0.0.0.0", "recvonly") in seen
    assert seen[-1] == (HOST6, "sendrecv")
    await sipp.passed()


async def test_early_media_and_cancel(gateway6, tmp_path):
    sipp = await Sipp.callee(tmp_path, "callee_sends_early", host=HOST6)
    call = gateway6.dial(sipp.port)
    progress = await gateway6.expect("Progress", call=call, status=183)
    assert progress["media"]["addr"] == HOST6
    await gateway6.expect("Answered", call=call)
    gateway6.do("hangup", call, reason_header=None)
    await gateway6.expect("Ended", status=0)
    await sipp.passed()
    sipp = await Sipp.callee(tmp_path, "callee_is_cancelled", host=HOST6)
    call = gateway6.dial(sipp.port)
    await gateway6.expect("Progress", call=call, status=180)
    gateway6.do("hangup", call, reason_header=None)
    await gateway6.expect("Ended", call=call, status=487, by="us")
    await sipp.passed()


async def test_an_offer_in_the_ack(gateway6, tmp_path):
    sipp = await Sipp.caller(
        tmp_path, "caller_offers_late", gateway6.port, host=HOST6, check=f"c={network(HOST6)}"
    )
    call = (await gateway6.expect("IncomingInvite"))["call"]
    gateway6.answer(call)
    changed = await gateway6.expect("MediaChanged", call=call)
    assert changed["media"]["addr"] == HOST6
    await gateway6.expect("Ended", status=0)
    await sipp.passed()


async def test_a_request_too_large_for_udp(gateway6, tmp_path):
    """The stack's own way to TCP (RFC 3261 section 18.1.1) is IPv4 only; UDP has to do."""
    sipp = await Sipp.callee(tmp_path, "callee_answers", host=HOST6)
    call = gateway6.dial(sipp.port, headers=[[f"X-{i}", "x" * 500] for i in range(3)])
    assert (await answered(gateway6, call))["addr"] == HOST6
    gateway6.do("hangup", call, reason_header=None)
    await gateway6.expect("Ended", status=0)
    await sipp.passed()


@OVER
async def test_nobody_listens(gateway6, over, suffix):
    call = gateway6.dial(free_port(HOST6), transport=suffix)
    await gateway6.expect("Ended", call=call, status=503, by="peer")


@OVER
async def test_an_ipv4_target_is_out_of_reach(gateway6, tmp_path, over, suffix):
    uri = f"sip:101@{HOST}:5060{suffix}"
    call = gateway6.dial(0, to_uri=uri)
    event = await gateway6.expect("Ended", call=call, status=503, by="us")
    assert "its address is IPv4" in event["reason"]
    await works(gateway6, tmp_path)


@OVER
async def test_an_ipv6_target_is_out_of_reach(gateway, tmp_path, over, suffix):
    call = gateway.dial(0, to_uri=f"sip:101@[::1]:5060{suffix}")
    event = await gateway.expect("Ended", call=call, status=503, by="us")
    assert "its address is IPv6" in event["reason"]
    await works(gateway, tmp_path)


async def test_a_name_without_an_ipv6_address(gateway6, tmp_path):
    """``localhost`` is 127.0.0.1 on every host, and ``::1`` on some."""
    addresses = socket.getaddrinfo("localhost", 5060, type=socket.SOCK_DGRAM)
    if any(family == socket.AF_INET6 for family, *_ in addresses):
        pytest.skip("localhost has an IPv6 address here")
    call = gateway6.dial(0, to_uri="sip:101@localhost")
    await gateway6.expect("Ended", call=call, status=503)
    await works(gateway6, tmp_path)


async def test_an_answer_of_the_other_family(gateway6, tmp_path):
    sipp = await Sipp.callee(tmp_path, "callee_answers_badly", host=HOST6, addr=HOST)
    call = gateway6.dial(sipp.port)
    event = await gateway6.expect("Ended", call=call, status=488, by="us")
    assert "sound is over IPv6" in event["reason"]
    await sipp.passed()
    await works(gateway6, tmp_path)


async def test_an_offer_of_the_other_family(gateway6, tmp_path):
    await refused_call(gateway6, tmp_path, "caller_is_refused", addr=HOST, status=488)
    await works(gateway6, tmp_path)


async def test_an_ipv6_offer_to_an_ipv4_trunk(gateway, tmp_path):
    await refused_call(gateway, tmp_path, "caller_is_refused", addr=HOST6, status=488)
    await works(gateway, tmp_path)


async def test_a_new_offer_of_the_other_family(gateway6, tmp_path):
    """It gets 488 and the call goes on."""
    sipp = await Sipp.caller(
        tmp_path,
        "caller_reoffers_badly",
        gateway6.port,
        host=HOST6,
        bad_media=f"m=audio 6200 RTP/AVP 8\nc=IN IP4 {HOST}",
    )
    call = (await gateway6.expect("IncomingInvite"))["call"]
    gateway6.answer(call)
    await gateway6.expect("Ended", call=call, status=0, by="peer")
    await sipp.passed()
    assert (await gateway6.counters())["offers-refused"] == 1


async def test_a_relay_of_the_other_family(tmp_path):
    """Both families are open, and the relay has a port of the wrong one: this call ends."""
    gateway = await Gateway.start(HOST6, bind_addr=ALL)
    try:
        sipp = await Sipp.caller(
            tmp_path, "caller_is_refused", gateway.port, host=HOST6, status=488
        )
        call = (await gateway.expect("IncomingInvite"))["call"]
        gateway.do("answer", call, relay_addr=HOST, relay_port=20000)
        await gateway.expect("Ended", call=call, status=488, by="us")
        await sipp.passed()
        await works(gateway, tmp_path)
        await gateway.stop()
    finally:
        await gateway.kill()


async def test_a_port_that_is_taken(tmp_path):
    """Of two families one is enough to fail; the error names it."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as taken:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        taken.bind((HOST6, free_port(HOST6, HOST)))
        port = taken.getsockname()[1]
        with pytest.raises(AssertionError, match=rf"SIP cannot listen on \[::1\]:{port}: "):
            await Gateway.start(HOST6, bind_port=port)


async def works(gateway: Gateway, folder: Path) -> None:
    """Check that the trunk still takes calls."""
    sipp = await Sipp.caller(folder, "caller_talks", gateway.port, host=gateway.host)
    call = (await gateway.expect("IncomingInvite"))["call"]
    gateway.answer(call)
    await gateway.expect("Ended", call=call, status=0)
    await sipp.passed()
