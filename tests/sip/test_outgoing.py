# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls to the PBX: the test dials for the gateway, SIPp answers."""

from __future__ import annotations

import socket
import time

import pytest

from sip.sipp import HOST, Sipp, free_port

OVER = pytest.mark.parametrize(("over", "suffix"), [("u1", ""), ("t1", ";transport=tcp")])
MEDIA = {
    "addr": HOST,
    "port": 6000,
    "rtcp_port": 6001,
    "codec": "PCMA/8000",
    "dtmf": 101,
    "receive_dtmf": 101,
    "direction": "sendrecv",
}


async def until_answered(gateway, call):
    statuses = []
    while (event := await gateway.expect_any(call))["event"] == "Progress":
        statuses.append(event["status"])
    assert event["event"] == "Answered", event
    return statuses, event["media"]


@OVER
async def test_an_answered_call(gateway, tmp_path, over, suffix):
    sipp = await Sipp.callee(
        tmp_path,
        "callee_answers",
        transport=over,
        check="From: <sip:46701234567@secure.com>",
        check_too="m=audio 20000 RTP/AVP 8 0 101",
    )
    headers = [["P-Asserted-Identity", "<sip:46701234567@secure.com>"]]
    call = gateway.dial(sipp.port, transport=suffix, headers=headers)
    assert await until_answered(gateway, call) == ([100, 180], MEDIA)
    gateway.do("hangup", call, reason_header='SIP;cause=200;text="bye"')
    await gateway.expect("Ended", call=call, status=0, by="us")
    result = await sipp.passed()
    assert "P-Asserted-Identity: <sip:46701234567@secure.com>" in result.messages
    assert 'Reason: SIP;cause=200;text="bye"' in result.messages
    assert "User-Agent: CIG/2.7.0" in result.messages
    assert f"Call-ID: {gateway.dialled[call]}" in result.messages
    assert (await gateway.counters())["live"] == 0


@OVER
async def test_the_pbx_hangs_up(gateway, tmp_path, over, suffix):
    sipp = await Sipp.callee(tmp_path, "callee_hangs_up", transport=over)
    call = gateway.dial(sipp.port, transport=suffix)
    assert await until_answered(gateway, call) == ([], MEDIA)
    reason = 'Q.850;cause=16;text="bye bye"'
    await gateway.expect("Ended", call=call, status=0, by="peer", reason=reason)
    await sipp.passed()


@OVER
async def test_early_media(gateway, tmp_path, over, suffix):
    sipp = await Sipp.callee(tmp_path, "callee_sends_early", transport=over)
    call = gateway.dial(sipp.port, transport=suffix)
    progress = await gateway.expect("Progress", call=call, status=183)
    assert progress["media"]["port"] == 6300
    answered = await gateway.expect("Answered", call=call)
    assert answered["media"]["port"] == 6000
    gateway.do("hangup", call, reason_header=None)
    await gateway.expect("Ended", status=0)
    await sipp.passed()


@OVER
@pytest.mark.parametrize(("status", "phrase"), [(486, "Busy Here"), (404, "Not Found")])
async def test_refusals(gateway, tmp_path, over, suffix, status, phrase):
    sipp = await Sipp.callee(
        tmp_path, "callee_refuses", transport=over, status=status, phrase=phrase
    )
    call = gateway.dial(sipp.port, transport=suffix)
    await gateway.expect("Ended", call=call, status=status, reason=phrase, by="peer")
    await sipp.passed()


@pytest.mark.parametrize("status", [401, 407, 408, 480, 484, 488, 500, 503, 600, 603, 606])
async def test_more_refusals(gateway, tmp_path, status):
    extra = {
        401: 'WWW-Authenticate: Digest realm="x", nonce="y"\n',
        407: 'Proxy-Authenticate: Digest realm="x", nonce="y"\n',
    }.get(status, "")
    sipp = await Sipp.callee(
        tmp_path, "callee_refuses", status=status, phrase="No", contact_extra=extra
    )
    call = gateway.dial(sipp.port)
    await gateway.expect("Ended", call=call, status=status, by="peer")
    await sipp.passed()


async def test_a_redirection_is_not_followed(gateway, tmp_path):
    sipp = await Sipp.callee(
        tmp_path,
        "callee_refuses",
        status=302,
        phrase="Moved",
        contact_extra=f"Contact: <sip:new@{HOST}:{free_port()}>\n",
    )
    call = gateway.dial(sipp.port)
    await gateway.expect("Ended", call=call, status=302, by="peer")
    await sipp.passed()


@OVER
async def test_we_cancel(gateway, tmp_path, over, suffix):
    sipp = await Sipp.callee(tmp_path, "callee_is_cancelled", transport=over)
    call = gateway.dial(sipp.port, transport=suffix)
    await gateway.expect("Progress", call=call, status=180)
    gateway.do("hangup", call, reason_header=None)
    await gateway.expect("Ended", call=call, status=487, by="us")
    await sipp.passed()


async def test_a_cancel_that_crosses_the_answer(gateway, tmp_path):
    sipp = await Sipp.callee(tmp_path, "callee_answers_a_cancel")
    call = gateway.dial(sipp.port)
    await gateway.expect("Progress", call=call, status=180)
    gateway.do("hangup", call, reason_header=None)
    await gateway.expect("Ended", call=call, status=487, by="us")
    await sipp.passed()
    assert (await gateway.counters())["live"] == 0


@OVER
async def test_the_pbx_holds(gateway, tmp_path, over, suffix):
    sipp = await Sipp.callee(tmp_path, "callee_holds", transport=over)
    call = gateway.dial(sipp.port, transport=suffix)
    await until_answered(gateway, call)
    for direction in ("inactive", "sendrecv"):
        changed = await gateway.expect("MediaChanged", call=call)
        assert changed["media"]["direction"] == direction
    gateway.do("hangup", call, reason_header=None)
    await gateway.expect("Ended", status=0)
    await sipp.passed()


async def test_an_answer_without_g711(gateway, tmp_path):
    sipp = await Sipp.callee(
        tmp_path, "callee_answers_badly", formats="18", maps="a=rtpmap:18 G729/8000"
    )
    call = gateway.dial(sipp.port)
    await gateway.expect("Ended", call=call, status=488, by="us")
    await sipp.passed()


async def test_an_answer_without_sdp(gateway, tmp_path):
    sipp = await Sipp.callee(tmp_path, "callee_answers_without_sdp")
    call = gateway.dial(sipp.port)
    await gateway.expect("Ended", call=call, status=406)
    await sipp.passed()


@pytest.mark.parametrize("suffix", ["", ";transport=tcp"])
async def test_nobody_listens(gateway, suffix):
    began = time.monotonic()
    call = gateway.dial(free_port(), transport=suffix)
    await gateway.expect("Ended", call=call, status=503, by="peer")
    assert time.monotonic() - began < 3


async def test_the_pbx_is_mute(gateway):
    began = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind((HOST, 0))
        call = gateway.dial(mute.getsockname()[1])
        await gateway.expect("Ended", call=call, status=503, by="peer")
        assert mute.recv(4096, socket.MSG_DONTWAIT).startswith(b"INVITE sip:101@")
    assert 1.5 < time.monotonic() - began < 3


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "tel:+46701234567",
        "sip:",
        "sip:a b@127.0.0.1",
        "sip:a@127.0.0.1:0",
        "sip:a@127.0.0.1;transport=tls",
        "sip:a@127.0.0.1?Route=x",
        "sip:a@evil.com>,<sip:b@127.0.0.1",
        "sip:a@127.0.0.1\r\nX: y",
    ],
)
async def test_a_uri_that_cannot_be_called(gateway, uri):
    call = gateway.dial(0, to_uri=uri)
    await gateway.expect("Ended", call=call, status=500, by="us")
    call = gateway.dial(free_port(), from_uri=uri)
    await gateway.expect("Ended", call=call, status=500, by="us")


async def test_a_header_that_cannot_be_sent(gateway):
    call = gateway.dial(free_port(), headers=[["X-A", "b\r\nRoute: <sip:evil.com>"]])
    await gateway.expect("Ended", call=call, status=500, by="us")


async def test_a_name_that_does_not_resolve(gateway):
    call = gateway.dial(0, to_uri="sip:101@no-such-host.invalid")
    await gateway.expect_end(call, by="peer")


@OVER
async def test_twenty_calls_at_once(gateway, tmp_path, over, suffix):
    def react(event):
        if event["event"] == "Answered":
            gateway.do("hangup", event["call"], reason_header=None)

    gateway.react = react
    sipp = await Sipp.callee(tmp_path, "callee_answers", transport=over, calls=20, talk_ms=300)
    calls = [gateway.dial(sipp.port, transport=suffix) for _ in range(20)]
    await sipp.passed()
    counters = await gateway.counters()
    assert counters["live"] == 0
    ended = [e["call"] for e in gateway.seen if e["event"] == "Ended" and e["call"] in calls]
    assert sorted(ended) == sorted(calls)
