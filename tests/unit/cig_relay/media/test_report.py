# SPDX-License-Identifier: GPL-3.0-or-later
"""What the RTCP of both sides says about a call with known losses and delays."""

from __future__ import annotations

import itertools

import pytest

from cig_common.control.media import Direction
from cig_relay.media import rtcp
from cig_relay.media.bridge import Channel
from cig_relay.media.rtcp import ReceiverReport, ReportBlock, SenderReport
from unit.cig_relay.media.peers import (
    CRS,
    PBX_RTCP,
    PBX_SSRC,
    PHONE_SSRC,
    TEL_SSRC,
    UTC_OFFSET,
    Lab,
    session,
)

NTP_EPOCH = 2_208_988_800


def talk(lab: Lab, packets: int) -> list:
    """Both sides talk; every tenth packet of the PBX is lost. Gives what the phone got."""
    heard = []
    for n in range(packets):
        lab.to_sip(lab.phone.audio())
        packet = lab.pbx.audio()
        if n % 10 != 5:
            heard.append(lab.to_tel(packet))
        lab.now += 0.02
    return heard


def reports(lab: Lab, sent, channel: Channel):
    return [rtcp.parse_compound(data) for data in lab.clear_rtcp(sent, channel)]


@pytest.mark.parametrize("channel", [Channel.TEL, Channel.SIP_RTCP])
def test_intervals(channel):
    lab = Lab().start()
    times = []
    for _ in range(2000):
        fresh = [d for d in lab.advance(0.1, 0.1) if d.channel is channel and d.data[0] >= 4]
        times += [lab.now] * len(fresh)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert min(gaps) >= 2.4 and max(gaps) <= 7.7
    assert 4 < sum(gaps) / len(gaps) < 6
    assert times[0] - 1000 <= 3.8


def test_sender_reports_are_true():
    lab = Lab().start()
    heard = talk(lab, 100)
    sent = lab.advance(8)
    (sr, sdes), *_ = reports(lab, sent, Channel.TEL)
    assert isinstance(sr, SenderReport)
    assert (sr.ssrc, sr.packets, sr.octets) == (TEL_SSRC, 90, 90 * 160)
    assert sdes.ssrc == TEL_SSRC and len(sdes.cname) == 16
    # The two clocks of the report name one instant.
    wall = sr.ntp / 2**32 - NTP_EPOCH - UTC_OFFSET
    last = heard[-1]
    expected = last.timestamp + (wall - (lab.now - 8 - 0.02)) * 8000
    assert abs(((sr.rtp - int(expected)) + 2**31) % 2**32 - 2**31) < 200
    (block,) = sr.blocks
    assert (block.ssrc, block.lost, block.fraction_lost, block.jitter) == (PHONE_SSRC, 0, 0, 0)
    (sr, other), *_ = reports(lab, sent, Channel.SIP_RTCP)
    (block,) = sr.blocks
    assert sr.packets == 100
    assert (block.ssrc, block.lost, block.fraction_lost) == (PBX_SSRC, 10, 10 * 256 // 100)
    assert block.highest == (65500 + 99)
    assert other.cname != sdes.cname
    assert all(d.remote == PBX_RTCP for d in sent if d.channel is Channel.SIP_RTCP)
    assert lab.bridge.statistics(lab.now).sip.lost == 10


def test_who_sends_nothing_gives_receiver_reports():
    lab = Lab().start(direction=Direction.RECVONLY)
    talk(lab, 10)
    first, *_ = reports(lab, lab.advance(8), Channel.SIP_RTCP)
    assert isinstance(first[0], ReceiverReport)
    # The phone's side goes quiet as well: after two intervals it is no sender any more.
    later = reports(lab, lab.advance(30), Channel.TEL)
    assert isinstance(later[0][0], SenderReport)
    assert isinstance(later[-1][0], ReceiverReport)
    assert later[-1][0].blocks == ()


def test_a_side_on_hold_goes_on_reporting():
    lab = Lab().start()
    talk(lab, 10)
    lab.bridge.set_sip_media(session(direction=Direction.INACTIVE), lab.now)
    sent = lab.advance(60)
    assert len(lab.clear_rtcp(sent, Channel.TEL)) > 5
    assert len([d for d in sent if d.channel is Channel.SIP_RTCP]) > 5


@pytest.mark.parametrize("channel", [Channel.TEL, Channel.SIP_RTCP])
def test_round_trip_and_delay_since_the_last_sender_report(channel):
    lab = Lab().start()
    talk(lab, 20)
    (ours, *_), *_ = reports(lab, lab.advance(8, 0.01), channel)
    assert isinstance(ours, SenderReport)
    sent_at = ours.ntp / 2**32 - NTP_EPOCH - UTC_OFFSET
    lab.now += 1
    # The peer answers 0.5 s after it got our report; the rest is the way there and back.
    their = PHONE_SSRC if channel is Channel.TEL else PBX_SSRC
    last_sr = (ours.ntp >> 16) & 0xFFFFFFFF
    block = ReportBlock(ours.ssrc, 0, 0, 0, 0, last_sr, 0x8000)
    sr = SenderReport(their, 0x1111_2222_3333_4444, 0, 1, 1, (block,))
    wire = rtcp.encode_compound((sr, rtcp.SourceDescription(their, "them")))
    if channel is Channel.TEL:
        assert lab.bridge.tel_packet(lab.phone_tx.protect_rtcp(wire), CRS, lab.now) is None
        leg = lab.bridge.statistics(lab.now).tel
    else:
        lab.bridge.sip_report(wire, PBX_RTCP, lab.now)
        leg = lab.bridge.statistics(lab.now).sip
    assert leg.round_trip_ms == pytest.approx((lab.now - sent_at - 0.5) * 1000, abs=1)
    got_at = lab.now
    talk(lab, 1)
    sent = lab.advance(10, 0.01)
    report = reports(lab, sent, channel)[0][0]
    (block,) = report.blocks
    assert block.last_sr == 0x2222_3333
    assert 0 < block.delay / 65536 <= lab.now - got_at


def test_foreign_or_absurd_reports_change_nothing():
    lab = Lab().start()
    talk(lab, 5)
    ssrc = lab.bridge.sip.output.ssrc
    for block in (
        ReportBlock(ssrc ^ 1, 0, 0, 0, 0, 1, 0),
        ReportBlock(ssrc, 0, 0, 0, 0, 0, 0),
        ReportBlock(ssrc, 255, -5, 0, 0xFFFFFFFF, 0x7000_0000, 0),
    ):
        wire = ReceiverReport(PBX_SSRC, (block,)).encode()
        lab.bridge.sip_report(wire, PBX_RTCP, lab.now)
        lab.bridge.sip_report(wire, ("198.51.100.9", 30001), lab.now)
    lab.bridge.sip_report(b"\x80", PBX_RTCP, lab.now)
    leg = lab.bridge.statistics(lab.now).sip
    assert leg.rejected == 4
    assert leg.round_trip_ms is None or leg.round_trip_ms < 60_000


def test_goodbye_on_both_sides():
    lab = Lab().start()
    talk(lab, 5)
    lab.bridge.close(lab.now)
    sent = lab.bridge.take_output()
    for channel, ssrc in ((Channel.TEL, TEL_SSRC), (Channel.SIP_RTCP, lab.bridge.sip.output.ssrc)):
        ((report, sdes, bye),) = reports(lab, sent, channel)
        assert report.ssrc == sdes.ssrc == ssrc
        assert bye == rtcp.Goodbye((ssrc,))
    assert lab.bridge.next_deadline() is None
    lab.bridge.close(lab.now)
    assert lab.bridge.take_output() == []


def test_a_call_that_never_began_says_no_goodbye():
    lab = Lab()
    lab.bridge.close(lab.now)
    assert lab.bridge.take_output() == []
