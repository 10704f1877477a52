# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls from the PBX: SIPp calls, the test answers for the gateway."""

from __future__ import annotations

import asyncio

import pytest

from sip.gateway import Gateway
from sip.sipp import HOST, Sipp

OVER = pytest.mark.parametrize("over", ["u1", "t1"])


async def begin(gateway: Gateway, folder, scenario: str, **options) -> tuple[Sipp, str, dict]:
    sipp = await Sipp.caller(folder, scenario, gateway.port, **options)
    invite = await gateway.expect("IncomingInvite")
    return sipp, invite["call"], invite


@OVER
async def test_an_answered_call(gateway, tmp_path, over):
    check = "m=audio 20000 RTP/AVP 8 101"
    sipp, call, invite = await begin(gateway, tmp_path, "caller_talks", transport=over, check=check)
    assert invite["request_uri"] == f"sip:946701234567@{HOST}:{gateway.port}"
    assert invite["from_uri"] == "sip:101@pbx.com"
    assert invite["source"] == f"{HOST}:{sipp.port}"
    assert invite["offer"]["media"]["codec"] == "PCMA/8000"
    gateway.do("ring", call)
    gateway.answer(call)
    await gateway.expect("Ended", call=call, status=0, by="peer")
    result = await sipp.passed()
    assert f"Contact: <sip:trunk@{HOST}:{gateway.port}" in result.messages
    assert (await gateway.counters())["live"] == 0


@OVER
async def test_early_media(gateway, tmp_path, over):
    sipp, call, _ = await begin(
        gateway, tmp_path, "caller_hears_early", transport=over, check="m=audio 20000"
    )
    gateway.do("ring", call)
    gateway.do("progress", call, relay_addr=HOST, relay_port=20000)
    gateway.answer(call)
    await gateway.expect("Ended", status=0)
    await sipp.passed()


@OVER
@pytest.mark.parametrize("ringing", [False, True])
async def test_busy(gateway, tmp_path, over, ringing):
    reason = 'SIP;cause=486;text="busy"'
    sipp, call, _ = await begin(
        gateway,
        tmp_path,
        "caller_is_refused",
        transport=over,
        status=486,
        check="Reason: SIP;cause=486;text=.busy",
    )
    if ringing:
        gateway.do("ring", call)
    gateway.do("reject", call, status=486, reason_header=reason)
    await gateway.expect("Ended", call=call, status=486, by="us")
    await sipp.passed()


@pytest.mark.parametrize("status", [404, 480, 488, 500, 503, 603])
async def test_refusals(gateway, tmp_path, status):
    sipp, call, _ = await begin(gateway, tmp_path, "caller_is_refused", status=status)
    gateway.do("reject", call, status=status, reason_header=None)
    await gateway.expect("Ended", call=call, status=status, by="us")
    await sipp.passed()


async def test_a_hang_up_while_ringing_is_480(gateway, tmp_path):
    sipp, call, _ = await begin(gateway, tmp_path, "caller_is_refused", status=480)
    gateway.do("ring", call)
    gateway.do("hangup", call, reason_header=None)
    await gateway.expect("Ended", status=480, by="us")
    await sipp.passed()


@OVER
async def test_the_caller_cancels(gateway, tmp_path, over):
    sipp, call, _ = await begin(gateway, tmp_path, "caller_cancels", transport=over)
    gateway.do("ring", call)
    await gateway.expect("Ended", call=call, status=487, by="peer")
    await sipp.passed()


@OVER
async def test_we_hang_up(gateway, tmp_path, over):
    sipp, call, _ = await begin(
        gateway,
        tmp_path,
        "caller_is_hung_up",
        transport=over,
        check="Reason: SIP;cause=200;text=.enough",
    )
    gateway.answer(call)
    gateway.do("hangup", call, reason_header='SIP;cause=200;text="enough"')
    await gateway.expect("Ended", call=call, status=0, by="us")
    result = await sipp.passed()
    assert result.messages.count("\nBYE sip:") == 1


@OVER
async def test_offer_in_the_ack(gateway, tmp_path, over):
    sipp, call, invite = await begin(
        gateway,
        tmp_path,
        "caller_offers_late",
        transport=over,
        formats="0 96",
        maps="a=rtpmap:96 telephone-event/8000",
        check="m=audio 20000 RTP/AVP 8 0 101",
    )
    assert invite["offer"] is None
    gateway.do("progress", call, relay_addr=HOST, relay_port=20000)
    gateway.answer(call)
    changed = await gateway.expect("MediaChanged", call=call)
    assert changed["media"] == {
        "addr": HOST,
        "port": 6000,
        "rtcp_port": 6001,
        "codec": "PCMU/8000",
        "dtmf": 96,
        "receive_dtmf": 101,
        "direction": "sendrecv",
    }
    await gateway.expect("Ended", status=0)
    await sipp.passed()


async def test_an_ack_without_the_answer_ends_the_call(gateway, tmp_path):
    sipp, call, _ = await begin(gateway, tmp_path, "caller_offers_late_and_nothing")
    gateway.answer(call)
    await gateway.expect("Ended", call=call, status=488)
    await sipp.passed()


@OVER
async def test_hold_and_resume(gateway, tmp_path, over):
    sipp, call, _ = await begin(gateway, tmp_path, "caller_holds", transport=over)
    gateway.answer(call)
    for direction in ("recvonly", "sendrecv", "recvonly", "sendrecv"):
        changed = await gateway.expect("MediaChanged", call=call)
        assert changed["media"]["direction"] == direction
    await gateway.expect("Ended", status=0)
    result = await sipp.passed()
    origins = [line for line in result.messages.splitlines() if line.startswith("o=cig ")]
    ids = {line.split()[1] for line in origins}
    versions = list(dict.fromkeys(int(line.split()[2]) for line in origins))
    assert len(ids) == 1
    assert versions == list(range(versions[0], versions[0] + 5))


async def test_sound_moves_by_an_ack(gateway, tmp_path):
    sipp, call, _ = await begin(gateway, tmp_path, "caller_moves_without_sdp")
    gateway.answer(call)
    changed = await gateway.expect("MediaChanged", call=call)
    assert changed["media"]["port"] == 6100
    await gateway.expect("Ended", status=0)
    await sipp.passed()


async def test_a_bad_offer_in_a_call_is_refused_and_the_call_goes_on(gateway, tmp_path):
    sipp, call, _ = await begin(gateway, tmp_path, "caller_reoffers_badly")
    gateway.answer(call)
    await gateway.expect("Ended", status=0, by="peer")
    await sipp.passed()


async def test_a_transfer_is_declined_and_the_call_goes_on(gateway, tmp_path):
    sipp, call, _ = await begin(gateway, tmp_path, "caller_transfers")
    gateway.answer(call)
    await gateway.expect("Ended", status=0, by="peer")
    await sipp.passed()


@OVER
async def test_codec_mismatch(gateway, tmp_path, over):
    sipp = await Sipp.caller(
        tmp_path,
        "caller_is_refused",
        gateway.port,
        transport=over,
        status=488,
        formats="18",
        maps="a=rtpmap:18 G729/8000",
    )
    refused = await gateway.expect("Refused", status=488)
    assert refused["from_uri"] == "sip:101@pbx.com"
    await sipp.passed()


@OVER
async def test_options(gateway, tmp_path, over):
    sipp = await Sipp.caller(tmp_path, "asks_options", gateway.port, user="whoever", transport=over)
    await sipp.passed()


@pytest.mark.parametrize(
    ("method", "extra", "status"),
    [
        ("SUBSCRIBE", "Event: presence\nExpires: 60\n", 489),
        ("SUBSCRIBE", "Event: nonsense\nExpires: 60\n", 489),
        ("MESSAGE", "", 405),
    ],
)
async def test_other_requests(gateway, tmp_path, method, extra, status):
    sipp = await Sipp.caller(
        tmp_path, "sends_other", gateway.port, method=method, extra=extra, status=status
    )
    await sipp.passed()


@OVER
async def test_twenty_calls_at_once(gateway, tmp_path, over):
    def react(event):
        if event["event"] == "IncomingInvite":
            gateway.do("ring", event["call"])
            gateway.answer(event["call"])

    gateway.react = react
    sipp = await Sipp.caller(
        tmp_path,
        "caller_talks",
        gateway.port,
        transport=over,
        calls=20,
        rate=200,
        talk_ms=500,
    )
    await sipp.passed()
    # SIPp may have its last 200 a moment before the trunk has told the end of that call.
    async with asyncio.timeout(5):
        while (await gateway.counters())["live"]:
            pass
    ended = [event for event in gateway.seen if event["event"] == "Ended"]
    assert len({event["call"] for event in ended}) == len(ended) >= 20
