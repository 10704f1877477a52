# SPDX-License-Identifier: GPL-3.0-or-later
"""The trunk's own logic over a stack that exists only as a list of what it was asked for."""

from dataclasses import dataclass, field

import pytest

from cig_common.errors import CigError
from cig_server.sif.commands import Answer, Dial, HangUp, Reject, Ring, SendProgress
from cig_server.sif.events import (
    Answered,
    Dialled,
    Ended,
    IncomingInvite,
    MediaChanged,
    Progress,
    Refused,
)
from cig_server.sif.leg import Leg, Phase
from cig_server.sif.offer_answer import LocalSession
from cig_server.sif.settings import SipSettings
from cig_server.sif.trunk import GLARE, StackError, Trunk

RELAY = ("192.0.2.1", 20000)
SDP = LocalSession(1).offer("192.0.2.9", 6000)
MOVED = LocalSession(1).offer("192.0.2.9", 6100)
DIAL = Dial("out", "<sip:101@pbx.com>", "<sip:a@b>", RELAY, ())
INVITE = (
    "INVITE sip:9467@secure.com SIP/2.0\r\nFrom: <sip:101@pbx.com>;tag=1\r\nCall-ID: x\r\n"
    "Content-Type: application/sdp\r\n\r\n"
)


@dataclass(eq=False)
class Recorder:
    """A call of a stack that does nothing but note what it is asked for."""

    leg: Leg
    announced: bool = True
    heard: bool = False
    refreshing: bool = False
    done: list[tuple] = field(default_factory=list)
    broken: bool = False

    def _note(self, *what):
        if self.broken:
            raise StackError("broken")
        self.done.append(what)

    def dial(self, to_uri, from_uri, headers):
        self._note("dial", to_uri, from_uri, headers)
        return "call-id"

    def respond(self, status, sdp):
        self._note("respond", status, sdp is not None)

    def hang_up(self, status, headers):
        self._note("hang_up", status, headers)

    def send_reinvite(self):
        self._note("reinvite")


class World:
    def __init__(self, **settings):
        self.events = []
        self.made = []
        self.broken = False
        self.trunk = Trunk(
            SipSettings("192.0.2.1", **settings), self.events.append, bytes, self.make
        )

    def make(self, leg):
        self.made.append(Recorder(leg, broken=self.broken))
        return self.made[-1]

    def invite(self, body=SDP) -> Recorder:
        self.trunk.incoming(self.make, INVITE + body, "192.0.2.9:5060")
        return self.made[-1]

    def do(self, command, now=0.0):
        self.trunk.carry_out(command, now)

    def dial(self) -> Recorder:
        self.do(DIAL)
        assert self.events.pop() == Dialled("out", "call-id")
        return self.made[-1]

    def take(self):
        taken, self.events[:] = list(self.events), []
        return taken


@pytest.fixture
def world():
    return World()


def test_an_incoming_call_from_ring_to_bye(world):
    call = world.invite()
    name = call.leg.name
    (invite,) = world.take()
    assert isinstance(invite, IncomingInvite) and invite.from_uri == "sip:101@pbx.com"
    world.do(Ring(name))
    world.do(SendProgress(name, RELAY))
    world.do(Answer(name, RELAY))
    assert call.done == [("respond", 180, False), ("respond", 183, True), ("respond", 200, False)]
    world.trunk.confirmed(call, None)
    assert world.take() == []
    world.trunk.disconnected(call, 200, "OK", "BYE sip:x SIP/2.0\r\nReason: SIP;cause=200\r\n\r\n")
    assert world.take() == [Ended(name, 0, "SIP;cause=200", "peer")]
    world.trunk.turn(1.0)
    assert not world.trunk.calls and not world.trunk.ended


def test_an_end_is_told_once(world):
    call = world.dial()
    world.do(HangUp("out", ()))
    world.trunk.disconnected(call, 487, "x", None)
    world.trunk.disconnected(call, 487, "x", None)
    assert world.take() == [Ended("out", 487, "cancelled", "us")]
    world.do(HangUp("out", ()))
    assert world.trunk.counters["commands-too-late"] == 1


def test_no_response_is_unreachable(world):
    call = world.dial()
    world.trunk.turn(1.9)
    assert world.take() == []
    world.trunk.turn(2.1)
    assert world.take() == [Ended("out", 503, "no response to INVITE within 2 s", "peer")]
    assert call.done[-1] == ("hang_up", 0, ())


def test_any_response_stops_that_clock(world):
    call = world.dial()
    call.heard = True
    world.trunk.provisional(call, 100, None)
    world.trunk.turn(60.0)
    assert world.take() == [Progress("out", 100, None)]


def test_an_early_answer_and_the_final_one(world):
    call = world.dial()
    call.leg.our_offer()
    world.trunk.provisional(call, 183, SDP)
    world.trunk.provisional(call, 183, "v=0 no")
    world.trunk.connecting(call, MOVED)
    world.trunk.confirmed(call, None)
    first, second, answered = world.take()
    assert first.media.port == 6000 and second.media is None
    assert isinstance(answered, Answered) and answered.media.port == 6100


def test_an_unusable_answer_ends_the_call(world):
    call = world.dial()
    world.trunk.connecting(call, SDP.replace("RTP/AVP 8 0", "RTP/AVP 18"))
    world.trunk.confirmed(call, None)
    world.trunk.turn(0.1)
    (ended,) = world.take()
    assert (ended.status, ended.by) == (488, "us")
    assert call.done[-1] == ("hang_up", 0, ())


def test_a_bye_waits_for_the_ack(world):
    call = world.invite()
    name = call.leg.name
    world.do(Answer(name, RELAY))
    world.do(HangUp(name, (("Reason", "x"),)))
    assert world.take()[-1] == Ended(name, 0, "", "us")
    assert call.done[-1][0] == "respond"
    world.trunk.confirmed(call, None)
    world.trunk.turn(0.1)
    assert call.done[-1] == ("hang_up", 0, (("Reason", "x"),))
    world.trunk.disconnected(call, 200, "", None)
    world.trunk.turn(0.2)
    assert not world.trunk.unacknowledged and not world.trunk.ended


def test_a_late_offer_and_its_answer(world):
    call = world.invite(body="")
    name = call.leg.name
    world.do(SendProgress(name, RELAY))
    world.do(Answer(name, RELAY))
    assert call.done == [("respond", 180, False), ("respond", 200, False)]
    call.leg.our_offer()
    world.trunk.confirmed(call, SDP)
    assert isinstance(world.take()[-1], MediaChanged)


def test_a_late_offer_without_answer(world):
    call = world.invite(body="")
    world.do(Answer(call.leg.name, RELAY))
    call.leg.our_offer()
    world.trunk.confirmed(call, None)
    world.trunk.turn(0.1)
    assert world.take()[-1].status == 488


def _asked_for_an_offer(world) -> Recorder:
    call = world.invite()
    world.do(Answer(call.leg.name, RELAY))
    world.trunk.confirmed(call, None)
    world.take()
    call.leg.our_offer()
    world.trunk.media_settled(call)
    world.trunk.turn(1.0)
    assert call.done[-1] == ("reinvite",)
    return call


def test_an_answer_in_an_ack_is_asked_for_again(world):
    call = _asked_for_an_offer(world)
    call.leg.our_offer()
    world.trunk.media_settled(call)
    world.trunk.reinvite_done(call, 200, MOVED)
    world.trunk.turn(1.1)
    (changed,) = world.take()
    assert changed.media.port == 6100
    assert call.done.count(("reinvite",)) == 1


def test_a_glare_is_tried_again_later(world):
    call = _asked_for_an_offer(world)
    world.trunk.reinvite_done(call, 491, None)
    world.trunk.turn(1.0 + GLARE - 0.1)
    assert call.done.count(("reinvite",)) == 1
    world.trunk.turn(1.0 + GLARE + 0.1)
    assert call.done.count(("reinvite",)) == 2


@pytest.mark.parametrize(
    ("phase", "status", "text", "told"),
    [
        (Phase.TALKING, 200, "BYE sip:x SIP/2.0\r\n\r\n", 0),
        (Phase.TALKING, 408, None, 408),
        (Phase.TALKING, 487, None, 408),
        (Phase.ANSWERED, 408, None, 408),
        (Phase.INVITED, 487, "CANCEL sip:x SIP/2.0\r\n\r\n", 487),
        (Phase.EARLY, 487, None, 487),
        (Phase.CALLING, 486, "SIP/2.0 486 Busy\r\n\r\n", 486),
        (Phase.CALLING, 0, None, 503),
    ],
)
def test_how_the_peer_ends_calls(world, phase, status, text, told):
    call = world.invite()
    call.leg.phase = phase
    world.trunk.disconnected(call, status, "words", text)
    assert world.take()[-1].status == told


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("INVITE sip:9467@secure.com SIP/2.0\r\n\r\n", 400),
        (INVITE + SDP.replace("RTP/AVP 8 0", "RTP/AVP 18"), 488),
        (INVITE + "garbage", 400),
    ],
)
def test_invites_that_never_become_a_call(world, text, status):
    world.trunk.incoming(world.make, text, "192.0.2.9:5060")
    call = world.made[-1]
    assert world.take() == []
    world.trunk.turn(0.1)
    assert call.done == [("hang_up", status, ())]
    (refused,) = world.take()
    assert isinstance(refused, Refused) and refused.status == status
    world.trunk.disconnected(call, status, "", None)
    assert world.take() == []


def test_one_call_too_many():
    world = World(max_calls=1)
    world.invite()
    call = world.invite()
    world.trunk.turn(0.1)
    assert call.done == [("hang_up", 503, (("Retry-After", "5"),))]
    world.do(DIAL)
    assert world.take()[-1].status == 503


def test_a_stack_that_refuses_costs_one_call(world):
    world.invite()
    world.broken = True
    world.do(DIAL)
    assert world.take()[-1] == Ended("out", 503, "broken", "peer")
    call = world.invite()
    world.do(Answer(call.leg.name, RELAY))
    assert world.take()[-1].status == 500
    assert len(world.trunk.calls) == 1


def test_a_broken_callback_costs_one_call(world):
    first, second = world.invite(), world.invite()
    world.trunk.callback_failed(first, ValueError("x"))
    world.trunk.callback_failed(None, ValueError("x"))
    world.trunk.turn(0.1)
    assert first.done == [("hang_up", 500, ())] and second.done == []
    assert world.trunk.counters["callback-errors"] == 2


def test_a_fault_in_a_turn_ends_nothing(world):
    world.trunk.put_off(lambda: 1 // 0)
    world.trunk.turn(0.1)
    assert world.trunk.counters["faults"] == 1


def test_commands_out_of_turn(world):
    world.dial()
    world.do(Ring("out"))
    assert world.trunk.counters["commands-out-of-turn"] == 1
    call = world.invite()
    world.do(Reject(call.leg.name, 404, ()))
    assert call.done == [("hang_up", 404, ())]


def test_offers_inside_a_call(world):
    call = world.invite()
    assert world.trunk.check_offer(call, SDP)
    assert not world.trunk.check_offer(call, "nonsense")
    assert world.trunk.counters["offers-refused"] == 1


def test_a_stop(world):
    talking, ringing = world.invite(), world.invite()
    world.do(Answer(talking.leg.name, RELAY))
    world.trunk.confirmed(talking, None)
    world.take()
    world.trunk.stop()
    assert talking.done[-1] == ("hang_up", 0, ())
    assert ringing.done == [("hang_up", 503, ())]
    assert {event.status for event in world.take()} == {503}
    world.invite()
    world.trunk.turn(0.1)
    assert world.made[-1].done[0][:2] == ("hang_up", 503)


def test_nothing_is_kept_of_an_abandoned_trunk(world):
    unacknowledged, calling = world.invite(), world.dial()
    world.do(Answer(unacknowledged.leg.name, RELAY))
    world.do(HangUp(unacknowledged.leg.name, ()))
    world.take()
    assert world.trunk.abandon() == [calling, unacknowledged]
    world.trunk.turn(60.0)
    assert world.take() == []


def test_errors_of_the_stack_are_ours():
    assert issubclass(StackError, CigError)


@pytest.mark.parametrize("command", [Answer, SendProgress])
def test_a_call_whose_sdp_cannot_be_made_gets_a_final_response(world, command):
    call = world.invite()
    world.take()
    world.do(command(call.leg.name, ("2001:db8::1", 20000)))
    assert call.done == [("hang_up", 488, ())]
    (ended,) = world.take()
    assert (ended.status, ended.by) == (488, "us")
    assert not world.trunk.unacknowledged


def test_an_offer_of_a_family_that_is_not_bound(world):
    call = world.invite(SDP.replace("IP4 192.0.2.9", "IP6 2001:db8::9"))
    world.trunk.turn(0.0)
    assert call.done == [("hang_up", 488, ())]
    (refused,) = world.take()
    assert isinstance(refused, Refused) and refused.status == 488
