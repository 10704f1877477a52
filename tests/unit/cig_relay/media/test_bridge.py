# SPDX-License-Identifier: GPL-3.0-or-later
"""One call's core between a phone and a PBX in memory; sequence numbers start near their wrap."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cig_common.control.media import Direction
from cig_relay.media import codec
from cig_relay.media.bridge import DEAD_AFTER, LEARNING, MAX_SSRCS, MediaLost, TelBound
from cig_relay.media.telephone_event import TelephoneEvent
from unit.cig_relay.media.peers import (
    CRS,
    PBX,
    PBX_RTCP,
    PWD,
    RX_KEYS,
    TEL_SSRC,
    TX_KEYS,
    UFRAG,
    Lab,
    Talker,
    keys,
    numbers,
    sender,
    session,
    stun_answer,
)


def test_both_ways_with_transcoding():
    lab = Lab().start()
    to_sip, to_tel = [], []
    for _ in range(200):
        to_sip.append(lab.to_sip(lab.phone.audio()))
        to_tel.append(lab.to_tel(lab.pbx.audio()))
        lab.now += 0.02
    a2u = codec.transcoding_table(codec.PCMA, codec.PCMU)
    u2a = codec.transcoding_table(codec.PCMU, codec.PCMA)
    assert {p.payload for p in to_sip} == {lab.phone.payload.translate(a2u)}
    assert {p.payload for p in to_tel} == {lab.pbx.payload.translate(u2a)}
    assert {p.payload_type for p in to_sip} == {0}
    assert {p.payload_type for p in to_tel} == {8}
    assert numbers(to_sip) == numbers(to_tel) == [(n, 160 * n) for n in range(200)]
    assert {p.ssrc for p in to_tel} == {TEL_SSRC}
    assert [p.marker for p in to_sip] == [True] + [False] * 199
    statistics = lab.bridge.statistics(lab.now)
    assert statistics.seconds == pytest.approx(4.0)
    for leg in statistics.legs:
        assert (leg.packets_received, leg.packets_sent) == (200, 200)
        assert (leg.octets_received, leg.octets_sent) == (32000, 32000)
        assert (leg.lost, leg.rejected, leg.auth_failed, leg.replayed) == (0, 0, 0, 0)
        assert leg.jitter_ms < 0.01
    assert statistics.tel.remote == "192.0.2.1:146"
    assert statistics.sip.codec == "PCMU/8000"


def test_same_law_passes_untouched():
    lab = Lab().start(codec=codec.PCMA)
    assert lab.to_sip(lab.phone.audio()).payload == lab.phone.payload


def test_header_extension_csrc_and_padding_are_left_behind():
    lab = Lab().start(codec=codec.PCMA)
    plain = lab.phone.audio()
    out = lab.to_sip(dataclasses.replace(plain, csrc=(1, 2), extension=(0xBEDE, b"abcd")))
    assert (out.payload, out.csrc, out.extension) == (plain.payload, (), None)


def test_loss_and_reordering_stay_visible():
    lab = Lab().start()
    packets = [lab.pbx.audio() for _ in range(10)]
    order = [0, 1, 2, 5, 4, 6, 9, 8]
    out = [lab.to_tel(packets[i]) for i in order]
    assert [n for n, _ in numbers(out)] == order
    assert [t for _, t in numbers(out)] == [160 * i for i in order]
    assert lab.to_tel(packets[8]) is None
    statistics = lab.bridge.statistics(lab.now).sip
    assert statistics.lost == 1  # two are missing, one came twice
    assert lab.bridge.drops() == {"sip_late_or_duplicate": 1}


def test_a_new_source_goes_on_where_the_old_one_was():
    lab = Lab().start()
    first = [lab.to_tel(lab.pbx.audio()) for _ in range(3)]
    lab.now += 1.5
    music = Talker(0x777, 0, sequence=12, timestamp=99, event_type=97)
    second = [lab.to_tel(music.audio()) for _ in range(2)]
    assert numbers(first + second) == [
        (0, 0),
        (1, 160),
        (2, 320),
        (3, 320 + 12000),
        (4, 480 + 12000),
    ]
    assert [p.marker for p in second] == [True, False]
    # A packet of the music before its first one has no place: the number is taken.
    assert lab.to_tel(Talker(0x777, 0, 11, 0).audio()) is None
    lab.now += 0.02
    back = lab.to_tel(lab.pbx.audio())
    assert (back.sequence - second[-1].sequence) & 0xFFFF == 1
    assert back.marker


def test_a_source_that_restarts_its_sequence_is_believed_at_the_second_packet():
    lab = Lab().start()
    first = [lab.to_tel(lab.pbx.audio()) for _ in range(2)]
    lab.pbx.sequence = 20000
    lab.now += 0.02
    assert lab.to_tel(lab.pbx.audio()) is None
    later = lab.to_tel(lab.pbx.audio())
    assert (later.sequence - first[-1].sequence) & 0xFFFF == 1
    assert lab.bridge.drops() == {"sip_stray": 1}


def test_a_clock_that_stood_still_is_made_up_for():
    lab = Lab().start()
    first = lab.to_tel(lab.pbx.audio())
    lab.now += 30
    later = lab.to_tel(lab.pbx.audio())  # the source's own timestamp moved 20 ms
    assert numbers([first, later]) == [(0, 0), (1, 240000)]
    assert later.marker


@pytest.mark.parametrize("keeps_sending", [True, False])
def test_hold_and_resume(keeps_sending):
    lab = Lab().start()
    before = lab.to_tel(lab.pbx.audio())
    heard = lab.to_sip(lab.phone.audio())
    lab.bridge.set_sip_media(session(direction=Direction.INACTIVE), lab.now)
    for _ in range(500):
        lab.now += 0.02
        assert lab.to_sip(lab.phone.audio()) is None
        if keeps_sending:
            assert lab.to_tel(lab.pbx.audio()) is None
    lab.bridge.set_sip_media(session(), lab.now)
    lab.now += 0.02
    after = lab.to_tel(lab.pbx.audio())
    assert numbers([before, after]) == [(0, 0), (1, 501 * 160)]
    assert after.marker
    again = lab.to_sip(lab.phone.audio())
    assert numbers([heard, again]) == [(0, 0), (1, 501 * 160)]
    assert lab.bridge.statistics(lab.now).tel.lost == 0


@pytest.mark.parametrize(
    ("direction", "sends", "receives"),
    [
        (Direction.SENDRECV, True, True),
        (Direction.SENDONLY, True, False),
        (Direction.RECVONLY, False, True),
        (Direction.INACTIVE, False, False),
    ],
)
def test_directions(direction, sends, receives):
    lab = Lab().start(direction=direction)
    assert (lab.to_sip(lab.phone.audio()) is not None) == sends
    assert (lab.to_tel(lab.pbx.audio()) is not None) == receives


def test_the_old_form_of_hold_sends_nowhere():
    lab = Lab().start(rtp=("0.0.0.0", 30000))
    assert lab.to_sip(lab.phone.audio()) is None
    assert lab.bridge.sip.remote is None


def test_what_was_not_negotiated_is_dropped_and_counted():
    lab = Lab().start()
    assert lab.to_tel(lab.pbx.audio(payload_type=18)) is None
    assert lab.bridge.sip.source is None
    assert lab.to_tel(lab.pbx.audio()) is not None
    for strange in (
        lab.pbx.audio(payload_type=8),
        lab.pbx.audio(payload_type=13),
        lab.pbx.audio(payload=b""),
        lab.pbx.event(TelephoneEvent(16, False, 0, 0).encode()),
        lab.pbx.event(b"\x01"),
    ):
        assert lab.to_tel(strange) is None
    assert lab.bridge.drops() == {
        "sip_payload_type": 2,
        "sip_comfort_noise": 1,
        "sip_empty": 1,
        "sip_event_unknown": 2,
    }


def test_nothing_flows_before_both_sides_are_known():
    lab = Lab()
    assert lab.to_sip(lab.phone.audio()) is None
    assert lab.to_tel(lab.pbx.audio()) is None
    lab.bridge.set_sip_media(session(), lab.now)
    lab.bridge.set_tel_media(codec.PCMA, 100, lab.now)
    assert lab.to_tel(lab.pbx.audio()) is None  # the CRS has not answered yet
    assert lab.bridge.drops() == {"sip_closed": 1}


# --- who is believed ----------------------------------------------------------------------------


def test_tel_takes_authentic_packets_from_the_leg_alone():
    lab = Lab().start()
    wire = lab.phone_tx.protect(lab.phone.audio().encode())
    assert lab.raw_to_sip(wire, ("192.0.2.1", 147)) is None
    assert lab.raw_to_sip(wire, ("192.0.2.66", 146)) is None
    assert lab.raw_to_sip(wire) is not None
    assert lab.raw_to_sip(wire) is None
    forged = sender(keys(99)).protect(lab.phone.audio().encode())
    assert lab.raw_to_sip(forged) is None
    leg = lab.bridge.statistics(lab.now).tel
    assert (leg.rejected, leg.replayed, leg.auth_failed) == (2, 1, 1)
    assert leg.packets_received == 1


def test_own_packets_sent_back_are_refused():
    lab = Lab().start()
    out = lab.bridge.sip_packet(lab.pbx.audio().encode(), PBX, lab.now)
    assert lab.raw_to_sip(out) is None
    assert lab.bridge.tel.auth_failed == 1


def test_sip_takes_packets_from_the_negotiated_source_alone():
    lab = Lab().start()
    assert lab.to_tel(lab.pbx.audio()) is not None
    assert lab.to_tel(lab.pbx.audio(), ("198.51.100.2", 30002)) is None
    assert lab.to_tel(lab.pbx.audio(), ("198.51.100.3", 30000)) is None
    assert lab.bridge.sip.rejected == 2
    assert lab.bridge.sip.remote == PBX


def test_a_port_behind_a_nat_is_learnt_once():
    lab = Lab().start()
    real = ("198.51.100.2", 61234)
    assert lab.to_tel(lab.pbx.audio(), ("198.51.100.3", 61234)) is None
    assert lab.to_tel(lab.pbx.audio(payload_type=18), real) is None
    assert lab.to_tel(lab.pbx.audio(), real) is not None
    assert lab.bridge.sip.remote == real
    assert lab.to_tel(lab.pbx.audio()) is None
    # A re-INVITE with the same address keeps it; another address is learnt anew.
    lab.bridge.set_sip_media(session(direction=Direction.SENDONLY), lab.now)
    assert lab.bridge.sip.remote == real
    lab.bridge.set_sip_media(session(rtp=("198.51.100.2", 30010)), lab.now)
    assert lab.to_tel(lab.pbx.audio(), real) is not None


def test_learning_ends_with_its_window():
    lab = Lab().start()
    lab.now += LEARNING + 0.1
    assert lab.to_tel(lab.pbx.audio(), ("198.51.100.2", 61234)) is None
    assert lab.to_tel(lab.pbx.audio()) is not None


def test_authentic_ssrcs_are_bounded():
    lab = Lab().start()
    for n in range(MAX_SSRCS + 5):
        lab.to_sip(Talker(n + 1, 8).audio())
    leg = lab.bridge.statistics(lab.now).tel
    assert (leg.packets_received, leg.rejected) == (MAX_SSRCS, 5)


garbage = st.binary(max_size=1500)
rtp_like = st.builds(
    lambda a, b, rest: bytes((0x80 | a, b)) + rest,
    st.integers(0, 63),
    st.integers(0, 255),
    st.binary(max_size=60),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(garbage | rtp_like | garbage.map(lambda b: b"\x01\x01" + b), max_size=8))
def test_garbage_changes_nothing_on_the_tel_side(datagrams):
    lab = Lab().start()
    first = lab.to_sip(lab.phone.audio())
    for data in datagrams:
        assert lab.bridge.tel_packet(data, CRS, lab.now) is None
    second = lab.to_sip(lab.phone.audio())
    assert numbers([first, second]) == [(0, 0), (1, 160)]
    leg = lab.bridge.statistics(lab.now).tel
    assert leg.rejected + leg.auth_failed + leg.replayed == len(datagrams)


@settings(max_examples=150, deadline=None)
@given(st.lists(garbage | rtp_like, max_size=8))
def test_garbage_ends_nothing_on_the_sip_side(datagrams):
    lab = Lab().start()
    for data in datagrams:
        lab.bridge.sip_packet(data, PBX, lab.now)
        lab.bridge.sip_report(data, PBX_RTCP, lab.now)
    assert lab.to_tel(Talker(0x999, 0, event_type=97).audio()) is not None


def test_every_flipped_bit_is_refused_and_changes_nothing():
    lab = Lab().start()
    lab.to_sip(lab.phone.audio())
    wire = lab.phone_tx.protect(lab.phone.audio(payload=b"speech").encode())
    for bit in range(len(wire) * 8):
        flipped = bytearray(wire)
        flipped[bit // 8] ^= 1 << bit % 8
        assert lab.raw_to_sip(bytes(flipped)) is None
    assert lab.raw_to_sip(wire) is not None
    assert lab.bridge.statistics(lab.now).tel.packets_received == 2


# --- binding and dead media ---------------------------------------------------------------------


def test_bound_by_an_authentic_answer_alone():
    lab = Lab()
    lab.bridge.set_tel_leg(CRS, UFRAG, PWD, lab.now)
    lab.bridge.handle_timer(lab.now)
    (request,) = lab.bridge.take_output()
    lab.bridge.tel_packet(stun_answer(request.data, "a wrong password 0123456"), CRS, lab.now)
    lab.bridge.tel_packet(stun_answer(request.data), ("192.0.2.9", 146), lab.now)
    assert lab.bridge.take_events() == []
    lab.bridge.tel_packet(stun_answer(request.data), CRS, lab.now)
    assert lab.bridge.take_events() == [TelBound()]
    lab.bridge.tel_packet(stun_answer(request.data), CRS, lab.now)
    assert lab.bridge.take_events() == []
    assert lab.bridge.tel.rejected == 3


def test_the_same_leg_told_twice_stays_bound_and_another_binds_anew():
    lab = Lab().start()
    lab.bridge.take_events()
    lab.bridge.set_tel_leg(CRS, UFRAG, PWD, lab.now)
    assert lab.to_tel(lab.pbx.audio()) is not None
    lab.bridge.set_tel_leg(("192.0.2.5", 146), UFRAG, PWD, lab.now)
    assert lab.to_tel(lab.pbx.audio()) is None
    (request,) = lab.advance(0.5)
    assert request.remote == ("192.0.2.5", 146)
    lab.bridge.tel_packet(stun_answer(request.data), request.remote, lab.now)
    assert lab.bridge.take_events() == [TelBound()]
    assert lab.to_tel(lab.pbx.audio()) is not None


def test_dead_media_is_told_once():
    lab = Lab().start()
    lab.advance(DEAD_AFTER - 1)
    lab.to_sip(lab.phone.audio())
    lab.advance(DEAD_AFTER - 1)
    assert not any(isinstance(event, MediaLost) for event in lab.events)
    lab.advance(DEAD_AFTER)
    lost = [event for event in lab.events if isinstance(event, MediaLost)]
    assert [event.side for event in lost] == ["tel"]
    assert lost[0].seconds == pytest.approx(DEAD_AFTER, abs=1)


def test_srtcp_alone_keeps_a_held_call_alive():
    lab = Lab().start()
    report = b"\x80\xc9\x00\x01" + lab.phone.ssrc.to_bytes(4, "big")
    for _ in range(40):
        lab.advance(5)
        lab.bridge.tel_packet(lab.phone_tx.protect_rtcp(report), CRS, lab.now)
    # What is not authentic is no sign of life.
    lab.events.clear()
    forger = sender(keys(9))
    for _ in range(40):
        forger.protect_rtcp(report)  # past the indices that count as replayed
    for _ in range(20):
        lab.advance(5)
        lab.bridge.tel_packet(forger.protect_rtcp(report), CRS, lab.now)
    assert [type(event) for event in lab.events] == [MediaLost]
    assert lab.bridge.tel.auth_failed == 20


def test_statistics_never_show_a_key():
    lab = Lab().start()
    text = repr(lab.bridge.statistics(lab.now)) + repr(TX_KEYS) + repr(RX_KEYS)
    assert RX_KEYS.master_key.reveal().hex() not in text
