# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls from SIP to the secure phone: SIPp is the PBX that calls, over UDP and over TCP."""

from __future__ import annotations

import asyncio

import pytest

from cig_lab.signals import make
from e2e.media import (
    check,
    check_both_ways,
    check_echo,
    check_heard_by_sip,
    path_open,
    rtp_peer,
)
from e2e.support import (
    HOST,
    SECURE_URI,
    gateway,
    new_pbx_port,
    paused,
    pbx_address,
    reason_of,
    soon,
    until,
)
from sip.sipp import Sipp
from umsg.reasons import Reason

OVER = pytest.mark.parametrize("over", ["u1", "t1"])
G729 = {"formats": "18", "maps": "a=rtpmap:18 G729/8000"}


async def calls(lab, tmp_path, scenario, over, **how):
    return await Sipp.caller(tmp_path, scenario, lab.port, transport=over, **how)


@OVER
async def test_an_answered_call_that_the_pbx_ends(tmp_path, over):
    async with gateway() as lab:
        with paused(lab.lab.relay.pid):
            sipp = await calls(lab, tmp_path, "caller_talks", over, echo=True, talk_ms=2500)
            row = await lab.shows("ROUTED")
        assert row["in_from"] == "sip:101@pbx.com"
        assert row["in_to"].startswith(f"sip:946701234567@{HOST}")
        assert row["out_from"] == "tel:+8888;101"
        assert row["out_to"] == SECURE_URI
        call = await lab.growls()
        assert call.machine.from_uri == "tel:+8888;101"
        await lab.shows("RING")
        await call.accept()
        await lab.shows("ANSWER")
        await check_echo(call)
        assert await reason_of(call) is Reason.NORMAL
        result = await sipp.passed()
        await lab.shows("HANGUP")
        states = await lab.session_states()
        assert states == ["routing", "routed", "trying", "ringing", "talk", "hangup"]
        line = lab.session_log()[-1]
        assert line.callee_if_id == call.id
        assert f"Call-ID: {line.caller_if_id}\n" in result.messages.replace("\r", "")
        assert list(line[2:6]) == [row[name] for name in ("in_from", "in_to", "out_from", "out_to")]


@OVER
async def test_an_answered_call_that_the_secure_phone_ends(tmp_path, over):
    async with gateway() as lab, rtp_peer("PCMU/8000") as peer:
        sipp = await calls(
            lab, tmp_path, "caller_is_hung_up", over, media_port=peer.port, formats="0 101"
        )
        call = await lab.growls()
        await call.accept()
        await check_both_ways(call, peer)
        call.hangup()
        await sipp.passed()
        await lab.shows("HANGUP")
        states = await lab.session_states()
        assert states[-2:] == ["talk", "hangup"]


async def test_only_the_pbx_may_call_where_the_maps_say_so(tmp_path):
    """The manual's simple example: maptel2sip, read backwards, is how the caller is shown."""
    port = new_pbx_port()
    async with gateway(pbx=pbx_address(port, "u1"), any_caller=False) as lab:
        stranger = await calls(lab, tmp_path, "caller_is_refused", "u1", status=404)
        await stranger.passed()
        sipp = await calls(lab, tmp_path, "caller_is_hung_up", "u1", domain=f"{HOST}:{port}")
        call = await lab.growls()
        assert call.machine.from_uri == "tel:+8888;101"
        await call.accept()
        await lab.shows("ANSWER")
        call.hangup()
        await sipp.passed()


@OVER
async def test_busy(tmp_path, over):
    async with gateway() as lab:
        sipp = await calls(
            lab, tmp_path, "caller_is_refused", over, status=486, check="Reason: SIP;cause=486"
        )
        call = await lab.growls()
        call.hangup(Reason.BUSY)
        await sipp.passed()
        await lab.shows("REJECT")
        assert await lab.session_states() == ["routing", "routed", "trying", "ringing", "hangup"]


@OVER
async def test_the_statuses_of_calls_that_nobody_takes(tmp_path, over):
    async with gateway() as lab:
        for reason, status in (
            (Reason.NO_ANSWER, 480),
            (Reason.DECLINED, 603),
            (Reason.NORMAL, 480),
            (Reason.MEDIA, 488),
        ):
            sipp = await calls(lab, tmp_path, "caller_is_refused", over, status=status)
            call = await lab.growls()
            call.hangup(reason)
            await sipp.passed()


@OVER
async def test_the_pbx_cancels_while_it_growls(tmp_path, over):
    async with gateway() as lab:
        sipp = await calls(lab, tmp_path, "caller_cancels", over)
        call = await lab.growls()
        assert await reason_of(call) is Reason.NORMAL
        await sipp.passed()
        await lab.shows("HANGUP")
        assert await lab.session_states() == ["routing", "routed", "trying", "ringing", "hangup"]


@OVER
async def test_a_number_that_no_map_has(tmp_path, over):
    async with gateway() as lab:
        sipp = await calls(
            lab,
            tmp_path,
            "caller_is_refused",
            over,
            user="123",
            status=404,
            check='Reason: SIP;cause=404;text="not-found: ',
        )
        await sipp.passed()
        assert await lab.session_states(last="failed") == ["routing", "failed"]
        line = lab.session_log()[-1]
        assert line.caller == "sip:101@pbx.com"
        assert line.callee == f"sip:123@{HOST}:{lab.port}"
        assert not line.routed_caller
        assert not line.routed_callee


@OVER
async def test_a_secure_number_that_nobody_has(tmp_path, over):
    async with gateway() as lab:
        sipp = await calls(
            lab,
            tmp_path,
            "caller_is_refused",
            over,
            user="946709999999",
            status=404,
            check="Reason: SIP;cause=404",
        )
        await sipp.passed()
        await lab.shows("REJECT")
        assert await lab.session_states() == ["routing", "routed", "hangup"]


@OVER
async def test_no_common_codec(tmp_path, over):
    async with gateway() as lab:
        sipp = await calls(lab, tmp_path, "caller_is_refused", over, status=488, **G729)
        await sipp.passed()
        assert (await lab.session_states(last="failed"))[-1] == "failed"
        assert lab.session_log()[-1].caller == "sip:101@pbx.com"
        assert await lab.calls() == []


@OVER
async def test_the_pbx_holds_and_resumes_twice(tmp_path, over):
    async with gateway() as lab, rtp_peer() as peer:
        sipp = await calls(
            lab,
            tmp_path,
            "caller_holds",
            over,
            media_port=peer.port,
            hold_ms=600,
            talk_ms=2500,
        )
        call = await lab.growls()
        await call.accept()
        await path_open(call)
        await until("voice at the PBX", lambda: peer.packets)
        # It begins before the first hold, which is "sendonly", and goes on in it.
        music = make("low-rise", 1.0)
        await soon(peer.play(music))
        await until("both holds and their ends", lambda: peer.silences() == 2)
        check(music, call.recorded())
        await check_both_ways(call, peer)
        assert peer.silences() == 2
        assert await reason_of(call) is Reason.NORMAL
        await sipp.passed()


@OVER
async def test_an_offer_in_the_200_answered_in_the_ack(tmp_path, over):
    async with gateway() as lab, rtp_peer("PCMU/8000") as peer:
        sipp = await calls(
            lab,
            tmp_path,
            "caller_offers_late",
            over,
            media_port=peer.port,
            formats="0 101",
            check="m=audio .* RTP/AVP 8 0 101",
            talk_ms=2500,
        )
        call = await lab.growls()
        await call.accept()
        await check_both_ways(call, peer)
        assert await reason_of(call) is Reason.NORMAL
        await sipp.passed()


@OVER
async def test_early_media_of_the_secure_phone(tmp_path, over):
    async with gateway() as lab, rtp_peer() as peer:
        sipp = await calls(
            lab,
            tmp_path,
            "caller_hears_early",
            over,
            media_port=peer.port,
            check="m=audio",
            talk_ms=2500,
        )
        call = await lab.growls()
        await lab.shows("RING")
        announce(call)
        await check_heard_by_sip(call, peer)
        await call.accept()
        await check_both_ways(call, peer)
        assert await reason_of(call) is Reason.NORMAL
        await sipp.passed()


def announce(call) -> None:
    """Growl once more, with early media as UMSG/1 has it."""
    now = asyncio.get_running_loop().time()
    codec, dtmf = "PCMA/8000", 101
    mac = call._keys.mac("growl", id=call.id, codec=codec, dtmf=dtmf)
    call.machine.growl(now, codec=codec, dtmf=dtmf, mac=mac)
    call._media(codec, call.machine.dtmf)
    call.flush()
