# SPDX-License-Identifier: GPL-3.0-or-later
import os

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from cig_lab.crs import forwarder as module
from cig_lab.crs.forwarder import Forwarder
from cig_lab.crs.stats import CrsStats
from umsg.messages import Leg

A, B, C = ("10.0.0.1", 4000), ("10.0.0.2", 5000), ("10.0.0.3", 6000)
RTP = bytes([0x80, 8]) + bytes(20)


def make() -> tuple[Forwarder, CrsStats]:
    stats = CrsStats()
    forwarder = Forwarder(stats=stats, random_bytes=os.urandom)
    forwarder.addr, forwarder.port = "127.0.0.1", 146
    return forwarder, stats


def binding(leg: Leg, *, pwd: str | None = None, transaction: bytes | None = None) -> bytes:
    request = stun.Message(
        message_method=stun.Method.BINDING,
        message_class=stun.Class.REQUEST,
        transaction_id=transaction or os.urandom(12),
        attributes={"USERNAME": leg.ufrag},
    )
    request.add_message_integrity((pwd or leg.pwd).encode())
    return bytes(request)


def test_a_binding_is_answered_with_the_mapped_address_and_integrity():
    forwarder, stats = make()
    leg, _ = forwarder.open("call")
    request = binding(leg)
    data, to = forwarder.receive(request, A)
    response = stun.parse_message(data)
    assert to == A
    assert response.message_class is stun.Class.RESPONSE
    assert response.transaction_id == stun.parse_message(request).transaction_id
    assert response.attributes["XOR-MAPPED-ADDRESS"] == A
    assert response.check_message_integrity(leg.pwd.encode())
    assert stats.stun_bound == 1


def test_packets_go_unread_between_the_two_legs_once_both_are_bound():
    forwarder, stats = make()
    one, two = forwarder.open("call")
    forwarder.receive(binding(one), A)
    assert forwarder.receive(RTP, A) is None
    forwarder.receive(binding(two), B)
    for packet in (RTP, b"\x80\xc8" + bytes(30), b"x", b"\0\1junk that is no STUN at all"):
        assert forwarder.receive(packet, A) == (packet, B)
        assert forwarder.receive(packet, B) == (packet, A)
    assert forwarder.receive(RTP, C) is None
    assert (stats.media_unbound, stats.media_unknown, stats.media_forwarded) == (1, 1, 8)


def test_two_calls_share_the_port_and_never_mix():
    forwarder, _ = make()
    one, two = forwarder.open("first")
    three, four = forwarder.open("second")
    for leg, address in ((one, A), (two, B), (three, C), (four, ("10.0.0.4", 7000))):
        forwarder.receive(binding(leg), address)
    assert forwarder.receive(RTP, C) == (RTP, ("10.0.0.4", 7000))
    assert forwarder.receive(RTP, A) == (RTP, B)


def test_a_repeated_transaction_never_moves_a_leg():
    forwarder, stats = make()
    one, two = forwarder.open("call")
    forwarder.receive(binding(two), B)
    recorded = binding(one)
    assert forwarder.receive(recorded, A) is not None
    assert forwarder.receive(recorded, C) is None
    assert forwarder.receive(RTP, B) == (RTP, A)
    assert forwarder.receive(recorded, A) is not None  # a retransmission, answered again
    assert stats.stun_refused == 1
    forwarder.receive(binding(one), C)  # a new transaction may move it
    assert forwarder.receive(RTP, B) == (RTP, C)
    assert forwarder.receive(RTP, A) is None
    assert forwarder.receive(recorded, A) is None  # and an old one does not move it back
    assert forwarder.receive(RTP, B) == (RTP, C)


def test_a_leg_that_has_seen_too_many_transactions_stays_where_it_is(monkeypatch):
    monkeypatch.setattr(module, "MAX_TRANSACTIONS", 3)
    forwarder, _ = make()
    leg, _ = forwarder.open("call")
    for _ in range(5):
        assert forwarder.receive(binding(leg), A) is not None
    assert forwarder.receive(binding(leg), B) is None


def test_an_address_serves_one_leg():
    forwarder, _ = make()
    one, two = forwarder.open("call")
    forwarder.receive(binding(one), A)
    assert forwarder.receive(binding(two), A) is None
    assert forwarder.receive(binding(two), B) is not None


def test_stun_that_is_not_right_is_not_answered():
    forwarder, stats = make()
    leg, _ = forwarder.open("call")
    unsigned = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes={"USERNAME": "x"})
    indication = stun.Message(
        stun.Method.BINDING, stun.Class.INDICATION, attributes={"USERNAME": leg.ufrag}
    )
    indication.add_message_integrity(leg.pwd.encode())
    stranger = Leg(addr="127.0.0.1", port=146, ufrag="nobody", pwd=leg.pwd)
    good = binding(leg)
    wrong = [
        binding(leg, pwd="x" * 24),
        binding(stranger),
        bytes(unsigned),
        bytes(indication),
        good[:-1],
        good[:30] + bytes([good[30] ^ 1]) + good[31:],
    ]
    for packet in wrong:
        assert forwarder.receive(packet, A) is None
    assert stats.stun_refused == len(wrong)
    assert stats.stun_bound == 0


def test_after_the_call_its_legs_are_unknown():
    forwarder, _ = make()
    one, two = forwarder.open("call")
    forwarder.receive(binding(one), A)
    forwarder.receive(binding(two), B)
    forwarder.close("call")
    forwarder.close("call")
    assert forwarder.receive(RTP, A) is None
    assert forwarder.receive(binding(one), A) is None
    three, _ = forwarder.open("next")
    assert forwarder.receive(binding(three), A) is not None


@given(st.binary(max_size=120), st.booleans())
def test_garbage_is_swallowed(data, looks_like_stun):
    forwarder, _ = make()
    leg, _ = forwarder.open("call")
    forwarder.receive(binding(leg), A)
    if looks_like_stun:
        data = b"\0\1" + len(data).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12) + data
    assert forwarder.receive(data, A) is None


@given(st.data())
def test_a_damaged_request_never_binds(data):
    forwarder, stats = make()
    leg, _ = forwarder.open("call")
    packet = bytearray(binding(leg))
    protected = len(packet) - stun.FINGERPRINT_LENGTH  # the rest is not under the integrity
    place = data.draw(st.integers(0, protected - 1))
    packet[place] ^= data.draw(st.integers(1, 255))
    answer = forwarder.receive(bytes(packet), A)
    assert answer is None
    assert stats.stun_bound == 0


@pytest.mark.parametrize("source", [("::1", 4000), ("2001:db8::1", 65535)])
def test_ipv6(source):
    forwarder, _ = make()
    leg, _ = forwarder.open("call")
    data, _ = forwarder.receive(binding(leg), source)
    assert stun.parse_message(data).attributes["XOR-MAPPED-ADDRESS"] == source
