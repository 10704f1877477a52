# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of a connection: names, order, limits, and when they are forgotten."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from cig_common.control.messages import Done
from cig_common.control.record import Record
from cig_common.control.texts import (
    CloseTextRequest,
    OpenTextReply,
    SealTextReply,
    TextDataReply,
    TextDataRequest,
)
from cig_common.errors import CigError, ControlError
from cig_relay.control.session import Session
from cig_relay.control.text_session import MAX_TEXTS, TextSession, UnknownTextError
from umsg.texts import MAX_PART, MAX_SEALED
from unit.cig_relay.control.harness import Peer, Rig, lab_keys, relay
from unit.cig_relay.control.text_peer import CONTENT, made, opened, seal_request, sealed, taken
from unit.cig_relay.keys.lab import ALICE, NOW, user

UNKNOWN = ("unknown-call", "unknown-text")


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with relay(tmp_path, keys=lab_keys()) as running:
        yield running


@pytest_asyncio.fixture
async def peer(rig: Rig) -> AsyncIterator[Peer]:
    connected = await rig.peer()
    yield connected
    await connected.close()


def _session(rig: Rig) -> Session:
    (session,) = rig.server._sessions
    return session


def _piece(name: str, data: bytes = b"piece", *, last: bool = False) -> TextDataRequest:
    return TextDataRequest(name, data, last)


async def test_many_texts_at_once_do_not_mix(rig: Rig, peer: Peer) -> None:
    for number in range(8):
        await peer.expect(SealTextReply, seal_request(f"s{number}", last=False))
    assert len(_session(rig).texts) == 8
    text = made(b"in between")
    assert await opened(peer, text, 3) == b"in between"
    tails = {}
    for number in range(8):
        reply = await peer.expect(TextDataReply, _piece(f"s{number}", last=True))
        tails[number] = reply.data
    assert len(set(tails.values())) == 8
    assert not len(_session(rig).texts)


async def test_a_text_is_over_with_its_last_piece(rig: Rig, peer: Peer) -> None:
    await peer.expect(SealTextReply, seal_request())
    await peer.expect(OpenTextReply, made().request())
    for name in ("s1", "t1", "never"):
        assert await peer.refused(_piece(name)) == UNKNOWN
    assert not len(_session(rig).texts)
    await peer.expect(SealTextReply, seal_request())


async def test_a_name_is_used_once(peer: Peer) -> None:
    await peer.expect(SealTextReply, seal_request(last=False))
    assert await peer.refused(seal_request()) == ("protocol", "control")
    assert await peer.refused(made().request("s1")) == ("protocol", "control")
    assert await peer.refused(seal_request("")) == ("protocol", "control")
    assert await peer.refused(seal_request("s" * 129)) == ("protocol", "control")
    await peer.expect(TextDataReply, _piece("s1"))


async def test_a_text_that_is_given_up_is_forgotten(rig: Rig, peer: Peer) -> None:
    await peer.expect(SealTextReply, seal_request(last=False))
    for _ in range(2):
        await peer.expect(Done, CloseTextRequest("s1"))
    assert await peer.refused(_piece("s1")) == UNKNOWN
    assert not len(_session(rig).texts)


async def test_there_is_room_for_so_many(rig: Rig, peer: Peer) -> None:
    for number in range(MAX_TEXTS):
        await peer.expect(SealTextReply, seal_request(f"s{number}", last=False))
    assert await peer.refused(seal_request("more")) == ("overload", "overload")
    await peer.expect(Done, CloseTextRequest("s0"))
    await peer.expect(SealTextReply, seal_request("more", last=False))
    assert len(_session(rig).texts) == MAX_TEXTS


async def test_a_piece_has_its_limit_and_so_has_a_text(rig: Rig, peer: Peer) -> None:
    large = bytes(MAX_PART + 1)
    assert await peer.refused(seal_request(data=large)) == ("protocol", "control")
    await peer.expect(SealTextReply, seal_request(last=False))
    assert await peer.refused(_piece("s1", large)) == ("protocol", "control")
    assert await peer.refused(_piece("s1")) == UNKNOWN
    whole = bytes(MAX_PART)
    await peer.expect(SealTextReply, seal_request(data=whole, last=False))
    for _ in range(MAX_SEALED // MAX_PART - 2):
        await peer.expect(TextDataReply, _piece("s1", whole))
    assert await peer.refused(_piece("s1", whole, last=True)) == ("protocol", "control")
    assert not len(_session(rig).texts)


async def test_the_largest_text_passes_both_ways(peer: Peer) -> None:
    content = bytes(MAX_SEALED - 16)
    envelope, octets = await sealed(peer, content, MAX_PART)
    assert len(octets) == MAX_SEALED
    assert taken(envelope, octets, keys=user(ALICE), now=NOW) == content
    assert await opened(peer, made(content), MAX_PART) == content


async def test_an_altered_piece_ends_its_own_text_only(rig: Rig, peer: Peer) -> None:
    text = made(b"a longer text than one piece")
    await peer.expect(SealTextReply, seal_request(last=False))
    await peer.expect(OpenTextReply, text.request(data=text.sealed[:8]))
    await peer.expect(TextDataReply, _piece("t1", b"x" + text.sealed[9:-1]))
    last = _piece("t1", text.sealed[-1:], last=True)
    assert await peer.refused(last) == ("crypto", "content")
    assert await peer.refused(last) == UNKNOWN
    await peer.expect(TextDataReply, _piece("s1", last=True))
    assert rig.service.counters["texts_opened"] == 0


async def test_the_end_of_the_connection_ends_its_texts(rig: Rig, peer: Peer) -> None:
    await peer.expect(SealTextReply, seal_request(last=False))
    session = _session(rig)
    assert len(session.texts) == 1
    await peer.close()
    other = await rig.peer()
    async with asyncio.timeout(5):
        while len(session.texts):
            await asyncio.sleep(0)
    assert await other.refused(_piece("s1")) == UNKNOWN
    await other.close()


@pytest_asyncio.fixture
async def texts(rig: Rig) -> AsyncIterator[TextSession]:
    session = TextSession(rig.service.texts, Counter())
    yield session
    session.close()


async def _ask(texts: TextSession, request: Record) -> Record:
    return await texts.handlers[type(request)](request)


async def test_an_idle_text_is_forgotten(rig: Rig) -> None:
    counters = Counter[str]()
    texts = TextSession(rig.service.texts, counters, idle_seconds=0.05)
    await _ask(texts, seal_request(last=False))
    async with asyncio.timeout(5):
        while len(texts):
            await asyncio.sleep(0.01)
    with pytest.raises(UnknownTextError):
        await _ask(texts, _piece("s1"))
    assert counters["texts_idle"] == 1


async def test_a_text_that_is_closed_while_it_begins_does_not_begin(texts: TextSession) -> None:
    for request in (seal_request("one"), made().request("one")):
        beginning = asyncio.ensure_future(_ask(texts, replace(request, last=False)))
        await asyncio.sleep(0)
        with pytest.raises(ControlError):
            await _ask(texts, _piece("one"))
        await _ask(texts, CloseTextRequest("one"))
        with pytest.raises(UnknownTextError):
            await beginning
        assert not len(texts)


async def test_a_name_that_is_taken_anew_while_its_first_text_begins(texts: TextSession) -> None:
    first = asyncio.ensure_future(_ask(texts, seal_request("one", last=False)))
    await asyncio.sleep(0)
    await _ask(texts, CloseTextRequest("one"))
    second = asyncio.ensure_future(_ask(texts, seal_request("one", last=False)))
    with pytest.raises(UnknownTextError):
        await first
    assert isinstance(await second, SealTextReply)
    assert isinstance(await _ask(texts, _piece("one", last=True)), TextDataReply)


async def test_a_beginning_that_is_cancelled_leaves_nothing(texts: TextSession) -> None:
    beginning = asyncio.ensure_future(_ask(texts, seal_request(last=False)))
    await asyncio.sleep(0)
    assert len(texts) == 1
    beginning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await beginning
    assert not len(texts)


async def test_no_error_tells_of_the_content(texts: TextSession) -> None:
    requests = (
        seal_request(data=CONTENT * 1000),
        seal_request(from_uri=ALICE),
        replace(made().request(), data=CONTENT),
    )
    for request in requests:
        with pytest.raises(CigError) as caught:
            await _ask(texts, request)
        assert "morning" not in f"{caught.value} {caught.value!r}"
    assert "morning" not in repr(requests[0])
    assert "morning" not in repr(_piece("s1", CONTENT))
