# SPDX-License-Identifier: GPL-3.0-or-later
"""Digits cross the bridge once each, in order, in both directions."""

from __future__ import annotations

import pytest

from cig_relay.media.telephone_event import TelephoneEvent
from unit.cig_relay.media.peers import Lab, numbers


def events_of(digit: int, marker: bool = True):
    """The packets of one key press: M on the first, the last one three times."""
    reports = [TelephoneEvent(digit, False, 10, 160 * n) for n in range(1, 6)]
    reports += [TelephoneEvent(digit, True, 10, 960)] * 3
    return [(event.encode(), marker and not n) for n, event in enumerate(reports)]


@pytest.mark.parametrize("way", ["to_sip", "to_tel"])
@pytest.mark.parametrize("marker", [True, False])
def test_telephone_events_once_each_in_order(way, marker):
    lab = Lab().start()
    talker = lab.phone if way == "to_sip" else lab.pbx
    send = lab.to_sip if way == "to_sip" else lab.to_tel
    seen: dict[int, list] = {}
    out = []
    for digit in (1, 5, 9, 10, 11):
        for _ in range(3):
            out.append(send(talker.audio()))
            lab.now += 0.02
        for payload, first in events_of(digit, marker):
            packet = send(talker.event(payload, first))
            assert packet.payload_type == (96 if way == "to_sip" else 100)
            assert (packet.payload, packet.marker) == (payload, first)
            seen.setdefault(packet.timestamp, []).append(packet.payload[0])
            out.append(packet)
            lab.now += 0.02
        talker.timestamp = (talker.timestamp + 160 * 8) & 0xFFFFFFFF
    assert list(seen.values()) == [[digit] * 8 for digit in (1, 5, 9, 10, 11)]
    assert [n for n, _ in numbers(out)] == list(range(len(out)))


def test_an_event_of_many_seconds_keeps_its_timestamp():
    lab = Lab().start()
    first = lab.to_tel(lab.pbx.audio())
    out = []
    for n in range(1, 300):
        lab.now += 0.02
        payload = TelephoneEvent(5, False, 10, 160 * n).encode()
        out.append(lab.to_tel(lab.pbx.event(payload, n == 1)))
    assert {(p.timestamp - first.timestamp) & 0xFFFFFFFF for p in out} == {160}
    lab.now += 0.02
    lab.pbx.timestamp = (lab.pbx.timestamp + 160 * 299) & 0xFFFFFFFF
    assert numbers([first, lab.to_tel(lab.pbx.audio())]) == [(0, 0), (300, 160 * 300)]


def test_events_that_the_other_side_does_not_want_leave_no_gap():
    lab = Lab().start(dtmf=None)
    first = lab.to_sip(lab.phone.audio())
    for payload, mark in events_of(3):
        assert lab.to_sip(lab.phone.event(payload, mark)) is None
    lab.phone.timestamp = (lab.phone.timestamp + 8 * 160) & 0xFFFFFFFF
    lab.now += 0.2
    after = lab.to_sip(lab.phone.audio())
    assert numbers([first, after]) == [(0, 0), (1, 9 * 160)]
    assert lab.bridge.drops() == {"tel_event_unwanted": 8}
