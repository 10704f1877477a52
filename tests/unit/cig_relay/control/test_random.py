# SPDX-License-Identifier: GPL-3.0-or-later
"""What cig-server is told of the random source, and what becomes of calls where it fails."""

from __future__ import annotations

from pathlib import Path

from cig_common.control.messages import AcceptCallReply, StatusReply, StatusRequest
from cig_relay.randomness.rdrand import RdRand
from cig_relay.randomness.source import BOTH, KERNEL_ALONE, RandomSource
from unit.cig_relay.control.harness import bang, lab_keys, place, relay
from unit.cig_relay.randomness.host import HAS_RDRAND


async def test_the_status_says_where_random_octets_come_from(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig:
        status = await (await rig.peer()).expect(StatusReply, StatusRequest())
        assert status.random == (BOTH if HAS_RDRAND else KERNEL_ALONE)
        assert status.counters["random_failures"] == 0


async def test_a_source_that_fails_is_told_and_no_new_call_is_made(tmp_path: Path) -> None:
    now = 0.0
    ones = False
    sound = RandomSource(None)

    def fill(count: int) -> bytes:
        return b"\xff" * count if ones else sound.random_bytes(count)

    random = RandomSource(RdRand(fill), clock=lambda: now)
    async with relay(tmp_path, keys=lab_keys(), random=random) as rig:
        peer = await rig.peer()
        await peer.expect(AcceptCallReply, bang()[1])
        now, ones = 60.0, True
        status = await peer.expect(StatusReply, StatusRequest())
        assert status.random.startswith("FAILED: RdRand failed its health tests")
        assert status.crypto_state.startswith("there are no random octets: RdRand failed")
        assert status.counters["random_failures"] == 1
        assert await peer.refused(place(call="c2")) == ("internal", "entropy")
        assert await peer.refused(bang(call="c3")[1]) == ("internal", "entropy")
        # The call that is up goes on.
        assert rig.media.calls() == 1
