# SPDX-License-Identifier: GPL-3.0-or-later
"""Walks every pair of phase and request; and what a leg remembers of its sound."""

import itertools

import pytest

from cig_common.control.media import Direction
from cig_common.errors import CodecError
from cig_server.sif.leg import TABLE, Action, LateMediaError, Leg, Phase, Request
from cig_server.sif.offer_answer import AddressFamilyError, LocalSession, read_offer

THEIRS = LocalSession(1).offer("192.0.2.9", 6000)
HELD = THEIRS.replace("a=sendrecv", "a=sendonly")


def invited() -> Leg:
    return Leg("sip-1", Phase.INVITED, 5, offer=read_offer(THEIRS))


@pytest.mark.parametrize(("phase", "request_"), list(itertools.product(Phase, Request)))
def test_every_pair(phase, request_):
    leg = Leg("x", phase, 5, offer=read_offer(THEIRS))
    expected = TABLE.get((phase, request_))
    assert leg.command(request_) == (expected[0] if expected else None)
    assert leg.phase is (expected[1] if expected else phase)


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_can_be_ended(phase):
    ends = {Action.SEND_FINAL, Action.SEND_CANCEL, Action.SEND_BYE, Action.WAIT_FOR_ACK}
    assert TABLE[phase, Request.HANG_UP][0] in ends
    assert TABLE[phase, Request.REJECT][0] in ends


def test_without_an_offer_183_becomes_180():
    leg = Leg("sip-1", Phase.INVITED, 5)
    assert leg.command(Request.PROGRESS) is Action.SEND_180
    assert leg.phase is Phase.RINGING
    assert leg.command(Request.PROGRESS) is Action.NOTHING


def test_a_second_180_is_left_out():
    leg = invited()
    assert leg.command(Request.RING) is Action.SEND_180
    assert leg.command(Request.RING) is Action.NOTHING
    assert leg.command(Request.PROGRESS) is Action.SEND_183
    assert leg.command(Request.RING) is Action.NOTHING


def test_the_answer_is_given_once():
    leg = invited()
    leg.relay = ("192.0.2.1", 20000)
    answer = leg.initial_answer()
    assert answer is not None and "m=audio 20000 RTP/AVP 8 101" in answer
    assert leg.initial_answer() is None


def test_no_sdp_before_there_is_a_port():
    with pytest.raises(LateMediaError):
        invited().initial_answer()
    with pytest.raises(LateMediaError):
        invited().our_offer()


def test_a_change_is_told_once_and_when_it_is_settled():
    leg = invited()
    leg.relay = ("192.0.2.1", 20000)
    assert "a=recvonly" in leg.answer_to(HELD)
    media = leg.media_settled()
    assert media is not None and media.direction is Direction.RECVONLY
    assert leg.media_settled() is None
    leg.answer_to(HELD)
    assert leg.media_settled() is None


def test_answers_to_our_offer():
    leg = Leg("out", Phase.CALLING, 5, relay=("192.0.2.1", 20000))
    leg.our_offer()
    assert leg.answer_wanted
    assert leg.take_answer(None) is None and leg.answer_wanted
    media = leg.take_answer(THEIRS)
    assert media is leg.media and media is not None and not leg.answer_wanted
    assert leg.take_answer(THEIRS) is None
    assert leg.take_answer("nonsense") is None
    assert leg.codec_refused is not None and leg.codec_refused.sip_status == 400
    leg.take_answer(THEIRS.replace("RTP/AVP 8 0", "RTP/AVP 18"))
    assert isinstance(leg.codec_refused, CodecError)


def test_sound_stays_in_the_relay_s_family():
    leg = invited()
    assert leg.families == {4, 6}
    leg.relay = ("2001:db8::1", 20000)
    assert leg.families == {6}
    with pytest.raises(AddressFamilyError):
        leg.initial_answer()
    with pytest.raises(AddressFamilyError):
        leg.answer_to(THEIRS)
    assert leg.take_answer(THEIRS) is None
    assert isinstance(leg.codec_refused, AddressFamilyError)
