# SPDX-License-Identifier: GPL-3.0-or-later
import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cig_lab.crs.core import MAX_STRANGERS
from umsg import cbor
from umsg.call import CallInput, CallMachine, CallState, CallViolation
from umsg.errors import ErrorCode
from umsg.events import BadMessage, ErrorReceived, Resumed, SessionEnded, Welcomed
from umsg.framing import encode_frame
from umsg.messages import Bang, Growl, Hangup, Talk, Try, new_id
from umsg.reasons import Reason
from unit.cig_lab.crs.net import ALICE, BAD_SIG, BOB, EVE, Client, Net, bang, leg_of

ID, ID2 = "SxU+cQAE66+12m5j", "AAAAcQAE66+12m5j"
TALK = Talk(id=ID, codec="PCMA/8000", dtmf=101, mac=bytes(32))


def pair(net: Net) -> tuple[Client, Client]:
    alice, bob = net.connect(ALICE), net.connect(BOB)
    alice.resume()
    bob.resume()
    for client in (alice, bob):
        assert len(client.take(Resumed)) == 1
        client.events.clear()
    return alice, bob


def talking(net: Net) -> tuple[Client, Client]:
    alice, bob = pair(net)
    alice.send(bang(ID))
    bob.send(Growl(id=ID), TALK)
    alice.got()
    bob.got()
    return alice, bob


def refusals(client: Client) -> list[tuple[ErrorCode, str | None]]:
    return [(e.code, e.id) for e in client.take(ErrorReceived)]


def test_a_call_is_routed_and_gets_two_legs():
    net = Net()
    alice, bob = pair(net)
    alice.send(bang(ID, to=BOB + ";101"))
    (rung,), (tried,) = bob.got(), alice.got()
    assert rung == bang(ID, to=BOB + ";101", leg=rung.leg)
    assert isinstance(tried, Try)
    assert leg_of(rung).ufrag != leg_of(tried).ufrag
    bob.send(Growl(id=ID), TALK)
    assert alice.got() == [Growl(id=ID), TALK]
    hangup = Hangup(id=ID, reason=Reason.NORMAL, text="bye")
    alice.send(hangup)
    assert bob.got() == [hangup]
    assert net.stats.calls == 1
    assert net.stats.calls_now == 0


def test_what_is_handed_on_is_built_anew():
    net = Net()
    alice, bob = pair(net)
    values = {"t": "bang", **bang(ID).to_map(), "x-track": b"secret"}
    payload = cbor.encode(values)
    net.core.receive(alice.number, encode_frame(payload), net.now)
    raw = [o.data for o in net.core.outputs() if o.connection == bob.number]
    assert raw
    assert b"x-track" not in b"".join(raw)


def test_a_callee_that_was_never_seen_or_is_away():
    net = Net()
    alice, bob = pair(net)
    alice.send(bang(ID, to=EVE))
    assert alice.got() == [Hangup(id=ID, reason=Reason.NOT_FOUND)]
    bob.cut()
    alice.send(bang(ID))
    assert alice.got() == [Hangup(id=ID, reason=Reason.UNREACHABLE)]
    alice.send(bang(ID, to=ALICE + ";5"))
    assert alice.got() == [Hangup(id=ID, reason=Reason.UNREACHABLE)]
    assert net.stats.calls == 0


def test_what_a_caller_may_not_do():
    net = Net()
    alice, bob = pair(net)
    eve = net.connect(EVE)
    alice.send(bang(ID))
    given_leg = leg_of(bob.got()[0])
    alice.send(bang(ID2, caller=BOB))
    alice.send(bang(ID2, leg=given_leg))
    alice.send(bang(ID, dtmf=96))
    assert refusals(alice) == [
        (ErrorCode.FORBIDDEN, ID2),
        (ErrorCode.FORBIDDEN, ID2),
        (ErrorCode.FORBIDDEN, ID),
    ]
    eve.send(bang(ID, caller=EVE))
    assert refusals(eve) == [(ErrorCode.FORBIDDEN, ID)]
    assert bob.got() == []
    assert net.stats.forbidden == 4


def test_only_its_parties_speak_in_a_call():
    net = Net()
    alice, bob = pair(net)
    eve = net.connect(EVE)
    alice.send(bang(ID))
    alice.got()
    bob.got()
    for message in (Growl(id=ID), TALK, Hangup(id=ID, reason=Reason.NORMAL)):
        eve.send(message)
        assert refusals(eve) == [(ErrorCode.FORBIDDEN, ID)]
    alice.send(TALK)
    assert refusals(alice) == [(ErrorCode.FORBIDDEN, ID)]
    assert alice.got() == bob.got() == []
    assert net.stats.calls_now == 1


def test_late_messages_harm_nothing():
    net = Net()
    alice, bob = pair(net)
    alice.send(Hangup(id=ID, reason=Reason.NORMAL))
    assert alice.events == []
    bob.send(TALK)
    assert refusals(bob) == [(ErrorCode.NOT_FOUND, ID)]


def test_a_bad_message_ends_its_own_call_only():
    net = Net()
    alice, bob = talking(net)
    alice.send(bang(ID2))
    alice.got()
    bob.got()
    bad = cbor.encode({"t": "talk", "id": ID2, "codec": 5})
    eve = net.connect(EVE)
    net.core.receive(eve.number, encode_frame(bad), net.now)
    net.exchange()
    assert (alice.got(), bob.got()) == ([], [])
    net.core.receive(bob.number, encode_frame(bad), net.now)
    net.exchange()
    for client in (alice, bob):
        (hangup,) = client.got()
        assert (hangup.id, hangup.reason) == (ID2, Reason.ERROR)
    assert net.stats.bad_messages == 2
    assert net.stats.calls_now == 1


def test_a_wrong_signature_is_error_auth():
    net = Net()
    alice = net.connect(ALICE, sig=BAD_SIG)
    assert alice.take(SessionEnded) == [SessionEnded(ErrorCode.AUTH, "wrong signature", True)]
    assert net.stats.auth_refused == 1


def test_a_second_welcome_replaces_the_first_and_takes_over_its_calls():
    net = Net()
    alice, bob = talking(net)
    newer = net.connect(ALICE)
    (ended,) = alice.take(SessionEnded)
    assert (ended.code, ended.by_peer) == (ErrorCode.REPLACED, True)
    newer.resume(ID)
    (resumed,) = newer.take(Resumed)
    assert resumed == Resumed(alive=frozenset({ID}), lost=frozenset())
    net.advance(120)
    assert bob.got() == []
    newer.send(Hangup(id=ID, reason=Reason.NORMAL))
    assert len(bob.got()) == 1


def test_calls_outlive_a_broken_connection():
    net = Net()
    alice, bob = talking(net)
    alice.cut()
    net.advance(59)
    back = net.connect(ALICE)
    back.resume(ID, ID2)
    assert back.take(Resumed) == [Resumed(alive=frozenset({ID}), lost=frozenset({ID2}))]
    tried, answer = back.got()
    assert isinstance(tried, Try)
    assert answer == TALK
    net.advance(100)
    assert net.stats.calls_now == 1
    assert bob.got() == []


def test_calls_end_60_seconds_after_the_connection_broke():
    net = Net()
    alice, bob = talking(net)
    alice.cut()
    net.advance(59.9)
    assert bob.got() == []
    net.advance(0.2)
    (hangup,) = bob.got()
    assert (hangup.id, hangup.reason) == (ID, Reason.UNREACHABLE)
    assert net.stats.calls_now == 0


def test_a_call_that_is_not_named_within_5_seconds_ends():
    net = Net()
    alice, bob = talking(net)
    bob.send(bang(ID2, caller=BOB, to=ALICE))
    bob.got()
    alice.cut()
    back = net.connect(ALICE)
    net.advance(4)
    back.resume(ID)
    assert bob.got() == []
    net.advance(1.1)
    (hangup,) = bob.got()
    assert (hangup.id, hangup.reason) == (ID2, Reason.UNREACHABLE)
    assert net.stats.calls_now == 1


def test_a_hangup_that_was_missed_is_told_on_return():
    net = Net()
    alice, bob = talking(net)
    alice.cut()
    bob.send(Hangup(id=ID, reason=Reason.BUSY))
    back = net.connect(ALICE)
    assert back.got() == [Hangup(id=ID, reason=Reason.BUSY)]
    back.resume(ID)
    assert back.take(Resumed) == [Resumed(alive=frozenset(), lost=frozenset({ID}))]


def test_a_bang_sent_again_is_answered_by_its_try_and_rings_once():
    net = Net()
    alice, bob = pair(net)
    alice.send(bang(ID))
    alice.send(bang(ID))
    first, second = alice.got()
    assert first == second
    assert len(bob.got()) == 1


def machine_of(id_: str) -> CallMachine:
    return CallMachine.caller(
        id=id_, from_uri=ALICE, to_uri=BOB, offer=("PCMA/8000",), dtmf=101, now=0.0
    )


def feed(machine: CallMachine, client: Client) -> None:
    for message in client.got():
        machine.receive(message, client.net.now)


@pytest.mark.parametrize("cut_at", range(6))
@pytest.mark.parametrize("side", ["caller", "callee"])
def test_a_call_is_set_up_whenever_a_connection_breaks(cut_at, side):
    """Both call machines over the core; one connection breaks at each step in turn."""
    net = Net()
    alice, bob = pair(net)
    caller = machine_of(new_id(net.random_bytes))
    callee: CallMachine | None = None

    def interrupt() -> None:
        nonlocal alice, bob
        client, machine = (alice, caller) if side == "caller" else (bob, callee)
        client.cut()
        net.advance(3)
        back = net.connect(client.session.uri)
        held = [] if machine is None else [machine.id]
        back.resume(*held)
        (resumed,) = back.take(Resumed)
        if machine is not None and machine.id in resumed.alive:
            machine.resume()
            back.send(*machine.messages_to_send())
        if side == "caller":
            alice = back
        else:
            bob = back

    steps = 0

    def step() -> None:
        nonlocal steps
        if steps == cut_at:
            interrupt()
        steps += 1

    step()
    caller.bang(b"mikey", net.now)
    alice.send(*caller.messages_to_send())
    callee = CallMachine.callee(next(m for m in bob.got() if isinstance(m, Bang)), net.now)
    step()
    feed(caller, alice)
    step()
    callee.growl(net.now)
    bob.send(*callee.messages_to_send())
    step()
    feed(caller, alice)
    callee.talk(net.now, codec="PCMA/8000", dtmf=101, mac=bytes(32))
    bob.send(*callee.messages_to_send())
    step()
    feed(caller, alice)
    caller.proved(net.now)
    step()
    feed(caller, alice)
    feed(callee, bob)
    assert caller.state is callee.state is CallState.TALK
    assert caller.leg is not None
    assert caller.violations == callee.violations == 0
    net.advance(200)
    assert net.stats.calls_now == 1


def test_connections_that_are_not_welcomed_are_limited_by_address():
    net = Net()
    for _ in range(MAX_STRANGERS):
        assert net.core.connected("10.0.0.9", net.now) is not None
    assert net.core.connected("10.0.0.9", net.now) is None
    assert net.stats.tcp_refused == 1
    alice = net.connect(ALICE, peer="10.0.0.1")
    assert alice.take(Welcomed)
    net.advance(10)
    assert net.core.connected("10.0.0.9", net.now) is not None


def test_a_dishonest_server_is_found_out_by_the_parties():
    net = Net(
        tamper=lambda m: dataclasses.replace(m, codec="PCMU/8000") if isinstance(m, Talk) else m
    )
    alice, bob = pair(net)
    alice.send(bang(ID))
    bob.send(TALK)
    assert alice.got()[-1] == dataclasses.replace(TALK, codec="PCMU/8000")


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=60), max_size=5), st.booleans())
def test_garbage_from_one_client_leaves_the_others_alone(pieces, framed):
    net = Net()
    alice, bob = talking(net)
    eve = net.connect(EVE)
    for piece in pieces:
        net.core.receive(eve.number, encode_frame(piece or b"x") if framed else piece, net.now)
    net.exchange()
    bob.send(Hangup(id=ID, reason=Reason.NORMAL))
    assert len(alice.got()) == 1
    assert not bob.session.closed
    assert not bob.take(BadMessage)


def test_a_violation_is_an_event_of_the_machine_not_of_the_server():
    machine = machine_of(ID)
    machine.receive(TALK, 0.0)
    assert machine.next_event() == CallViolation(CallState.CREATE, CallInput.TALK_IN)
