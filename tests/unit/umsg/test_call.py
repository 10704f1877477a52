# SPDX-License-Identifier: GPL-3.0-or-later
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umsg.call import (
    CallAnswered,
    CallEnded,
    CallGrowled,
    CallInput,
    CallMachine,
    CallRole,
    CallState,
    CallTried,
    CallViolation,
    EndedBy,
)
from umsg.call_table import TABLES, Action
from umsg.errors import ErrorCode, LocalError
from umsg.messages import Bang, Growl, Hangup, Leg, Ping, Talk, Try
from umsg.reasons import Reason

ID = "SxU+cQAE66+12m5j"
NOW = 50.0
MAC = bytes(32)
LEG = Leg(addr="127.0.0.1", port=146, ufrag="abcd", pwd="p" * 24)
BANG = Bang(
    id=ID,
    from_uri="tel:+1",
    to_uri="tel:+2;101",
    mikey=b"mikey",
    offer=("PCMA/8000", "PCMU/8000"),
    dtmf=101,
    leg=LEG,
)
TRY = Try(id=ID, leg=LEG)
GROWL = Growl(id=ID)
TALK = Talk(id=ID, codec="PCMA/8000", dtmf=101, mac=MAC)
HANGUP = Hangup(id=ID, reason=Reason.BUSY, text="engaged")


def caller(state: CallState = CallState.CREATE) -> CallMachine:
    call = CallMachine.caller(
        id=ID, from_uri="tel:+1", to_uri="tel:+2;101", offer=BANG.offer, dtmf=101, now=NOW
    )
    if state is not CallState.CREATE:
        call.bang(b"mikey", NOW)
    if state in (CallState.GROWL, CallState.TALK):
        call.receive(TRY, NOW)
        call.receive(GROWL, NOW)
    if state is CallState.TALK:
        call.receive(TALK, NOW)
        call.proved(NOW)
    if state is CallState.HANGUP:
        call.hang_up(Reason.NORMAL, NOW)
    return forget(call)


def callee(state: CallState = CallState.BANG) -> CallMachine:
    if state is CallState.CREATE:
        fields = {"id": ID, "from_uri": "tel:+1", "to_uri": "tel:+2;101"}
        return CallMachine(CallRole.CALLEE, **fields, offer=BANG.offer, dtmf=101, now=NOW)
    call = CallMachine.callee(BANG, NOW)
    if state in (CallState.GROWL, CallState.TALK):
        call.growl(NOW)
    if state is CallState.TALK:
        call.talk(NOW, codec="PCMA/8000", dtmf=101, mac=MAC)
    if state is CallState.HANGUP:
        call.hang_up(Reason.NORMAL, NOW)
    return forget(call)


def forget(call: CallMachine) -> CallMachine:
    events(call)
    call.messages_to_send()
    return call


def events(call: CallMachine) -> list:
    found = []
    while (event := call.next_event()) is not None:
        found.append(event)
    return found


MAKE = {CallRole.CALLER: caller, CallRole.CALLEE: callee}
APPLY = {
    CallInput.BANG_IN: lambda call: call.receive(BANG, NOW),
    CallInput.TRY_IN: lambda call: call.receive(TRY, NOW),
    CallInput.GROWL_IN: lambda call: call.receive(GROWL, NOW),
    CallInput.TALK_IN: lambda call: call.receive(TALK, NOW),
    CallInput.HANGUP_IN: lambda call: call.receive(HANGUP, NOW),
    CallInput.BANG_OUT: lambda call: call.bang(b"mikey", NOW),
    CallInput.GROWL_OUT: lambda call: call.growl(NOW),
    CallInput.TALK_OUT: lambda call: call.talk(NOW, codec="PCMA/8000", dtmf=101, mac=MAC),
    CallInput.HANGUP_OUT: lambda call: call.hang_up(Reason.NORMAL, NOW),
    CallInput.REFUSED: lambda call: call.refused(ErrorCode.FORBIDDEN, "no", NOW),
    CallInput.DROPPED: lambda call: call.dropped(NOW),
}
PAIRS = list(itertools.product(CallRole, CallState, CallInput))


@pytest.mark.parametrize(("role", "state", "input_"), PAIRS, ids=lambda v: v.name)
def test_every_pair_of_the_table(role, state, input_):
    call = MAKE[role](state)
    assert call.state is state
    entry = TABLES[role].get((state, input_))
    if input_ is CallInput.TIMEOUT:
        # Only a state that has a timer can time out, and each such pair is in the table.
        assert (call.next_deadline() is not None) == (entry is not None)
        call.handle_timer(NOW + 1000)
    elif input_ is CallInput.PROVED:
        if entry is not None and state is not CallState.HANGUP:
            call.receive(TALK, NOW)
            events(call)
        call.proved(NOW)
    else:
        APPLY[input_](call)
    found, sent = events(call), call.messages_to_send()
    if entry is None:
        assert call.state is state
        assert sent == []
        if input_ is not CallInput.TIMEOUT:
            assert found == [CallViolation(state, input_)]
            assert call.violations == 1
        return
    expected, action = entry
    assert call.state is expected
    assert call.violations == 0
    if action in (Action.IGNORE, Action.DUPLICATE):
        assert (found, sent) == ([], [])
    ends = [e for e in found if isinstance(e, CallEnded)]
    assert len(ends) == (expected is CallState.HANGUP and state is not CallState.HANGUP)
    if call.state in (CallState.TALK, CallState.HANGUP):
        assert call.next_deadline() is None


def test_every_action_is_in_a_table():
    assert {action for table in TABLES.values() for _, action in table.values()} == set(Action)


def test_a_call_from_both_ends():
    one = caller()
    one.bang(b"mikey", NOW)
    (bang,) = one.messages_to_send()
    assert bang.leg is None
    one.receive(TRY, NOW)
    assert events(one) == [CallTried(LEG)]
    other = CallMachine.callee(BANG, NOW)
    other.growl(NOW)
    other.talk(NOW, codec="PCMU/8000", dtmf=96, mac=MAC)
    for message in other.messages_to_send():
        one.receive(message, NOW)
    assert events(one) == [CallGrowled(None, None, None), CallAnswered("PCMU/8000", 96, MAC)]
    assert one.state is CallState.GROWL
    one.proved(NOW)
    assert one.state is other.state is CallState.TALK
    one.hang_up(Reason.NORMAL, NOW, "bye")
    (hangup,) = one.messages_to_send()
    other.receive(hangup, NOW)
    assert events(other) == [CallEnded(Reason.NORMAL, "bye", EndedBy.PEER)]
    assert events(one) == [CallEnded(Reason.NORMAL, "bye", EndedBy.US)]
    assert other.messages_to_send() == []


def test_a_wrong_mac_never_reaches_talk():
    call = caller(CallState.GROWL)
    call.receive(TALK, NOW)
    call.hang_up(Reason.CRYPTO, NOW)
    assert call.messages_to_send() == [Hangup(id=ID, reason=Reason.CRYPTO)]
    call.proved(NOW)
    assert call.state is CallState.HANGUP


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Talk(id=ID, codec="PCMA/8000"), Reason.CRYPTO),
        (Growl(id=ID, codec="PCMA/8000"), Reason.CRYPTO),
        (Talk(id=ID, codec="opus/48000", mac=MAC), Reason.ERROR),
        (Growl(id=ID, codec="opus/48000", mac=MAC), Reason.ERROR),
    ],
)
def test_an_answer_that_cannot_be_right_ends_the_call(message, reason):
    call = caller(CallState.BANG)
    call.receive(message, NOW)
    assert call.state is CallState.HANGUP
    assert call.messages_to_send() == [Hangup(id=ID, reason=reason)]
    assert events(call) == [CallEnded(reason, None, EndedBy.US)]
    assert call.next_deadline() is None


def test_early_media_may_follow_a_bare_growl():
    call = caller(CallState.GROWL)
    early = Growl(id=ID, codec="PCMA/8000", dtmf=101, mac=MAC)
    call.receive(early, NOW)
    call.receive(early, NOW)
    assert events(call) == [CallGrowled("PCMA/8000", 101, MAC)]
    assert call.state is CallState.GROWL


def run_until_end(call: CallMachine) -> tuple[float, CallEnded]:
    due = call.next_deadline()
    call.handle_timer(due - 0.001)
    assert events(call) == []
    call.handle_timer(due)
    (ended,) = events(call)
    assert call.messages_to_send() == [Hangup(id=ID, reason=ended.reason)]
    return due - NOW, ended


def test_no_try_in_10_seconds():
    expected = CallEnded(Reason.UNREACHABLE, None, EndedBy.TIMER)
    assert run_until_end(caller(CallState.BANG)) == (10, expected)


def test_neither_growl_nor_talk_40_seconds_after_try():
    call = caller(CallState.BANG)
    call.receive(TRY, NOW)
    events(call)
    expected = CallEnded(Reason.UNREACHABLE, None, EndedBy.TIMER)
    assert run_until_end(call) == (40, expected)
    assert run_until_end(callee(CallState.BANG)) == (40, expected)


def test_no_talk_120_seconds_after_the_first_growl():
    expected = CallEnded(Reason.NO_ANSWER, None, EndedBy.TIMER)
    call = caller(CallState.GROWL)
    call.receive(Growl(id=ID, codec="PCMA/8000", mac=MAC), NOW + 100)
    events(call)
    assert run_until_end(call) == (120, expected)
    other = callee(CallState.GROWL)
    other.growl(NOW + 100)
    other.messages_to_send()
    assert run_until_end(other) == (120, expected)


def test_a_talk_is_awaited_until_it_is_proved():
    call = caller(CallState.GROWL)
    call.receive(TALK, NOW + 1)
    events(call)
    assert call.next_deadline() == NOW + 120
    call.proved(NOW + 2)
    assert call.next_deadline() is None


@pytest.mark.parametrize("role", CallRole)
@pytest.mark.parametrize("state", [CallState.BANG, CallState.GROWL, CallState.TALK])
def test_after_a_resume_both_ends_repeat_themselves_and_nothing_changes(role, state):
    one, other = caller(state), callee(state)
    repeated = MAKE[role](state)
    repeated.resume()
    target = other if role is CallRole.CALLER else one
    if role is CallRole.CALLER:
        (bang,) = repeated.messages_to_send()
        assert bang.mikey == BANG.mikey
        target.receive(BANG, NOW)  # as the server hands it on, with the leg
    else:
        for message in repeated.messages_to_send():
            target.receive(message, NOW)
    assert events(target) == []
    assert target.state is state
    assert target.violations == 0


def test_a_second_message_that_differs_is_a_violation_not_a_duplicate():
    call = caller(CallState.TALK)
    call.receive(Talk(id=ID, codec="PCMU/8000", mac=MAC), NOW)
    assert events(call) == [CallViolation(CallState.TALK, CallInput.TALK_IN)]
    assert call.answer == TALK
    call.receive(Try(id=ID, leg=Leg(addr="::1", port=1, ufrag="wxyz", pwd="q" * 24)), NOW)
    assert events(call) == [CallViolation(CallState.TALK, CallInput.TRY_IN)]
    assert call.leg == LEG


def test_a_try_that_was_lost_may_come_after_growl_and_talk():
    call = caller(CallState.BANG)
    call.receive(TALK, NOW)
    call.proved(NOW)
    call.receive(TRY, NOW)
    assert events(call)[-1] == CallTried(LEG)
    assert call.state is CallState.TALK


def test_an_ended_call_does_not_resume():
    call = caller(CallState.HANGUP)
    call.resume()
    assert call.messages_to_send() == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (ErrorCode.NOT_FOUND, Reason.NOT_FOUND),
        (ErrorCode.OVERLOAD, Reason.OVERLOAD),
        (ErrorCode.FORBIDDEN, Reason.ERROR),
    ],
)
def test_an_error_from_the_server_ends_the_call_without_hangup(code, reason):
    call = caller(CallState.BANG)
    call.refused(code, "no", NOW)
    assert events(call) == [CallEnded(reason, "no", EndedBy.SERVER)]
    assert call.messages_to_send() == []


def test_unsupported_does_not_end_a_call():
    call = caller(CallState.TALK)
    call.refused(ErrorCode.UNSUPPORTED, "no", NOW)
    assert call.state is CallState.TALK


def test_nothing_is_sent_for_a_call_that_was_never_begun():
    call = caller()
    call.hang_up(Reason.NORMAL, NOW)
    assert call.messages_to_send() == []
    assert call.state is CallState.HANGUP


def test_misuse_raises_local_errors():
    with pytest.raises(LocalError):
        caller().receive(Ping(n=1), NOW)
    with pytest.raises(LocalError):
        caller().receive(Growl(id="A" * 16), NOW)
    with pytest.raises(LocalError):
        callee().talk(NOW, codec="opus/48000", dtmf=None, mac=MAC)


@settings(max_examples=200)
@given(st.sampled_from(CallRole), st.lists(st.sampled_from(sorted(APPLY, key=str)), max_size=12))
def test_any_sequence_ends_a_call_once_at_most(role, inputs):
    call = MAKE[role](CallState.CREATE)
    for input_ in inputs:
        APPLY[input_](call)
    found = events(call)
    assert sum(isinstance(e, CallEnded) for e in found) == (call.state is CallState.HANGUP)
    assert sum(isinstance(m, Hangup) for m in call.messages_to_send()) <= 1
    assert sum(isinstance(e, CallViolation) for e in found) == call.violations
