# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole calls with a PBX on IPv6, sound included; the secure side stays on IPv4."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cig_lab import ports
from cig_lab.phone.call import SecureCall
from cig_lab.signals import make
from cig_lab.sip_phone.address import host_port
from cig_lab.sip_phone.call import SipCall
from cig_lab.sip_phone.phone import SipPhone
from e2e.media import SECONDS, TAIL_PACKETS, check, check_echo, packets_heard, path_open
from e2e.support import HOST, SECURE_NUMBER, Gateway, gateway, reason_of, soon, until
from sip.sipp import HOST6, Sipp, has_ipv6
from umsg.reasons import Reason

pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this host has no IPv6 loopback")

OVER = pytest.mark.parametrize("transport", ["UDP", "TCP"])


@asynccontextmanager
async def sip_phone(
    transport: str = "UDP", host: str = HOST6, port: int = 0
) -> AsyncIterator[SipPhone]:
    phone = await SipPhone.start(user="101", host=host, port=port, transport=transport)
    try:
        yield phone
    finally:
        await phone.stop()


def to_secure(lab: Gateway) -> str:
    return f"sip:{SECURE_NUMBER}@{host_port((HOST6, lab.port))}"


async def check_voice(secure: SecureCall, sip: SipCall) -> None:
    """Play at both ends at once and check what each of them hears."""

    def at_sip() -> int:
        return sip.media.stream.counters.received if sip.media.stream else 0

    await path_open(secure)
    await until("voice at the SIP phone", at_sip)
    there, back = make("rise", SECONDS), make("fall", SECONDS)
    await soon(asyncio.gather(secure.play(there), sip.play(back)))
    played = packets_heard(secure), at_sip()
    await until(
        "the last of the voice",
        lambda: (
            packets_heard(secure) >= played[0] + TAIL_PACKETS
            and at_sip() >= played[1] + TAIL_PACKETS
        ),
    )
    check(there, sip.recorded())
    check(back, secure.recorded())


async def answered(lab: Gateway, sip: SipCall) -> SecureCall:
    """Have the secure phone accept the SIP phone's call."""
    secure = await lab.growls()
    await soon(sip.ringing)
    await secure.accept()
    await soon(sip.up)
    return secure


@OVER
async def test_from_the_sip_phone(transport):
    async with gateway(sip_host=HOST6) as lab, sip_phone(transport) as phone:
        sip = await phone.dial(to_secure(lab), through=(HOST6, lab.port))
        secure = await answered(lab, sip)
        row = await lab.shows("ANSWER")
        assert row["in_from"] == f"sip:101@{host_port(phone.address)}"
        assert row["in_to"] == to_secure(lab)
        assert sip.media._peer[0] == HOST6
        await check_voice(secure, sip)
        reports = sip.media.reports
        assert reports is not None
        await until("the gateway's RTCP", lambda: reports.last_block)
        sip.hangup()
        assert await reason_of(secure) is Reason.NORMAL
        await lab.shows("HANGUP")


@OVER
async def test_to_the_sip_phone(transport):
    port = ports.free_port(HOST6)
    suffix = ";transport=tcp" if transport == "TCP" else ""
    pbx = host_port((HOST6, port)) + suffix
    async with sip_phone(transport, port=port) as phone, gateway(sip_host=HOST6, pbx=pbx) as lab:
        secure = await lab.dial()
        sip = await soon(phone.incoming())
        sip.ring()
        await soon(secure.growled)
        await soon(sip.accept())
        await soon(secure.up)
        row = await lab.shows("ANSWER")
        assert row["out_to"] == f"sip:101@{pbx}"
        assert sip.offer is not None and sip.offer.addr == HOST6
        await check_voice(secure, sip)
        # Hold and resume, so that addresses are exchanged anew.
        assert await soon(sip.hold()) == 200
        assert await soon(sip.resume()) == 200
        secure.hangup()
        assert (await soon(sip.ended)).by == "peer"


@pytest.mark.parametrize("over", ["u1", "t1"])
async def test_an_echo_by_sipp(tmp_path, over):
    async with gateway(sip_host=HOST6) as lab:
        sipp = await Sipp.caller(
            tmp_path,
            "caller_talks",
            lab.port,
            host=HOST6,
            transport=over,
            echo=True,
            talk_ms=2500,
            check=f"c=IN IP6 {HOST6}",
        )
        call = await lab.growls()
        await call.accept()
        await check_echo(call)
        assert await reason_of(call) is Reason.NORMAL
        await sipp.passed()


async def test_all_addresses_take_a_pbx_of_either_family():
    """Without ``bind`` the sound of each call is of its PBX's family."""
    async with gateway(sip_host=HOST6, sip_everywhere=True) as lab, sip_phone(host=HOST) as old:
        new = lab.lab.sip_phone
        for phone, family in ((new, HOST6), (old, HOST)):
            sip = await phone.dial(to_secure(lab), through=(family, lab.port))
            secure = await answered(lab, sip)
            assert (":" in sip.media._peer[0]) is (family == HOST6)
            await check_voice(secure, sip)
            sip.hangup()
            await reason_of(secure)
            await lab.idle()
        log = lab.log(lab.lab.server)
        assert f"SIP over UDP and TCP on 0.0.0.0:{lab.port} and [::]:{lab.port}" in log


async def test_a_pbx_of_the_other_family_is_out_of_reach():
    async with gateway(sip_host=HOST6, pbx=f"{HOST}:5060") as lab:
        secure = await lab.dial()
        assert await reason_of(secure) is Reason.UNREACHABLE
        await lab.idle()
        sip = await lab.lab.sip_phone.dial(to_secure(lab), through=(HOST6, lab.port))
        (await lab.growls()).hangup(Reason.BUSY)
        assert (await soon(sip.ended)).status == 486
