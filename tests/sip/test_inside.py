# SPDX-License-Identifier: GPL-3.0-or-later
"""Other requests inside a call of the PBX: each is answered, and the call goes on.

What neither the trunk nor the stack has a use for gets the stack's
500 "Unhandled by dialog usages".
"""

from __future__ import annotations

import pytest

from sip.sipp import HOST, Sipp

HELD = (
    f"v=0\no=pbx 1 2 IN IP4 {HOST}\ns=-\nc=IN IP4 {HOST}\nt=0 0\n"
    "m=audio 6000 RTP/AVP 8 0\na=sendonly"
)


@pytest.mark.parametrize(
    ("method", "kind", "body", "status"),
    [
        ("INFO", "application/dtmf-relay", "Signal=5\nDuration=160", 200),
        ("INFO", "text/plain", "hello", 500),
        ("MESSAGE", "text/plain", "hello", 488),
        ("OPTIONS", "text/plain", "hello", 500),
        ("NONSENSE", "text/plain", "hello", 500),
    ],
)
async def test_a_request_inside_a_call(gateway, tmp_path, method, kind, body, status):
    sipp = await Sipp.caller(
        tmp_path,
        "caller_sends_inside",
        gateway.port,
        method=method,
        type=kind,
        body=body,
        status=status,
    )
    gateway.answer((await gateway.expect("IncomingInvite"))["call"])
    await gateway.expect("Ended", status=0, by="peer")
    await sipp.passed()


async def test_hold_by_update(gateway, tmp_path):
    sipp = await Sipp.caller(
        tmp_path,
        "caller_sends_inside",
        gateway.port,
        method="UPDATE",
        type="application/sdp",
        body=HELD,
        status=200,
        check="a=recvonly",
    )
    gateway.answer((await gateway.expect("IncomingInvite"))["call"])
    changed = await gateway.expect("MediaChanged")
    assert changed["media"]["direction"] == "recvonly"
    await gateway.expect("Ended", status=0, by="peer")
    await sipp.passed()
