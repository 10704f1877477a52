# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts from the CRS: to mailboxes and SIP, receipted once they are safe and not before."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cig_common.clock import ManualClock
from cig_common.config import Configuration, loads
from cig_common.errors import (
    LocalError,
    NoKeysForPeerError,
    RelayUnavailableError,
)
from cig_server.texts import incoming as incoming_module
from cig_server.texts.assembly import MAX_TEXTS, STALL_SECONDS
from cig_server.texts.incoming import ENGINES, KEYS_PATIENCE, Incoming
from cig_server.texts.model import StorageError
from cig_server.texts.notices import attachments_notice
from cig_server.texts.postponed import FIRST_PAUSE
from umsg.messages import ReceiptStatus, Text
from umsg.texts import MAX_SEALED, Envelope, parts
from unit.cig_server.texts.stand_ins import (
    DOMAIN,
    GATEWAY,
    PHONE,
    SECRET,
    Crs,
    Mailboxes,
    PlainFormats,
    Relay,
    Sip,
    left_open,
    make_mailbox,
    messages,
    seal,
    sealed_text,
)

CONFIG = """
translate_map from_any {{ rule match "tel:+{{n}}" translation "{{n}}@secure"; }}
translate_map to_any {{ rule match "tel:+8888;{{e}}" translation "{{e}}@pbx"; }}
translate_map to_101 {{ rule match "tel:+8888;101" translation "one@pbx"; }}
mailboxes {{
    write {{ path "{a}"; map_from translate_map from_any; map_to translate_map to_any; }}
    write {{ path "{b}"; map_from translate_map from_any; map_to translate_map to_101; }}
}}
"""
BOTH, ONE, NONE = GATEWAY, "tel:+8888;102", "tel:+8888"


class Bench:
    """A way in, and all that is around it."""

    def __init__(self, folder: Path, sip: Sip | None) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.state.mkdir()
        self.a, self.b = make_mailbox(folder / "a"), make_mailbox(folder / "b")
        self.config: Configuration = loads(CONFIG.format(a=self.a, b=self.b))
        self.clock = ManualClock()
        self.crs, self.relay, self.sip = Crs(), Relay(), sip
        self.relay_ready = True
        self.restart()

    def restart(self) -> None:
        """Begin with nothing but what is on disk and with the CRS."""
        self.boxes = Mailboxes(self.folder)
        self.incoming = Incoming(
            config=lambda: self.config,
            crypto=self.relay,
            deliverer=self.boxes,
            formats=PlainFormats(),
            sip=self.sip,
            link=self.crs,
            relay_ready=lambda: self.relay_ready,
            clock=self.clock,
            random_bytes=secrets.token_bytes,
            folder=self.state,
        )
        self.crs.incoming = self.incoming
        if self.sip is not None:
            self.sip.on_result = self.incoming.sip_result

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.002)

    async def counted(self, name: str, count: int = 1) -> None:
        await self.until(lambda: self.incoming.counters[name] >= count)
        assert self.incoming.counters[name] == count

    async def idle(self) -> None:
        """Wait until no text is under way."""
        async with asyncio.timeout(20):
            while any(t.get_name().startswith("text-") for t in asyncio.all_tasks()):
                await asyncio.sleep(0.002)

    async def pause(self, seconds: float = FIRST_PAUSE) -> None:
        await self.idle()
        self.clock.advance(seconds)
        await self.incoming.look()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path, None)
    yield bench
    await bench.incoming.stop()
    assert left_open(bench.state) == []


@pytest.fixture
async def with_sip(tmp_path: Path) -> AsyncIterator[tuple[Bench, Sip]]:
    sip = Sip()
    bench = Bench(tmp_path, sip)
    yield bench, sip
    await bench.incoming.stop()


async def test_a_text_goes_to_all_mailboxes_that_match(bench: Bench) -> None:
    envelope, sealed = sealed_text("Hello.\n\n")
    bench.crs.send(envelope, sealed)
    [receipt] = await bench.crs.receipts_are(1)
    assert (receipt.mid, receipt.status, receipt.reason) == (envelope.mid, "delivered", None)
    assert receipt.sig.startswith(hashlib.sha256(sealed).digest())
    source = f"From: <46701234567@secure>\nX-Sender-URI: {PHONE}\nX-Sender-Domain: {DOMAIN}\n"
    rest = source + f"X-CIG-Message-ID: {envelope.mid}\n\nHello."
    assert messages(bench.a) == ["To: <101@pbx>\n" + rest]
    assert messages(bench.b) == ["To: <one@pbx>\n" + rest]
    assert bench.incoming.trouble == ""


async def test_a_text_for_one_mailbox_goes_to_that_one(bench: Bench) -> None:
    bench.crs.send(*sealed_text(to_uri=ONE))
    await bench.crs.receipts_are(1)
    assert (len(messages(bench.a)), len(messages(bench.b))) == (1, 0)


async def test_a_text_that_nobody_takes_is_refused_for_good(bench: Bench) -> None:
    envelope, sealed = sealed_text(to_uri=NONE)
    bench.crs.send(envelope, sealed)
    [receipt] = await bench.crs.receipts_are(1)
    assert (receipt.status, receipt.reason) == ("refused", "no-mailbox")
    bench.restart()
    bench.crs.send(envelope, sealed)
    assert await bench.crs.receipts_are(2) == [receipt, receipt]
    assert bench.incoming.counters["refused"] == 0


async def test_the_configuration_in_force_counts(bench: Bench) -> None:
    bench.config = dataclasses.replace(bench.config, mailboxes=bench.config.mailboxes[1:])
    bench.crs.send(*sealed_text())
    await bench.crs.receipts_are(1)
    assert (len(messages(bench.a)), len(messages(bench.b))) == (0, 1)


async def test_no_receipt_before_the_text_is_on_disk(bench: Bench) -> None:
    bench.boxes.gate.clear()
    bench.crs.send(*sealed_text())
    await bench.until(lambda: bench.relay.opened)
    await asyncio.sleep(0.05)
    assert bench.crs.receipts == []
    bench.boxes.gate.set()
    await bench.crs.receipts_are(1)


@pytest.mark.parametrize(
    "forge",
    [
        lambda envelope, sealed: (envelope, sealed[:-1] + bytes([sealed[-1] ^ 1])),
        lambda envelope, sealed: (envelope, bytes([sealed[0] ^ 128]) + sealed[1:]),
        lambda envelope, sealed: (dataclasses.replace(envelope, from_uri="tel:+4670"), sealed),
        lambda envelope, sealed: (dataclasses.replace(envelope, to_uri=ONE), sealed),
    ],
)
async def test_a_forged_text_is_refused(
    bench: Bench, forge: Callable[[Envelope, bytes], tuple[Envelope, bytes]]
) -> None:
    bench.crs.send(*forge(*sealed_text()))
    [receipt] = await bench.crs.receipts_are(1)
    assert (receipt.status, receipt.reason) == ("refused", "crypto")
    assert messages(bench.a) == messages(bench.b) == []


async def test_a_content_that_cannot_be_read_is_refused_by_its_word(bench: Bench) -> None:
    bench.crs.send(*seal(b'Content-Type: text/plain; charset="x-unheard-of"\n\nx'))
    [receipt] = await bench.crs.receipts_are(1)
    assert (receipt.status, receipt.reason) == ("refused", "charset")


FAULTS = [
    (RelayUnavailableError("cig-relay is not connected"), "relay-down"),
    (NoKeysForPeerError("no keys of 2026-10"), "no-keys"),
    (LocalError("an engine fell over"), "internal"),
    (OSError(28, "No space left on device"), "storage"),
]


@pytest.mark.parametrize(("fault", "word"), FAULTS)
async def test_what_may_pass_is_postponed_and_asked_for_once_it_is_over(
    bench: Bench, fault: Exception, word: str
) -> None:
    bench.relay.fault, bench.relay_ready, bench.boxes.probe_says = fault, False, "full"
    bench.crs.send(*sealed_text())
    await bench.counted(f"postponed-{word}")
    assert (getattr(fault, "strerror", None) or str(fault)) in bench.incoming.trouble
    if word != "internal":  # of which nothing can be seen from here
        await bench.pause()
        assert bench.crs.asked == 0
    bench.relay.fault, bench.relay_ready, bench.boxes.probe_says = None, True, ""
    assert bench.crs.identity is not None
    bench.crs.identity = dataclasses.replace(bench.crs.identity, periods=("2026-12-1",))
    await bench.pause()
    [receipt] = await bench.crs.receipts_are(1)
    assert receipt.status is ReceiptStatus.DELIVERED
    assert len(messages(bench.a)) == 1
    await bench.pause(1000)
    assert bench.crs.asked == 1
    assert bench.incoming.trouble == ""
    [facts] = await bench.incoming.facts()
    assert (facts.waiting, facts.error != "", facts.error_at is not None) == (0, True, True)


async def test_a_disk_that_is_full_receipts_nothing(bench: Bench) -> None:
    bench.boxes.fault = StorageError(str(bench.a), "no space left")
    bench.boxes.probe_says = "no space left"
    for _ in range(3):
        bench.crs.send(*sealed_text())
    await bench.counted("postponed-storage", 3)
    assert bench.incoming.trouble.endswith(f"{bench.a}: no space left")
    [facts] = await bench.incoming.facts()
    assert facts.waiting == 3
    await bench.pause()
    assert (bench.crs.asked, bench.crs.receipts) == (0, [])
    bench.boxes.fault, bench.boxes.probe_says = None, ""
    await bench.pause()
    await bench.crs.receipts_are(3)
    assert bench.crs.asked == 1


async def test_a_lack_of_keys_is_tried_again_after_an_hour_anyway(bench: Bench) -> None:
    bench.relay.fault = NoKeysForPeerError("no keys of 2026-10")
    bench.crs.send(*sealed_text())
    await bench.counted("postponed-no-keys")
    await bench.pause(KEYS_PATIENCE - 1)
    assert bench.crs.asked == 0
    await bench.pause(1)
    assert bench.crs.asked == 1


async def test_nothing_is_asked_for_while_a_text_is_under_way(bench: Bench) -> None:
    bench.relay.fault = LocalError("once")
    bench.crs.send(*sealed_text())
    await bench.counted("postponed-internal")
    bench.relay.fault = None
    bench.relay.gate.clear()
    bench.crs.send(*sealed_text())
    bench.clock.advance(FIRST_PAUSE)
    await bench.incoming.look()
    assert bench.crs.asked == 0
    bench.relay.gate.set()
    await bench.pause(0)
    assert bench.crs.asked == 1
    await bench.crs.receipts_are(2)


async def test_while_the_crs_is_away_it_is_not_asked(bench: Bench) -> None:
    bench.relay.fault = LocalError("once")
    bench.crs.send(*sealed_text())
    await bench.counted("postponed-internal")
    bench.crs.disconnect()
    await bench.pause(1000)
    assert bench.crs.asked == 0
    bench.relay.fault = None
    bench.crs.connect()
    await bench.crs.receipts_are(1)
    await bench.pause(1000)
    assert bench.crs.asked == 0


async def test_the_same_text_twice_at_once_is_delivered_once(bench: Bench) -> None:
    envelope, sealed = sealed_text(attached=secrets.token_bytes(200_000))
    bench.boxes.gate.clear()
    bench.crs.send(envelope, sealed)
    bench.crs.send(envelope, sealed)
    bench.boxes.gate.set()
    first = await bench.crs.receipts_are(1)
    await bench.idle()
    bench.crs.send(envelope, sealed)
    assert await bench.crs.receipts_are(2) == [first[0], first[0]]
    await bench.idle()
    assert (len(messages(bench.a)), len(messages(bench.b)), bench.relay.opened) == (1, 1, 1)


async def test_a_text_that_is_sent_again_after_a_restart_is_only_receipted(bench: Bench) -> None:
    envelope, sealed = sealed_text(attached=secrets.token_bytes(200_000))
    bench.crs.send(envelope, sealed)
    [receipt] = await bench.crs.receipts_are(1)
    await bench.incoming.stop()
    bench.restart()
    bench.crs.send(envelope, sealed)
    assert await bench.crs.receipts_are(2) == [receipt, receipt]
    await bench.idle()
    assert (len(messages(bench.a)), bench.relay.opened) == (1, 1)


async def test_a_receipt_that_could_not_be_signed_is_signed_later(bench: Bench) -> None:
    bench.relay.signing_fault = RelayUnavailableError("cig-relay is not connected")
    bench.crs.send(*sealed_text())
    await bench.counted("postponed-relay-down")
    assert (len(messages(bench.a)), bench.crs.receipts) == (1, [])
    bench.relay.signing_fault = None
    await bench.pause()
    await bench.crs.receipts_are(1)
    assert len(messages(bench.a)) == 1


async def test_a_receipt_that_could_not_be_sent_is_sent_with_the_text(bench: Bench) -> None:
    bench.boxes.gate.clear()
    bench.crs.send(*sealed_text())
    await bench.until(lambda: bench.relay.opened)
    bench.crs.disconnect()
    bench.boxes.gate.set()
    await bench.counted("receipts-unsent")
    assert len(messages(bench.a)) == 1
    bench.crs.connect()
    await bench.crs.receipts_are(1)
    await bench.idle()
    assert len(messages(bench.a)) == 1


async def test_a_text_that_stops_half_way_and_begins_anew(bench: Bench) -> None:
    envelope, sealed = sealed_text(attached=secrets.token_bytes(400_000))
    half = list(parts(envelope, sealed))[:14]
    for part in half:
        bench.crs.part(part)
    assert left_open(bench.state)
    bench.crs.send(envelope, sealed)
    await bench.crs.receipts_are(1)
    assert len(messages(bench.a)) == 1


async def test_a_connection_that_is_lost_takes_half_texts_with_it(bench: Bench) -> None:
    envelope, sealed = sealed_text(attached=secrets.token_bytes(400_000))
    for part in list(parts(envelope, sealed))[:14]:
        bench.crs.part(part)
    assert left_open(bench.state)
    bench.crs.disconnect()
    assert left_open(bench.state) == []
    assert bench.incoming.counters["cut-off"] == 1
    bench.crs.kept[envelope.mid] = (envelope, sealed)
    bench.crs.connect()
    await bench.crs.receipts_are(1)


async def test_a_text_that_stalls_is_given_up_and_asked_for(bench: Bench) -> None:
    envelope, sealed = sealed_text(attached=secrets.token_bytes(100_000))
    bench.crs.part(next(parts(envelope, sealed)))
    bench.crs.kept[envelope.mid] = (envelope, sealed)
    bench.clock.advance(STALL_SECONDS)
    await bench.incoming.look()
    assert bench.incoming.counters["postponed-stalled"] == 1
    await bench.pause()
    await bench.crs.receipts_are(1)


async def test_a_part_out_of_turn_ends_its_own_text_alone(bench: Bench) -> None:
    good, bad = (sealed_text(attached=secrets.token_bytes(100_000)) for _ in range(2))
    good_parts, bad_parts = list(parts(*good)), list(parts(*bad))
    bench.crs.part(good_parts[0])
    for seq in (0, 1, 3, 2):
        bench.crs.part(bad_parts[seq])
    bench.crs.part(Text(mid="Zm9yZ2VkIGZvciB5", seq=511, of=512, data=b"x"))
    for part in good_parts[1:]:
        bench.crs.part(part)
    [receipt] = await bench.crs.receipts_are(1)
    assert receipt.mid == good[0].mid
    await bench.idle()
    assert bench.incoming.counters["out-of-turn"] == 1
    assert bench.incoming.counters["parts-left"] == 2
    assert bench.incoming.trouble == ""
    bench.crs.send(*bad)
    await bench.crs.receipts_are(2)


async def test_a_text_of_16_mib(bench: Bench) -> None:
    content = b"Content-Type: text/plain\n\n" + SECRET.encode()
    envelope, sealed = seal(content.ljust(MAX_SEALED - 16, b"x"))
    assert len(sealed) == MAX_SEALED
    bench.crs.send(envelope, sealed)
    [receipt] = await bench.crs.receipts_are(1)
    assert receipt.sig.startswith(hashlib.sha256(sealed).digest())
    [message] = messages(bench.a)
    assert message.partition("\n\n")[2].encode() == content[26:].ljust(MAX_SEALED - 42, b"x")


async def test_of_very_many_texts_some_are_left_for_later(bench: Bench) -> None:
    bench.relay.gate.clear()
    for _ in range(MAX_TEXTS + 8):
        bench.crs.send(*sealed_text())
    assert bench.incoming.counters["postponed-overload"] == 8
    bench.relay.gate.set()
    await bench.crs.receipts_are(MAX_TEXTS)
    await bench.pause()
    await bench.crs.receipts_are(MAX_TEXTS + 8)
    assert len(messages(bench.a)) == MAX_TEXTS + 8


async def test_of_very_long_texts_some_are_left_for_later(bench: Bench) -> None:
    envelopes = [Envelope(secrets.token_hex(8), PHONE, BOTH, b"m" * 16) for _ in range(5)]
    for envelope in envelopes:
        bench.crs.part(next(parts(envelope, bytes(MAX_SEALED))))
    assert bench.incoming.counters["postponed-overload"] == 1
    bench.clock.advance(FIRST_PAUSE)
    await bench.incoming.look()
    assert bench.crs.asked == 0
    bench.incoming.lost()
    bench.crs.send(*sealed_text())
    await bench.crs.receipts_are(1)
    await bench.pause(0)
    assert bench.crs.asked == 1


async def test_calls_keep_the_engines(bench: Bench) -> None:
    for _ in range(40):
        bench.crs.send(*sealed_text())
    await bench.crs.receipts_are(40)
    assert bench.relay.most_at_once == ENGINES


async def test_a_state_folder_that_is_gone_loses_no_text(bench: Bench) -> None:
    envelope, sealed = sealed_text(attached=secrets.token_bytes(400_000))
    bench.state.rmdir()
    bench.crs.send(envelope, sealed)
    await bench.counted("postponed-storage")
    bench.state.mkdir()
    await bench.pause()
    await bench.crs.receipts_are(1)


async def test_the_way_in_looks_by_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming_module, "CHECK_SECONDS", 0.01)
    bench.relay.fault = LocalError("once")
    bench.crs.send(*sealed_text())
    await bench.counted("postponed-internal")
    bench.relay.fault = None
    await bench.incoming.start()
    bench.clock.advance(FIRST_PAUSE)
    await bench.crs.receipts_are(1)


async def test_stopping_lets_a_whole_text_be_settled(bench: Bench) -> None:
    bench.boxes.gate.clear()
    whole, half = sealed_text(), sealed_text(attached=bytes(100_000))
    bench.crs.send(*whole)
    bench.crs.part(next(parts(*half)))
    await bench.until(lambda: bench.relay.opened)
    stopping = asyncio.create_task(bench.incoming.stop())
    await asyncio.sleep(0)
    bench.crs.send(*sealed_text())
    bench.boxes.gate.set()
    await stopping
    [receipt] = bench.crs.receipts
    assert receipt.mid == whole[0].mid
    await bench.idle()


async def test_stopping_gives_up_what_hangs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming_module, "STOP_SECONDS", 0.01)
    bench.relay.gate.clear()
    bench.crs.send(*sealed_text())
    await bench.until(lambda: bench.relay.opened)
    await bench.incoming.stop()
    await bench.idle()
    assert bench.crs.receipts == []


# --- nothing of a content in a log ------------------------------------------------------------


async def test_no_log_line_holds_any_content(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bench.crs.send(*sealed_text())
    bench.crs.send(*sealed_text(to_uri=NONE))
    bench.crs.send(*seal(b'Content-Type: text/plain; charset="x-unheard-of"\n\n' + b"SWORDFISH"))
    bench.crs.send(*seal(b"X-Bug: SWORDFISH\n\nSWORDFISH"))
    envelope, sealed = sealed_text()
    bench.crs.send(envelope, sealed[:-1])
    await bench.crs.receipts_are(4)
    await bench.counted("postponed-internal")
    assert "RuntimeError at" in caplog.text
    assert "no mailbox takes it" in caplog.text
    records = caplog.text + "".join(str(record.__dict__) for record in caplog.records)
    assert SECRET not in records + repr(await bench.incoming.facts())


# --- SIP --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ok", "reason", "status"),
    [(True, "", "delivered"), (False, "486 Busy\nHere", "refused")],
)
async def test_a_text_that_sip_alone_takes_waits_for_its_answer(
    with_sip: tuple[Bench, Sip], ok: bool, reason: str, status: str
) -> None:
    bench, sip = with_sip
    envelope, sealed = sealed_text(to_uri=NONE, attached=b"png")
    bench.crs.send(envelope, sealed)
    await bench.until(lambda: sip.sent)
    await bench.idle()
    bench.crs.send(envelope, sealed)
    await bench.idle()
    assert (bench.crs.receipts, bench.relay.opened) == ([], 1)
    [(key, content)] = sip.sent
    assert len(content.attachments) == 1
    sip.answer(key, ok, reason)
    [receipt] = await bench.crs.receipts_are(1)
    assert (receipt.status, receipt.reason) == (status, reason.replace("\n", " ") or None)
    bench.crs.send(envelope, sealed)
    assert await bench.crs.receipts_are(2) == [receipt, receipt]


@pytest.mark.parametrize("answered_before", [True, False])
async def test_sip_s_answer_outlives_a_restart(
    with_sip: tuple[Bench, Sip], answered_before: bool
) -> None:
    bench, sip = with_sip
    envelope, sealed = sealed_text(to_uri=NONE)
    bench.crs.send(envelope, sealed)
    await bench.until(lambda: sip.sent)
    await bench.incoming.stop()
    bench.restart()
    if answered_before:
        sip.answer(sip.sent[0][0], True)
        await bench.counted("sip-results-left")
    bench.crs.connect()
    await bench.until(lambda: bench.relay.opened == 2)
    if not answered_before:
        await bench.idle()
        sip.answer(sip.sent[0][0], True)
    [receipt] = await bench.crs.receipts_are(1)
    assert receipt.status is ReceiptStatus.DELIVERED
    assert len(sip.sent) == 1


async def test_a_text_for_a_mailbox_and_sip_is_delivered_at_once(
    with_sip: tuple[Bench, Sip],
) -> None:
    bench, sip = with_sip
    bench.crs.send(*sealed_text(attached=b"png"))
    [receipt] = await bench.crs.receipts_are(1)
    assert receipt.status is ReceiptStatus.DELIVERED
    [(key, content)] = sip.sent
    assert content.attachments == ()  # the mailbox has them: nobody is told that they are missing
    sip.answer(key, False, "404")
    await bench.counted("sip-results-left")
    assert len(bench.crs.receipts) == 1


async def test_a_text_without_any_route_is_refused(with_sip: tuple[Bench, Sip]) -> None:
    bench, sip = with_sip
    sip.takes = False
    bench.crs.send(*sealed_text(to_uri=NONE))
    [receipt] = await bench.crs.receipts_are(1)
    assert receipt.reason == "no-mailbox"


async def test_sip_s_answer_waits_for_the_disk(with_sip: tuple[Bench, Sip]) -> None:
    bench, sip = with_sip
    bench.crs.send(*sealed_text(to_uri=NONE))
    await bench.until(lambda: sip.sent)
    await bench.idle()
    bench.boxes.fault = StorageError("/x", "full")
    sip.answer(sip.sent[0][0], True)
    await bench.counted("postponed-storage")
    bench.boxes.fault = None
    await bench.pause()
    await bench.crs.receipts_are(1)
    assert len(sip.sent) == 1


# --- notices ----------------------------------------------------------------------------------


async def notice(bench: Bench, to_uri: str) -> bool:
    now = datetime.fromtimestamp(bench.clock.utc(), UTC)
    content = attachments_notice(2, to_uri=PHONE, now=now)
    return await bench.incoming.deliver_local(
        from_uri=PHONE, to_uri=to_uri, mid="c29tZSBvZiBvdXJz", content=content
    )


async def test_a_notice_goes_to_all_mailboxes_once(with_sip: tuple[Bench, Sip]) -> None:
    bench, sip = with_sip
    assert await notice(bench, BOTH)
    assert await notice(bench, BOTH)
    assert (len(messages(bench.a)), len(messages(bench.b)), sip.sent) == (1, 1, [])
    assert f"X-Sender-Domain: {DOMAIN}" in messages(bench.a)[0]
    # A text of the same sender and mid is another one.
    bench.crs.send(*sealed_text(mid="c29tZSBvZiBvdXJz"))
    await bench.crs.receipts_are(1)
    assert len(messages(bench.a)) == 2


async def test_a_notice_without_a_mailbox_goes_to_sip_or_nowhere(
    with_sip: tuple[Bench, Sip],
) -> None:
    bench, sip = with_sip
    assert await notice(bench, NONE)
    sip.answer(sip.sent[0][0], True)
    sip.takes = False
    assert not await notice(bench, NONE)
    await bench.idle()
    assert bench.crs.receipts == []


async def test_a_notice_that_cannot_be_written_is_told(bench: Bench) -> None:
    bench.boxes.fault = StorageError(str(bench.a), "full")
    with pytest.raises(StorageError):
        await notice(bench, BOTH)
