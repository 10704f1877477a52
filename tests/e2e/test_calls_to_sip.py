# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls from the secure phone to SIP: SIPp is the PBX that is called, over UDP and over TCP."""

from __future__ import annotations

import pytest

from e2e.media import check_both_ways, check_echo, check_heard_by_secure, path_open, rtp_peer
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


@pytest.fixture
def port() -> int:
    """The PBX's port."""
    return new_pbx_port()


async def pbx(tmp_path, scenario, port, over, **how):
    return await Sipp.callee(tmp_path, scenario, port=port, transport=over, **how)


@OVER
async def test_an_answered_call_that_the_secure_phone_ends(tmp_path, port, over):
    async with gateway(pbx=pbx_address(port, over)) as lab:
        sipp = await pbx(
            tmp_path,
            "callee_answers",
            port,
            over,
            echo=True,
            talk_ms=400,
            check=f"INVITE sip:101@{HOST}:{port}",
            check_too=f"From: .*sip:46701234567@{HOST}",
        )
        with paused(sipp.pid):
            with paused(lab.lab.relay.pid):
                call = await lab.dial("+8888w101")
                row = await lab.shows("ROUTED")
            assert row["in_from"] == SECURE_URI
            assert row["in_to"] == "tel:+8888;101"
            assert row["out_from"] == f"sip:46701234567@{HOST}"
            assert row["out_to"] == f"sip:101@{pbx_address(port, over)}"
            await lab.shows("TRY")
        await soon(call.growled)
        await lab.shows("RING")
        await soon(call.up)
        await lab.shows("ANSWER")
        await check_echo(call)
        call.hangup()
        result = await sipp.passed()
        await lab.shows("HANGUP")
        states = await lab.session_states()
        assert states == ["routing", "routed", "trying", "ringing", "talk", "hangup"]
        line = lab.session_log()[-1]
        assert line.caller_if_id == call.id
        assert f"Call-ID: {line.callee_if_id}\n" in result.messages.replace("\r", "")
        assert list(line[2:6]) == [row[name] for name in ("in_from", "in_to", "out_from", "out_to")]


@OVER
async def test_an_answered_call_that_the_pbx_ends(tmp_path, port, over):
    async with gateway(pbx=pbx_address(port, over)) as lab, rtp_peer("PCMU/8000") as peer:
        sipp = await pbx(
            tmp_path,
            "callee_hangs_up",
            port,
            over,
            talk_ms=2500,
            media_port=peer.port,
            formats="0 101",
        )
        call = await lab.dial("+8888w101")
        await soon(call.up)
        await check_both_ways(call, peer)
        ending = await soon(call.ended)
        assert Reason(ending.reason) is Reason.NORMAL
        await sipp.passed()
        states = await lab.session_states()
        assert states[:2] == ["routing", "routed"]
        assert states[-2:] == ["talk", "hangup"]


@OVER
async def test_busy(tmp_path, port, over):
    async with gateway(pbx=pbx_address(port, over)) as lab:
        sipp = await pbx(tmp_path, "callee_refuses", port, over, status=486, phrase="Busy Here")
        call = await lab.dial("+8888w101")
        assert await reason_of(call) is Reason.BUSY
        await sipp.passed()
        await lab.shows("REJECT")
        assert await lab.session_states() == ["routing", "routed", "hangup"]


@OVER
async def test_the_reasons_of_calls_that_nobody_takes(tmp_path, port, over):
    refusals = (
        (480, "Temporarily Unavailable", Reason.NO_ANSWER),
        (408, "Request Timeout", Reason.NO_ANSWER),
        (603, "Decline", Reason.DECLINED),
        (404, "Not Found", Reason.NOT_FOUND),
    )
    async with gateway(pbx=pbx_address(port, over)) as lab:
        for status, phrase, reason in refusals:
            # Each is a PBX of its own: for the gateway it was started anew.
            sipp = await pbx(
                tmp_path, "callee_rings_and_refuses", port, over, status=status, phrase=phrase
            )
            call = await lab.dial("+8888w101")
            await soon(call.growled)
            assert await reason_of(call) is reason
            await sipp.passed()
            states = await lab.session_states(call.id)
            assert states == ["routing", "routed", "ringing", "hangup"]


async def test_a_number_that_no_map_has():
    async with gateway() as lab:
        call = await lab.dial("+8888")
        assert await reason_of(call) is Reason.NOT_FOUND
        assert await lab.session_states(last="failed") == ["routing", "failed"]
        assert await lab.calls() == []


@OVER
async def test_the_secure_phone_hangs_up_while_it_rings(tmp_path, port, over):
    async with gateway(pbx=pbx_address(port, over)) as lab:
        sipp = await pbx(tmp_path, "callee_is_cancelled", port, over)
        call = await lab.dial("+8888w101")
        await soon(call.growled)
        await lab.shows("RING")
        call.hangup()
        await sipp.passed()
        await lab.shows("HANGUP")
        assert await lab.session_states() == ["routing", "routed", "ringing", "hangup"]


async def test_the_secure_phone_hangs_up_before_anybody_was_called(tmp_path, port):
    async with gateway(pbx=pbx_address(port, "u1")) as lab:
        with paused(lab.lab.relay.pid):
            call = await lab.dial("+8888w101")
            await lab.shows("ROUTED")
            call.hangup()
            await lab.shows("HANGUP")
        assert await lab.session_states() == ["routing", "routed", "hangup"]
        # The next call finds the PBX and the relay as if nothing had been.
        sipp = await pbx(tmp_path, "callee_answers", port, "u1", echo=True)
        again = await lab.dial("+8888w101")
        await soon(again.up)
        await path_open(again)
        again.hangup()
        await sipp.passed()


@OVER
async def test_the_pbx_answers_with_a_codec_that_was_not_offered(tmp_path, port, over):
    async with gateway(pbx=pbx_address(port, over)) as lab:
        sipp = await pbx(
            tmp_path,
            "callee_answers_badly",
            port,
            over,
            formats="18",
            maps="a=rtpmap:18 G729/8000",
        )
        call = await lab.dial("+8888w101")
        assert await reason_of(call) is Reason.MEDIA
        await sipp.passed()
        assert "talk" not in await lab.session_states()


async def test_the_secure_phone_offers_no_codec_that_sip_has():
    async with gateway() as lab:
        call = await lab.dial("+8888w101", offer=("opus/48000",))
        assert await reason_of(call) is Reason.MEDIA
        await lab.shows("REJECT")
        assert await lab.session_states() == ["routing", "routed", "hangup"]


@OVER
async def test_the_pbx_holds_and_resumes(tmp_path, port, over):
    async with gateway(pbx=pbx_address(port, over)) as lab, rtp_peer() as peer:
        sipp = await pbx(tmp_path, "callee_holds", port, over, media_port=peer.port, hold_ms=800)
        call = await lab.dial("+8888w101")
        await soon(call.up)
        # The PBX holds with "inactive": nothing may come to it until it resumes.
        await until("the hold and its end", peer.silences)
        assert not call.ended.done()
        await check_both_ways(call, peer)
        assert peer.silences() == 1
        call.hangup()
        await sipp.passed()
        await lab.shows("HANGUP")


@OVER
async def test_early_media_is_heard_before_the_answer(tmp_path, port, over):
    async with gateway(pbx=pbx_address(port, over)) as lab, rtp_peer() as peer:
        sipp = await pbx(
            tmp_path,
            "callee_sends_early",
            port,
            over,
            media_port=peer.port,
            early_port=peer.port,
            talk_ms=2500,
        )
        call = await lab.dial("+8888w101")
        await soon(call.growled)
        await check_heard_by_secure(call, peer)
        assert not call.up.done(), "the answer came before the announcement had ended"
        await soon(call.up)
        await check_both_ways(call, peer)
        call.hangup()
        await sipp.passed()
        states = await lab.session_states()
        assert states == ["routing", "routed", "ringing", "talk", "hangup"]


@OVER
async def test_no_pbx_is_there(port, over):
    async with gateway(pbx=pbx_address(port, over)) as lab:
        call = await lab.dial("+8888w101")
        assert await reason_of(call) is Reason.UNREACHABLE
        await lab.shows("REJECT")
        assert await lab.session_states() == ["routing", "routed", "hangup"]
