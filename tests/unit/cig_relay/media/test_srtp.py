# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pylibsrtp
import pytest

from cig_relay.media.rtp import RtpPacket
from cig_relay.media.srtp import Refusal, SrtpError, SrtpReceiver, SrtpSender
from unit.cig_relay.media.peers import RX_KEYS, TX_KEYS, receiver, sender


def packet(sequence: int, ssrc: int = 9) -> bytes:
    return RtpPacket(8, sequence, sequence * 160, ssrc, bytes(160)).encode()


REPORT = b"\x80\xc9\x00\x01\x00\x00\x00\x09"


def refused(call, data) -> Refusal:
    with pytest.raises(SrtpError) as caught:
        call(data)
    return caught.value.refusal


def test_both_directions_against_plain_sessions():
    ours, theirs = SrtpSender(TX_KEYS, 9), receiver(TX_KEYS)
    assert theirs.unprotect(ours.protect(packet(1))) == packet(1)
    assert theirs.unprotect_rtcp(ours.protect_rtcp(REPORT)) == REPORT
    ours, theirs = SrtpReceiver(RX_KEYS), sender(RX_KEYS)
    assert ours.unprotect(theirs.protect(packet(1))) == packet(1)
    assert ours.unprotect_rtcp(theirs.protect_rtcp(REPORT)) == REPORT


def test_replay_is_told_from_forgery():
    ours, theirs = SrtpReceiver(RX_KEYS), sender(RX_KEYS)
    old = theirs.protect(packet(1))
    wire = theirs.protect(packet(200))
    ours.unprotect(wire)
    assert refused(ours.unprotect, wire) is Refusal.REPLAYED
    assert refused(ours.unprotect, old) is Refusal.REPLAYED  # further back than the window
    fresh = theirs.protect(packet(201))
    assert refused(ours.unprotect, fresh[:-1] + bytes((fresh[-1] ^ 1,))) is Refusal.AUTH_FAILED
    assert ours.unprotect(fresh) == packet(201)


def test_srtcp_replay_forgery_and_the_e_bit():
    ours, theirs = SrtpReceiver(RX_KEYS), sender(RX_KEYS)
    wire = theirs.protect_rtcp(REPORT)
    ours.unprotect_rtcp(wire)
    assert refused(ours.unprotect_rtcp, wire) is Refusal.REPLAYED
    fresh = theirs.protect_rtcp(REPORT)
    clear = bytearray(fresh)
    clear[8] &= 0x7F
    assert refused(ours.unprotect_rtcp, bytes(clear)) is Refusal.AUTH_FAILED
    assert ours.unprotect_rtcp(fresh) == REPORT


def test_no_sequence_number_is_protected_twice():
    ours = SrtpSender(TX_KEYS, 9)
    ours.protect(packet(1))
    with pytest.raises(pylibsrtp.Error):
        ours.protect(packet(1))


def test_an_error_shows_no_packet():
    ours = SrtpReceiver(RX_KEYS)
    with pytest.raises(SrtpError) as caught:
        ours.unprotect(packet(1) + bytes(10))
    assert str(caught.value) == "SRTP refused a packet: auth-failed"
