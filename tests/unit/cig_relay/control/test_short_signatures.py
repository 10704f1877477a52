# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures that leave out the SIGN header: refused, or by an option taken and counted."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from cig_common.control.messages import (
    AcceptCallReply,
    AcceptCallRequest,
    StatusReply,
    StatusRequest,
)
from mikey_sakke import initiator
from unit.cig_relay.control.harness import bang, lab_keys, relay
from unit.cig_relay.keys.lab import ALICE, user

HEADER = 2


def _short(call: str) -> tuple[initiator.Built, AcceptCallRequest]:
    """Make a call whose caller's signature covers two octets less than it should."""
    built, request = bang(call=call)
    prefix = built.message[: built.signed_prefix_len]
    signature = user(ALICE).signer.sign(prefix[:-HEADER])
    return built, replace(request, mikey=prefix + signature)


async def test_they_are_refused(tmp_path: Path) -> None:
    async with relay(tmp_path, keys=lab_keys()) as rig:
        peer = await rig.peer()
        assert await peer.refused(_short("c1")[1]) == ("crypto", "bad-signature")
        assert rig.service.counters["refused_bad-signature"] == 1
        assert "signatures_short" not in rig.service.status().counters
        assert not rig.media.calls()


async def test_the_option_takes_tells_and_counts_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with relay(tmp_path, keys=lab_keys(), accept_short=True) as rig:
        peer = await rig.peer()
        built, request = _short("c1")
        caplog.clear()
        reply = await peer.expect(AcceptCallReply, request)
        assert reply.signer == ALICE
        assert rig.media.seen["c1"].rx == built.keys.initiator.reveal()
        (warning,) = (r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)
        assert ALICE in warning
        assert "leaves out the SIGN header" in warning
        await peer.expect(AcceptCallReply, _short("c2")[1])
        status = await peer.expect(StatusReply, StatusRequest())
        assert status.counters["signatures_short"] == 2
        assert await peer.refused(replace(request, call="c3")) == ("crypto", "replayed")


async def test_the_option_changes_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with relay(tmp_path, keys=lab_keys(), accept_short=True) as rig:
        peer = await rig.peer()
        built, request = bang(call="c1")
        prefix = built.message[: built.signed_prefix_len]
        shorter = prefix + user(ALICE).signer.sign(prefix[: -HEADER - 1])
        for mikey in (shorter, request.mikey[:-1] + b"\0"):
            refused = await peer.refused(replace(request, mikey=mikey))
            assert refused == ("crypto", "bad-signature")
        caplog.clear()
        await peer.expect(AcceptCallReply, request)
        assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
        assert rig.service.counters["signatures_short"] == 0
