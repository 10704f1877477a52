# SPDX-License-Identifier: GPL-3.0-or-later
"""A call of 44 minutes in a few seconds, with the real libsrtp on both sides."""

from __future__ import annotations

from cig_relay.media import codec
from unit.cig_relay.media.peers import PBX, Lab, Talker, session


def test_a_long_call_crosses_the_roll_over_twice_with_everything_that_happens_in_one():
    lab = Lab().start(codec=codec.PCMA)
    lab.phone.payload_type = lab.pbx.payload_type = 8
    lab.phone.payload = lab.pbx.payload = bytes(8)
    expected: dict[str, int | None] = {"sip": None, "tel": None}
    switches = {30_000: 0x51, 70_000: 0x52, 131_000: 0x53}
    for n in range(2 * 65536 + 500):
        if n in switches:
            lab.pbx = Talker(switches[n], 8, sequence=n & 0xFFFF, payload=bytes(8))
        if n == 65_600:
            moved = session(codec=codec.PCMA, rtp=("198.51.100.2", 31000))
            lab.bridge.set_sip_media(moved, lab.now)
        source = PBX if n < 65_600 else ("198.51.100.2", 31000)
        for side, packet in (
            ("sip", lab.to_sip(lab.phone.audio())),
            ("tel", lab.to_tel(lab.pbx.audio(), source)),
        ):
            assert packet is not None
            assert expected[side] in (None, packet.sequence)
            expected[side] = (packet.sequence + 1) & 0xFFFF
        lab.now += 0.02
    for leg in lab.bridge.statistics(lab.now).legs:
        assert leg.packets_sent == 2 * 65536 + 500
        assert (leg.lost, leg.auth_failed, leg.replayed, leg.rejected) == (0, 0, 0, 0)
