# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import itertools
import random

from aioice import stun
from hypothesis import given, settings
from hypothesis import strategies as st

from cig_relay.media.stun import KEEPALIVE, LONGEST_TIMEOUT, SENDS, Binding
from unit.cig_relay.media.peers import PWD, UFRAG, stun_answer


def binding(now: float = 0.0) -> Binding:
    return Binding(UFRAG, PWD, random.Random(3).randbytes, now)


def test_the_request():
    request = stun.parse_message(binding().poll(0.0))
    assert request.message_method == stun.Method.BINDING
    assert request.message_class == stun.Class.REQUEST
    assert request.attributes["USERNAME"] == UFRAG
    assert request.check_message_integrity(PWD.encode())
    assert "FINGERPRINT" in request.attributes


def test_sent_with_growing_pauses_and_then_as_a_new_transaction():
    leg = binding()
    sent = []
    for tick in range(400):
        data = leg.poll(tick / 10)
        if data:
            sent.append((tick / 10, stun.parse_message(data).transaction_id))
    times = [at for at, _ in sent]
    assert times[:5] == [0, 0.5, 1.5, 3.5, 7.5]
    assert max(b - a for a, b in itertools.pairwise(times)) <= LONGEST_TIMEOUT + 0.1
    ids = [transaction for _, transaction in sent]
    assert len(set(ids[:SENDS])) == 1
    assert ids[SENDS] != ids[0]


def test_kept_alive_with_a_new_transaction_each_time():
    leg = binding()
    first = leg.poll(0.0)
    assert leg.receive(stun_answer(first), 0.1)
    assert leg.bound
    assert leg.poll(KEEPALIVE) is None
    second = leg.poll(0.1 + KEEPALIVE)
    assert stun.parse_message(second).transaction_id != stun.parse_message(first).transaction_id
    assert leg.poll(0.1 + KEEPALIVE + 0.5) == second
    assert leg.receive(stun_answer(second), 16.0)
    assert leg.next_at == 16.0 + KEEPALIVE


def test_forged_answers_change_nothing():
    leg = binding()
    request = leg.poll(0.0)
    good = stun_answer(request)
    asked = stun.parse_message(request)
    unsigned = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, asked.transaction_id)
    refusal = stun.Message(
        stun.Method.BINDING, stun.Class.ERROR, asked.transaction_id, {"ERROR-CODE": (401, "no")}
    )
    refusal.add_message_integrity(PWD.encode())
    other = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, bytes(12))
    other.add_message_integrity(PWD.encode())
    forged = [
        stun_answer(request, "x" * 24),
        bytes(unsigned),
        bytes(refusal),
        bytes(other),
        request,
        good[:-1] + bytes((good[-1] ^ 1,)),
    ]
    for data in forged:
        assert not leg.receive(data, 0.1)
    assert not leg.bound
    assert leg.refused == len(forged)
    assert leg.receive(good, 0.2)
    assert not leg.receive(good, 0.3)


@settings(deadline=None)
@given(st.binary(max_size=100), st.integers(0, 55), st.integers(0, 255))
def test_any_octets_are_refused(data, at, octet):
    leg = binding()
    good = stun_answer(leg.poll(0.0))
    spoilt = bytearray(good)
    spoilt[at] ^= octet or 1  # before FINGERPRINT, which the password does not cover
    for wire in (data, good[:20] + data, bytes(spoilt), good[:at]):
        assert not leg.receive(wire, 0.1)
    assert leg.receive(good, 0.1)
