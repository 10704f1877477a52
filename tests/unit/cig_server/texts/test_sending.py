# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts from mailboxes to the CRS."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cig_common.errors import CryptoError, NoKeysForPeerError, RelayUnavailableError
from cig_server.texts import carrying, preparing, sending
from cig_server.texts.model import Origin, StorageError
from cig_server.texts.outbox_store import RECEIPT_SECONDS
from cig_server.texts.read_mailbox import MAX_OCTETS
from cig_server.texts.sending import WINDOW
from umsg.errors import ErrorCode
from unit.cig_server.texts.sendings import (
    OWN,
    PHONE,
    SECRET,
    Bench,
    message,
    receipt_of,
    text_content,
)

OTHER = "tel:+46709999999"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    await bench.start()
    yield bench
    await bench.stop()


@pytest.fixture(autouse=True)
def nothing_of_a_text_is_logged(caplog: pytest.LogCaptureFixture) -> object:
    with caplog.at_level(logging.DEBUG):
        yield
    assert SECRET not in caplog.text


async def test_a_message_goes_to_the_phone_and_leaves_its_mailbox(bench: Bench) -> None:
    bench.put(message())
    await bench.counted("sent")
    assert bench.phone() == [SECRET]
    assert bench.new() == []
    assert bench.failed() == {}


async def test_it_stays_in_new_until_the_crs_has_it(bench: Bench) -> None:
    bench.crs.silent = True
    bench.put(message(), "one")
    await bench.until(lambda: bench.crs.attempts)
    assert bench.new() == ["one"]
    [mid] = bench.crs.attempts
    bench.sending.stored(mid)
    await bench.counted("sent")
    assert bench.new() == []


async def test_a_message_of_many_parts_arrives_whole(bench: Bench) -> None:
    octets = os.urandom(1_500_000)
    body = base64.encodebytes(octets).decode()
    bench.put(
        message(
            f"--x\n\nSee.\n--x\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n"
            f'Content-Disposition: attachment; filename="{SECRET}.png"\n\n{body}--x--'
        ).replace(b'text/plain; charset="UTF-8"', b"multipart/mixed; boundary=x")
    )
    await bench.counted("sent")
    [path] = bench.crs.folder.iterdir()
    text = path.read_text("utf-8")
    got = text.partition('.png"')[2].partition("\n\n")[2].partition("\n--")[0]
    assert base64.b64decode(got) == octets
    assert list((bench.state / "out").iterdir()) == []


async def test_messages_go_in_the_order_of_their_arrival(bench: Bench) -> None:
    bench.crs.disconnect()
    for number in range(60):
        bench.put(message(f"{number}"), f"{(number * 37) % 60}")
    bench.crs.connect()
    await bench.counted("sent", 60)
    order = [int(text) for text in bench.phone()]
    assert all(abs(place - number) < WINDOW for place, number in enumerate(order))
    assert sorted(order) == list(range(60))
    assert bench.crs.most_under_way <= WINDOW
    assert bench.relay.most_at_once <= preparing.ENGINES


async def test_no_more_than_the_window_is_under_way(bench: Bench) -> None:
    bench.crs.silent = True
    for number in range(3 * WINDOW):
        bench.put(message(f"{number}"))
    await bench.until(lambda: len(bench.crs.attempts) == WINDOW)
    await asyncio.sleep(0.05)
    assert len(bench.crs.attempts) == WINDOW


async def test_two_mailboxes_take_turns(bench: Bench) -> None:
    bench.crs.disconnect()
    for number in range(50):
        bench.put(message(f"a{number}"))
    bench.put(message("b"), box=bench.b)
    bench.crs.connect()
    await bench.counted("sent", 51)
    assert bench.phone().index("b") <= WINDOW


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", "it has no From header"),
        (message().replace(b"To: ", b"Too: "), "it has no To header"),
        (message(to="46701234567@elsewhere"), "no rule of translate_map `to_phone`"),
        (message().replace(b"101@pbx", b"101@px"), "no rule of translate_map `from_pbx`"),
        (message(to="x@secure"), "no tel URI"),
        (message().replace(b"UTF-8", b"klingon"), "charset"),
        (message().replace(b"text/plain", b"multipart/mixed; boundary=q"), "cut"),
    ],
)
async def test_a_message_with_a_fault_is_put_aside_and_holds_up_no_other(
    bench: Bench, octets: bytes, why: str
) -> None:
    bench.put(octets, "poison")
    bench.put(message("good"))
    await bench.counted("failed")
    await bench.idle()
    await bench.counted("sent")
    await bench.idle()
    assert bench.phone() == ["good"]
    assert (bench.a / "failed/poison").read_bytes() == octets
    assert list(bench.failed()) == ["poison"]
    assert why in bench.failed()["poison"] or not octets
    assert bench.new() == []
    assert bench.notices.told == {}


async def test_a_message_that_we_stumble_over_is_put_aside(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = preparing.MailboxMessage.parse

    def stumble(file: object, now: object) -> object:
        found = real(file, now)  # type: ignore[arg-type]
        if b"".join(found.content.text.chunks()) == b"poison":
            raise TypeError(SECRET)
        return found

    monkeypatch.setattr(preparing.MailboxMessage, "parse", staticmethod(stumble))
    bench.put(message("poison"), "poison")
    bench.put(message("good"))
    await bench.counted("sent")
    await bench.idle()
    assert "TypeError" in bench.failed()["poison"]


async def test_what_is_no_file_is_put_aside(bench: Bench) -> None:
    bench.crs.disconnect()
    (bench.a / "new/link").symlink_to("/etc/passwd")
    os.mkfifo(bench.a / "new/fifo")
    (bench.a / "new/folder").mkdir()
    where = Path.cwd()
    with socket.socket(socket.AF_UNIX) as bound:
        os.chdir(bench.a / "new")
        try:
            bound.bind("socket")
        finally:
            os.chdir(where)
    (bench.a / "tmp/large").touch()
    os.truncate(bench.a / "tmp/large", MAX_OCTETS + 1)
    (bench.a / "tmp/large").rename(bench.a / "new/large")
    bench.put(message("good"))
    bench.crs.connect()
    await bench.counted("sent")
    await bench.until(lambda: len(bench.failed()) == 4)
    assert bench.new() == ["folder"]
    assert (bench.a / "failed/link").is_symlink()


async def test_a_file_of_another_group_is_put_aside(bench: Bench) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files to any group")
    path = bench.a / "tmp/one"
    path.write_bytes(message())
    os.chown(path, -1, 54321)
    path.rename(bench.a / "new/one")
    await bench.until(lambda: bench.failed())
    assert "group 54321" in bench.failed()["one"]
    assert bench.phone() == []


async def test_a_message_that_cannot_even_be_put_aside_holds_up_no_other(bench: Bench) -> None:
    (bench.a / "failed").rmdir()
    (bench.a / "failed").write_bytes(b"")
    bench.put(b"poison", "poison")
    for number in range(3 * WINDOW):
        bench.put(message(f"{number}"))
    await bench.counted("sent", 3 * WINDOW)
    await bench.idle()
    assert bench.new() == ["poison"]
    assert str(bench.a) in bench.sending.trouble
    assert bench.sending.counters["failed"] == 1
    (bench.a / "failed").unlink()
    bench.clock.advance(61)
    bench.sending.look()
    await bench.until(lambda: bench.new() == [])
    assert list(bench.failed()) == ["poison"]
    await bench.until(lambda: not bench.sending.trouble)


async def test_many_that_cannot_be_put_aside_are_not_tried_without_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "_MOST_RESTING", 8)
    (bench.a / "failed").rmdir()
    (bench.a / "failed").write_bytes(b"")
    for number in range(50):
        bench.put(b"poison", f"{number}")
    bench.put(message("good"), box=bench.b)
    await bench.counted("sent")
    await bench.until(lambda: bench.sending.trouble)
    await bench.idle()
    tried = bench.sending.counters["failed"]
    assert tried <= 8 + WINDOW
    for _ in range(3):
        bench.sending.look()
        await asyncio.sleep(0.02)
    assert bench.sending.counters["failed"] == tried
    (bench.a / "failed").unlink()
    bench.pass_time(61)
    await bench.until(lambda: bench.new() == [])
    await bench.idle()
    assert len(bench.failed()) == 50


async def test_a_mailbox_that_is_missing_holds_up_no_other(bench: Bench) -> None:
    (bench.a / "new").rename(bench.a / "away")
    bench.put(message("b"), box=bench.b)
    bench.pass_time(31)
    await bench.counted("sent")
    assert str(bench.a) in bench.sending.trouble
    (bench.a / "away").rename(bench.a / "new")
    bench.put(message("a"))
    bench.pass_time(31)
    await bench.counted("sent", 2)
    assert bench.sending.trouble == ""


async def test_stored_that_comes_while_it_rests_ends_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cig_server.texts.flight.ANSWER_SECONDS", 0.02)
    bench.crs.silent = True
    bench.put(message())
    await bench.counted("retries")
    await bench.idle()
    [mid] = bench.crs.attempts
    for _ in range(2):
        bench.sending.stored(mid)
        bench.sending.stored("mid9999999999999")
    await bench.counted("sent")
    await bench.idle()
    assert bench.new() == []
    bench.pass_time(3600)
    await asyncio.sleep(0.02)
    assert list(bench.crs.attempts.values()) == [1]


async def test_a_connection_that_breaks_among_the_parts(bench: Bench) -> None:
    bench.crs.room.clear()
    bench.put(message("line\n" * 50_000))
    await bench.until(lambda: bench.relay.sealed)
    await bench.until(lambda: list((bench.state / "out").iterdir()))
    bench.crs.disconnect()
    bench.crs.room.set()
    await bench.idle()
    assert len(bench.new()) == 1
    bench.crs.connect()
    await bench.counted("sent")
    assert bench.phone() == [("line\n" * 50_000).strip()]
    assert bench.relay.sealed == 1


async def test_stopping_among_the_parts_loses_nothing(bench: Bench) -> None:
    bench.crs.room.clear()
    for number in range(WINDOW):
        bench.put(message(f"{number} " + "line\n" * 20_000))
    await bench.until(lambda: bench.relay.sealed >= 3)
    await bench.stop()
    await bench.start()
    bench.crs.room.set()
    bench.sending.look()
    await bench.counted("sent", WINDOW)
    assert sorted(int(text.split()[0]) for text in bench.phone()) == list(range(WINDOW))
    assert bench.new() == []


@pytest.mark.parametrize("code", ["not-found", "forbidden", "too-large", "unsupported"])
async def test_what_the_crs_refuses_for_good_is_put_aside_and_its_sender_told(
    bench: Bench, code: str
) -> None:
    bench.crs.refuse[OTHER] = ErrorCode(code)
    bench.put(message(to="46709999999@secure"), "one")
    bench.put(message("good"))
    await bench.counted("failed")
    await bench.idle()
    await bench.counted("sent")
    await bench.idle()
    assert bench.failed() == {"one": f"the CRS says {code}: no"}
    await bench.counted("notices")
    [(from_uri, to_uri, text)] = bench.notices.told.values()
    assert (from_uri, to_uri) == (OTHER, f"{OWN};101")
    assert f"Your message of 18 Nov 2026 11:00:00 +0000 to {OTHER} was not delivered" in text
    assert list(bench.crs.attempts.values()) == [1, 1]


async def test_a_machine_is_told_nothing(bench: Bench) -> None:
    bench.crs.refuse[OTHER] = ErrorCode.NOT_FOUND
    bench.put(message(to="46709999999@secure", more="Auto-Submitted: auto-replied\n"))
    await bench.counted("failed")
    await bench.idle()
    assert bench.notices.told == {}


@pytest.mark.parametrize("code", ["overload", "internal"])
async def test_a_fault_of_the_network_has_it_rest_longer_and_longer(
    bench: Bench, code: str
) -> None:
    bench.crs.refuse[PHONE] = ErrorCode(code)
    path = bench.put(message())
    for rest in (10, 20, 40, 80):
        tried = sum(bench.crs.attempts.values())
        await bench.counted("retries", tried or 1)
        await bench.idle()
        before = sum(bench.crs.attempts.values())
        bench.pass_time(rest - 1)
        await bench.idle()
        await asyncio.sleep(0.02)
        assert sum(bench.crs.attempts.values()) == before
        bench.pass_time(1)
        await bench.until(lambda n=before: sum(bench.crs.attempts.values()) == n + 1)
    assert path.exists()
    assert len(bench.crs.attempts) == 1  # the same mid each time
    await bench.idle()
    bench.crs.refuse.clear()
    bench.pass_time(160)
    await bench.counted("sent")
    assert bench.phone() == [SECRET]
    assert bench.relay.sealed == 1


async def test_no_answer_is_a_fault_of_the_network(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cig_server.texts.flight.ANSWER_SECONDS", 0.05)
    bench.crs.silent = True
    bench.put(message())
    await bench.counted("retries")
    await bench.idle()
    bench.crs.silent = False
    bench.pass_time(10)
    await bench.counted("sent")
    assert list(bench.crs.attempts.values()) == [2]
    assert bench.phone() == [SECRET]


async def test_after_72_hours_of_trouble_it_is_given_up(bench: Bench) -> None:
    bench.crs.refuse[PHONE] = ErrorCode.OVERLOAD
    bench.put(message(), "one")
    await bench.counted("retries")
    await bench.idle()
    bench.pass_time(72 * 3600)
    await bench.counted("failed")
    await bench.idle()
    await bench.until(lambda: bench.failed())
    assert bench.failed() == {"one": "the CRS says overload: no"}
    await bench.counted("notices")


async def test_an_old_message_is_tried_once_after_a_long_absence(bench: Bench) -> None:
    bench.put(message(), age=30 * 86_400)
    await bench.counted("sent")
    assert bench.phone() == [SECRET]


async def test_without_a_connection_it_is_given_up_after_72_hours(bench: Bench) -> None:
    bench.crs.disconnect()
    bench.put(message("old"), "old", age=73 * 3600)
    bench.put(message("young"), "young")
    bench.pass_time(599)
    await asyncio.sleep(0.05)
    assert bench.new() == ["old", "young"]
    bench.pass_time(1)
    await bench.counted("failed")
    await bench.until(lambda: bench.new() == ["young"])
    assert "no connection to the CRS" in bench.failed()["old"]
    bench.crs.connect()
    await bench.counted("sent")
    assert bench.phone() == ["young"]


async def test_a_connection_that_is_lost_costs_no_rest(bench: Bench) -> None:
    bench.crs.silent = True
    for number in range(5):
        bench.put(message(f"{number}"))
    await bench.until(lambda: len(bench.crs.attempts) == 5)
    bench.crs.disconnect()
    await bench.idle()
    bench.crs.silent = False
    bench.crs.connect()
    await bench.counted("sent", 5)
    assert set(bench.crs.attempts.values()) == {2}
    assert sorted(bench.phone()) == list("01234")


@pytest.mark.parametrize("fault", [RelayUnavailableError("away"), NoKeysForPeerError("none")])
async def test_without_relay_or_keys_everything_waits_and_status_says_so(
    bench: Bench, fault: Exception
) -> None:
    bench.relay.fault = fault
    bench.put(message(), "one")
    await bench.until(lambda: bench.sending.trouble)
    assert str(fault) in bench.sending.trouble
    await bench.idle()
    assert bench.new() == ["one"]
    bench.relay.fault = None
    bench.pass_time(sending.PAUSE_SECONDS)
    await bench.counted("sent")
    assert bench.sending.trouble == ""


async def test_whom_nothing_can_be_sealed_for_is_an_own_fault(bench: Bench) -> None:
    bench.relay.fault = CryptoError("no such user")
    bench.put(message(), "one")
    await bench.until(lambda: bench.failed())
    assert "no such user" in bench.failed()["one"]


async def test_without_keys_of_our_own_nothing_is_begun(bench: Bench) -> None:
    bench.own = None
    bench.put(message())
    bench.sending.look()
    await asyncio.sleep(0.05)
    assert bench.relay.sealed == 0
    bench.own = OWN
    bench.sending.look()
    await bench.counted("sent")


async def test_the_same_name_again_is_another_text(bench: Bench) -> None:
    for text in ("one", "two", "two"):
        bench.put(message(text), "same")
        await bench.until(lambda: bench.new() == [])
    await bench.counted("sent", 3)
    assert bench.phone() == ["one", "two", "two"]


async def test_a_name_reused_while_its_first_text_is_under_way(bench: Bench) -> None:
    bench.crs.silent = True
    bench.put(message("one"), "same")
    await bench.until(lambda: bench.crs.attempts)
    [mid] = bench.crs.attempts
    bench.put(message("two, and longer"), "same")
    bench.sending.error(mid, ErrorCode.NOT_FOUND, "no")
    await bench.counted("failed")
    bench.crs.silent = False
    await bench.until(lambda: len(bench.crs.attempts) == 2)
    for mid in bench.crs.attempts:
        bench.sending.stored(mid)
    await bench.until(lambda: bench.new() == [])
    assert bench.failed() == {}  # the first one is gone, the second was sent


async def test_a_file_that_vanishes_meanwhile_is_no_failure(bench: Bench) -> None:
    bench.crs.disconnect()
    paths = [bench.put(message(f"{number}")) for number in range(30)]
    bench.crs.connect()
    for path in paths[20:]:
        path.unlink(missing_ok=True)
    await bench.until(lambda: bench.new() == [] and not bench.sending.busy)
    assert bench.failed() == {}
    assert len(bench.phone()) >= 20


async def test_a_file_that_grows_is_left_until_it_is_quiet(bench: Bench) -> None:
    path = bench.a / "new/slow"
    with path.open("wb") as file:
        whole = message("first and second")
        file.write(whole[:-8])
        file.flush()
        bench.pass_time(3600)  # as quiet as can be
        await asyncio.sleep(0.1)
        assert not bench.crs.attempts
        file.write(whole[-8:])
    when = bench.clock.utc() - 10
    os.utime(path, (when, when))
    bench.pass_time(31)
    await bench.counted("sent")
    assert bench.phone() == ["first and second"]


async def test_receipts_end_what_is_remembered(bench: Bench) -> None:
    bench.put(message())
    await bench.counted("sent")
    [mid] = bench.crs.attempts
    bench.sending.receipt(receipt_of(bench.crs.sealed, mid))
    await bench.counted("receipts-delivered")
    bench.sending.receipt(receipt_of(bench.crs.sealed, mid))
    await bench.counted("receipts-unknown")
    assert bench.notices.told == {}


async def test_a_refused_receipt_is_told_once_to_the_sender(bench: Bench) -> None:
    bench.put(message())
    await bench.counted("sent")
    [mid] = bench.crs.attempts
    for _ in range(2):
        bench.sending.receipt(receipt_of(bench.crs.sealed, mid, "refused", "no-mailbox"))
    await bench.counted("receipts-refused")
    await bench.idle()
    assert list(bench.notices.told) == [mid]
    assert "nobody takes messages" in bench.notices.told[mid][2]


async def test_a_forged_receipt_changes_nothing(bench: Bench) -> None:
    bench.put(message())
    await bench.counted("sent")
    [mid] = bench.crs.attempts
    bench.sending.receipt(receipt_of(b"another", mid, "refused"))
    await bench.counted("receipts-forged")
    assert bench.notices.told == {}
    bench.sending.receipt(receipt_of(bench.crs.sealed, mid, "refused"))
    await bench.counted("receipts-refused")


async def test_a_receipt_that_cannot_be_checked_now_is_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "PAUSE_SECONDS", 0.01)
    bench.put(message())
    await bench.counted("sent")
    [mid] = bench.crs.attempts
    bench.relay.fault = RelayUnavailableError("away")
    bench.sending.receipt(receipt_of(bench.crs.sealed, mid, "refused"))
    await bench.until(lambda: bench.sending.counters["receipts-held"] >= 2)
    bench.relay.fault = None
    await bench.counted("receipts-refused")


async def test_a_receipt_before_stored_ends_the_text(bench: Bench) -> None:
    bench.crs.silent = True
    bench.put(message())
    await bench.until(lambda: bench.crs.attempts)
    [mid] = bench.crs.attempts
    row = await bench.store.run(
        lambda connection: connection.execute("SELECT sealed FROM outbox").fetchone()
    )
    bench.sending.receipt(receipt_of(row[0], mid))
    await bench.counted("receipts-delivered")
    await bench.idle()
    assert bench.new() == []
    assert bench.sending.counters["sent"] == 1
    await bench.restart()
    await asyncio.sleep(0.05)
    assert list(bench.crs.attempts.values()) == [1]


async def test_what_was_stored_is_forgotten_in_time(bench: Bench) -> None:
    bench.put(message())
    await bench.counted("sent")

    async def rows() -> int:
        return await bench.store.run(
            lambda connection: connection.execute("SELECT count(*) FROM outbox").fetchone()[0]
        )

    bench.pass_time(RECEIPT_SECONDS - 1)
    await asyncio.sleep(0.05)
    assert await rows() == 1
    bench.pass_time(3601)
    async with asyncio.timeout(5):
        while await rows():
            await asyncio.sleep(0.01)


async def test_a_text_that_is_accepted_survives_and_is_sent(bench: Bench) -> None:
    bench.crs.disconnect()
    mid = await bench.sending.accept(
        from_uri=OWN, to_uri=PHONE, content=text_content("from SIP"), origin=Origin.SIP
    )
    await bench.restart()
    assert bench.phone() == []
    bench.crs.connect()
    await bench.counted("sent")
    assert bench.phone() == ["from SIP"]
    assert list(bench.crs.attempts) == [mid]


async def test_a_text_under_way_is_the_same_after_a_restart(bench: Bench) -> None:
    bench.crs.silent = True
    bench.put(message())
    await bench.until(lambda: bench.crs.attempts)
    await bench.restart()
    bench.crs.silent = False
    bench.sending.look()
    await bench.counted("sent")
    assert list(bench.crs.attempts.values()) == [2]
    assert bench.relay.sealed == 1


async def test_a_sealed_content_that_is_gone_is_given_up(bench: Bench) -> None:
    bench.crs.silent = True
    bench.put(message("x" * 200_000), "one")
    await bench.until(lambda: bench.crs.attempts)
    [path] = (bench.state / "out").iterdir()
    await bench.stop()
    path.unlink()
    await bench.start()
    await bench.until(lambda: bench.failed())
    assert bench.failed() == {"one": "its sealed content is damaged"}


async def test_a_notice_that_cannot_be_written_comes_later_and_nothing_is_sent_twice(
    bench: Bench,
) -> None:
    bench.crs.refuse[OTHER] = ErrorCode.NOT_FOUND
    bench.notices.fault = StorageError("/write", "the disk is full")
    bench.put(message(to="46709999999@secure"), "one")
    await bench.until(lambda: bench.failed())
    await bench.idle()
    assert "/write" in bench.sending.trouble
    bench.notices.fault = None
    bench.crs.refuse.clear()
    await bench.restart()
    bench.pass_time(10)
    await bench.counted("notices")
    assert list(bench.crs.attempts.values()) == [1]
    assert bench.phone() == []


async def test_trouble_with_a_notice_ends_when_it_is_written(bench: Bench) -> None:
    bench.crs.refuse[OTHER] = ErrorCode.NOT_FOUND
    bench.notices.fault = StorageError("/write", "the disk is full")
    bench.put(message(to="46709999999@secure"), "one")
    await bench.until(lambda: "/write" in bench.sending.trouble)
    bench.notices.fault = None
    await bench.idle()
    bench.pass_time(10)
    await bench.until(lambda: not bench.sending.trouble)


async def test_what_is_no_file_is_put_aside_once_though_it_is_found_again(bench: Bench) -> None:
    for number in range(20):
        (bench.a / f"new/link{number}").symlink_to("/etc/passwd")
        bench.put(message(f"{number}"))
        bench.sending.look()
    await bench.until(lambda: len(bench.failed()) == 20)
    await bench.counted("sent", 20)
    assert not bench.sending.trouble


async def test_facts_tell_of_the_queues(bench: Bench) -> None:
    bench.crs.disconnect()
    bench.put(message())
    bench.put(message())
    (bench.a / "failed/x").touch()
    await bench.sending.accept(
        from_uri=OWN, to_uri=PHONE, content=text_content(), origin=Origin.SIP
    )
    crs, a, b = await bench.sending.facts()
    assert (crs.kind, crs.waiting, crs.oldest) == ("crs", 1, bench.clock.utc())
    assert (a.kind, a.name, a.waiting, a.failed) == ("read", str(bench.a), 2, 1)
    assert a.oldest is not None
    assert (b.waiting, b.oldest) == (0, None)
