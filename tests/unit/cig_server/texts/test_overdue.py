# SPDX-License-Identifier: GPL-3.0-or-later
"""Giving up what is too old while there is no connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cig_server.texts.model import Origin
from cig_server.texts.outbox import DOWN_SECONDS
from unit.cig_server.texts.sendings import OWN, PHONE, Bench, message, text_content

OLD = 73 * 3600.0
WHY = "it could not be sent for 72 hours: there is no connection to the CRS"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    bench.crs.connected = False
    await bench.start()
    yield bench
    await bench.stop()


async def test_all_that_are_too_old_go_whatever_lies_before_them(bench: Bench) -> None:
    (bench.a / "new/link").symlink_to("/etc/passwd")
    bench.put(message(), "young")
    for number in range(5):
        bench.put(message(), f"a{number}", age=OLD)
        bench.put(message(), f"b{number}", bench.b, age=OLD)
    bench.pass_time(DOWN_SECONDS)
    await bench.counted("failed", 10)
    await bench.until(lambda: len(bench.failed()) == 6 and len(bench.failed(bench.b)) == 5)
    assert bench.new() == ["young"]
    assert bench.new(bench.b) == []
    assert bench.failed(bench.b) == {f"b{number}": WHY for number in range(5)}
    assert bench.failed()["link"].startswith("it is no file")
    assert bench.notices.told == {}


async def test_a_text_in_the_outbox_goes_too_and_its_sender_is_told(bench: Bench) -> None:
    mid = await bench.sending.accept(
        from_uri=OWN, to_uri=PHONE, content=text_content(), origin=Origin.SIP
    )
    bench.pass_time(72 * 3600 + 1)
    await bench.counted("failed")
    await bench.counted("notices")
    assert list(bench.notices.told) == [mid]
    bench.crs.connect()
    await bench.idle()
    assert not bench.crs.attempts


async def test_a_message_that_was_sealed_already_goes_with_its_row(bench: Bench) -> None:
    bench.crs.connect()
    bench.crs.silent = True
    bench.put(message("x" * 100_000), "one")
    await bench.until(lambda: bench.crs.attempts)
    bench.crs.disconnect()
    await bench.idle()
    bench.pass_time(72 * 3600 + 1)
    await bench.counted("failed")
    await bench.counted("notices")
    await bench.until(lambda: not list((bench.state / "out").iterdir()))
    assert bench.failed() == {"one": WHY}
    assert bench.new() == []


async def test_a_mailbox_that_cannot_put_aside_holds_up_no_other(bench: Bench) -> None:
    (bench.a / "failed").rmdir()
    (bench.a / "failed").write_bytes(b"")
    for number in range(3):
        bench.put(message(), f"a{number}", age=OLD)
        bench.put(message(), f"b{number}", bench.b, age=OLD)
    bench.pass_time(DOWN_SECONDS)
    await bench.until(lambda: len(bench.failed(bench.b)) == 3)
    assert bench.new() == ["a0", "a1", "a2"]
    assert str(bench.a) in bench.sending.trouble
    (bench.a / "failed").unlink()
    async with asyncio.timeout(20):
        while len(bench.failed()) < 3:
            bench.pass_time(61)
            await asyncio.sleep(0.01)
    assert bench.new() == []


async def test_nothing_is_too_old_while_there_is_a_connection(bench: Bench) -> None:
    bench.crs.connect()
    bench.own = None  # nothing can be sent, but that is not the network
    bench.put(message(), "one", age=OLD)
    bench.pass_time(10 * DOWN_SECONDS)
    bench.own = OWN
    bench.sending.look()
    await bench.counted("sent")
    assert bench.failed() == {}


async def test_another_loss_begins_the_count_anew(bench: Bench) -> None:
    bench.clock.advance(DOWN_SECONDS - 1)
    bench.crs.connect()
    await bench.idle()
    bench.crs.disconnect()
    bench.put(message("late"), "one", age=OLD)
    bench.pass_time(DOWN_SECONDS - 1)
    facts = await bench.sending.facts()
    assert facts[1].waiting == 1
    bench.crs.connect()
    await bench.counted("sent")
    assert bench.phone() == ["late"]
