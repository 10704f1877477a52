# SPDX-License-Identifier: GPL-3.0-or-later
"""Every wire format: what is encoded is read back, and no octets raise anything unforeseen."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_relay.media import rtcp
from cig_relay.media.rtp import RtpError, RtpPacket, payload_bounds
from cig_relay.media.telephone_event import TelephoneEvent, TelephoneEventError

u8, u16, u32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
u7 = st.integers(0, 127)
words = st.binary(max_size=10).map(lambda b: b * 4)

packets = st.builds(
    RtpPacket,
    u7,
    u16,
    u32,
    u32,
    st.binary(max_size=200),
    st.booleans(),
    st.lists(u32, max_size=15).map(tuple),
    st.none() | st.tuples(u16, words),
)
blocks = st.lists(
    st.builds(rtcp.ReportBlock, u32, u8, st.integers(-(2**23), 2**23 - 1), u32, u32, u32, u32),
    max_size=31,
).map(tuple)
reports = st.one_of(
    st.builds(rtcp.SenderReport, u32, st.integers(0, 2**64 - 1), u32, u32, u32, blocks),
    st.builds(rtcp.ReceiverReport, u32, blocks),
    st.builds(rtcp.SourceDescription, u32, st.text(max_size=60).filter(lambda s: "\x00" not in s)),
    st.builds(rtcp.Goodbye, st.lists(u32, max_size=31).map(tuple)),
)


@given(packets)
def test_rtp_round_trip(packet):
    assert RtpPacket.parse(packet.encode()) == packet


@given(packets, st.integers(1, 255))
def test_rtp_padding_is_cut_off(packet, padding):
    wire = bytearray(packet.encode() + bytes(padding - 1) + bytes((padding,)))
    wire[0] |= 0x20
    assert RtpPacket.parse(bytes(wire)) == packet


@given(st.binary(max_size=64) | st.binary(max_size=64).map(lambda b: b"\xbf" + b))
def test_rtp_of_any_octets(data):
    with contextlib.suppress(RtpError):
        RtpPacket.parse(data)
    with contextlib.suppress(RtpError):
        start, end = payload_bounds(data)
        assert 12 <= start <= end <= len(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80" * 11,
        b"\x40" + bytes(11),
        b"\x81" + bytes(11),
        b"\x90" + bytes(11),
        b"\x90" + bytes(14) + b"\x01",
        b"\xa0" + bytes(11),
        b"\xa0" + bytes(11) + b"\x02",
    ],
)
def test_rtp_refuses(data):
    with pytest.raises(RtpError):
        payload_bounds(data)


@given(st.builds(TelephoneEvent, u8, st.booleans(), st.integers(0, 63), u16))
def test_telephone_event_round_trip(event):
    assert TelephoneEvent.parse(event.encode()) == event


@given(st.binary(max_size=8))
def test_telephone_event_of_any_octets(data):
    try:
        event = TelephoneEvent.parse(data)
    except TelephoneEventError:
        assert len(data) < 4
    else:
        # All but the reserved bit comes back.
        assert event.encode() == bytes((data[0], data[1] & 0xBF)) + data[2:4]


@given(st.lists(reports, min_size=1, max_size=5))
def test_rtcp_round_trip(compound):
    wire = rtcp.encode_compound(compound)
    assert len(wire) % 4 == 0
    if len(wire) < 8:
        with pytest.raises(rtcp.RtcpError):
            rtcp.parse_compound(wire)
    else:
        assert rtcp.parse_compound(wire) == tuple(compound)


@given(st.binary(max_size=120), st.integers(192, 223))
def test_rtcp_of_any_octets(data, kind):
    for wire in (data, b"\x9f" + bytes((kind,)) + data, b"\x81\xca" + data):
        with contextlib.suppress(rtcp.RtcpError):
            rtcp.parse_compound(wire)


@given(st.lists(reports, min_size=1, max_size=3), st.data())
def test_rtcp_cut_anywhere_keeps_what_is_whole(compound, data):
    wire = rtcp.encode_compound(compound)
    cut = wire[: data.draw(st.integers(0, len(wire)))]
    with contextlib.suppress(rtcp.RtcpError):
        read = rtcp.parse_compound(cut)
        assert read == tuple(compound)[: len(read)]


def test_rtcp_steps_over_what_it_does_not_know():
    app = b"\x80\xcc\x00\x02" + bytes(8)
    report = rtcp.ReceiverReport(5)
    assert rtcp.parse_compound(app + report.encode()) == (report,)


def test_loss_is_held_to_24_bits():
    for lost, read in ((1 << 30, 0x7FFFFF), (-(1 << 30), -0x800000)):
        block = rtcp.ReportBlock(1, 0, lost, 0, 0, 0, 0)
        assert rtcp.ReportBlock.parse(block.encode()).lost == read


def test_rtcp_is_told_from_rtp():
    # RFC 5761 section 4: G.711, and dynamic types with and without the marker, are RTP.
    assert not any(rtcp.is_rtcp(octet) for octet in (0, 8, 101, 0x80 | 8, 0x80 | 101, 127, 255))
    assert all(rtcp.is_rtcp(octet) for octet in (200, 201, 202, 203, 204, 205, 206, 207))
