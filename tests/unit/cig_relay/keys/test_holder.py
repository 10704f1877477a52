# SPDX-License-Identifier: GPL-3.0-or-later
"""Which periods engines hold as time goes on, and what becomes of those that are over."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cig_common.clock import ManualClock
from cig_common.control.key_facts import KeysEnding, PeriodState
from cig_relay.engines.errors import RefusedError
from cig_relay.engines.pool import EnginePool
from cig_relay.keys.errors import KeystoreError, NoKeysError
from cig_relay.keys.holder import KeyHolder
from cig_relay.keys.keeper import KeyKeeper
from cig_relay.keys.keystore import Keystore
from unit.cig_relay.keys.lab import material, period_keys
from unit.cig_relay.randomness.host import OPTIONS

HOUR, DAY = 3600.0, 86_400.0


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.fixture
async def pool() -> AsyncIterator[EnginePool]:
    pool = EnginePool(1, options=OPTIONS)
    await pool.start()
    yield pool
    await pool.close()


class Rig:
    def __init__(self, folder: Path, pool: EnginePool, now: str) -> None:
        folder.chmod(0o700)
        self.clock = ManualClock(at(now))
        self.keystore = Keystore(folder)
        self.pool = pool
        self.holder = KeyHolder(self.keystore, pool, self.clock)
        self.told: list[KeysEnding | None] = []
        self.keeper = KeyKeeper(self.holder, self.clock, self.told.append)

    async def holds(self, *periods: str) -> bool:
        """Whether the engines sign with just these of some periods."""
        wanted = [f"{year}-{month:02d}-{n}" for year in (2026, 2027) for month in range(1, 13)
                  for n in (1, 2)]  # fmt: skip
        found = []
        for period in wanted:
            try:
                await self.pool.sign_auth(period=period, text=b"text")
            except RefusedError:
                continue
            found.append(period)
        return tuple(found) == periods == self.holder.loaded


async def test_engines_hold_what_counts_and_one_hour_more(tmp_path: Path, pool: EnginePool) -> None:
    rig = Rig(tmp_path, pool, "2026-11-15T12:00")
    rig.keystore.save(material("2026-10-1", "2026-11-1", "2026-11-2", "2026-12-1", "2027-01-1"))
    await rig.holder.reload()
    assert await rig.holds("2026-11-2")
    for moment, held in [
        ("2026-11-28T22:59:59", ("2026-11-2",)),
        ("2026-11-28T23:00:01", ("2026-11-2", "2026-12-1")),
        ("2026-12-01T00:00", ("2026-11-2", "2026-12-1")),
        ("2026-12-09T00:59:59", ("2026-11-2", "2026-12-1")),
        ("2026-12-09T01:00:01", ("2026-12-1",)),
        ("2026-12-31T12:00", ("2026-12-1", "2027-01-1")),
        ("2027-02-09T12:00", ()),
    ]:
        rig.clock.advance(at(moment) - rig.clock.utc())
        await rig.keeper.look()
        assert await rig.holds(*held), moment


async def test_a_clock_that_is_set_back_brings_the_old_keys_back(
    tmp_path: Path, pool: EnginePool
) -> None:
    rig = Rig(tmp_path, pool, "2027-06-15T12:00")
    rig.keystore.save(material("2026-11-1", "2026-12-1"))
    await rig.holder.reload()
    assert await rig.holds()
    rig.clock._utc = at("2026-11-15T12:00")
    await rig.keeper.look()
    assert await rig.holds("2026-11-1")


async def test_a_change_that_fails_keeps_the_old_keys_and_is_tried_again(
    tmp_path: Path, pool: EnginePool, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(tmp_path, pool, "2026-11-15T12:00")
    path = rig.keystore.save(material("2026-11-1", "2026-12-1"))
    await rig.holder.reload()
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    rig.clock.advance(at("2026-11-29T00:00") - rig.clock.utc())
    with caplog.at_level(logging.WARNING):
        await rig.keeper.look()
        await rig.keeper.look()
    assert [r for r in caplog.messages if "trying again in 60 s" in r] == caplog.messages
    assert len(caplog.messages) == 1
    assert await rig.holds("2026-11-1")
    path.write_bytes(whole)
    rig.clock.advance(30)
    await rig.keeper.look()
    assert await rig.holds("2026-11-1")
    rig.clock.advance(31)
    await rig.keeper.look()
    assert await rig.holds("2026-11-1", "2026-12-1")
    assert rig.holder.state(rig.clock.utc()) == "OK"


async def test_what_is_over_leaves_the_keystore_after_a_day(
    tmp_path: Path, pool: EnginePool
) -> None:
    rig = Rig(tmp_path, pool, "2026-11-15T12:00")
    rig.keystore.save(material("2026-10-1", "2026-11-1", "2026-12-1"))
    await rig.holder.reload()
    await rig.keeper.look()
    rig.clock.advance(DAY - 1)
    await rig.keeper.look()
    assert rig.holder.require().periods == ("2026-10-1", "2026-11-1", "2026-12-1")
    rig.clock.advance(2)
    await rig.keeper.look()
    assert rig.holder.require().periods == ("2026-11-1", "2026-12-1")
    held = rig.keystore.read()
    assert held is not None
    assert held.identity.periods == ("2026-11-1", "2026-12-1")
    assert await rig.holds("2026-11-1")


async def test_a_clock_set_wrong_for_an_hour_costs_no_keys(
    tmp_path: Path, pool: EnginePool
) -> None:
    rig = Rig(tmp_path, pool, "2026-11-15T12:00")
    rig.keystore.save(material("2026-11-1", "2026-12-1", "2027-03-1"))
    await rig.holder.reload()
    rig.clock._utc = at("2027-03-15T12:00")
    for _ in range(60):
        await rig.keeper.look()
        rig.clock.advance(60)
    rig.clock._utc = at("2026-11-15T13:00")
    for _ in range(48):
        await rig.keeper.look()
        rig.clock.advance(HOUR)
    assert rig.holder.require().periods == ("2026-11-1", "2026-12-1", "2027-03-1")
    assert await rig.holds("2026-11-1")


async def test_the_last_keys_stay_in_the_keystore_however_old(
    tmp_path: Path, pool: EnginePool
) -> None:
    rig = Rig(tmp_path, pool, "2026-11-15T12:00")
    rig.keystore.save(material("2026-10-1", "2026-11-1"))
    await rig.holder.reload()
    for _ in range(400):
        rig.clock.advance(DAY)
        await rig.keeper.look()
    assert rig.holder.require().periods == ("2026-11-1",)
    assert "no keys of 2027-12 are loaded" in rig.holder.state(rig.clock.utc())
    assert await rig.holds()
    with pytest.raises(NoKeysError, match="set-key"):
        rig.holder.require_month("2027-12")


async def test_keys_that_an_engine_refuses_are_told(tmp_path: Path, pool: EnginePool) -> None:
    rig = Rig(tmp_path, pool, "2026-11-15T12:00")
    await rig.holder.reload()
    assert "no keys are loaded" in rig.holder.state(rig.clock.utc())
    wrong = replace(period_keys("2026-11-1"), rsk=period_keys("2026-12-1").rsk)
    rig.keystore.save(material(periods=(wrong,)))
    with pytest.raises(KeystoreError):
        await rig.holder.reload()
    assert rig.holder.identity is None
    rig.keystore.save(material("2026-11-1"))
    await rig.holder.reload()
    assert rig.holder.state(rig.clock.utc()) == "OK"


async def test_rows_say_what_each_period_is_good_for(tmp_path: Path, pool: EnginePool) -> None:
    rig = Rig(tmp_path, pool, "2026-12-01T12:00")
    periods = ("2026-10-1", "2026-11-1", "2026-12-1", "2026-12-2", "2027-01-1")
    rig.keystore.save(material(*periods))
    await rig.holder.reload()
    rows = rig.holder.rows(rig.clock.utc())
    assert [(row.period, row.state) for row in rows] == [
        ("2026-10-1", PeriodState.OVER),
        ("2026-11-1", PeriodState.ACCEPTED),
        ("2026-12-1", PeriodState.SUPERSEDED),
        ("2026-12-2", PeriodState.VALID),
        ("2027-01-1", PeriodState.COMING),
    ]
    last = rows[-1]
    assert last.accepted_from == at("2026-12-30T00:00")
    assert (last.ends, last.accepted_until) == (at("2027-02-01T00:00"), at("2027-02-03T00:00"))
    assert (last.kms, len(last.kpak_digest)) == ("kms.example.com", 32)
    rig.clock.advance(3 * DAY)
    assert rig.holder.rows(rig.clock.utc())[1].state is PeriodState.TEXTS


async def test_the_warning_is_told_when_it_changes(
    tmp_path: Path, pool: EnginePool, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(tmp_path, pool, "2026-11-10T00:00")
    rig.keystore.save(material("2026-11-1"))
    await rig.holder.reload()
    with caplog.at_level(logging.WARNING):
        for _ in range(21 * 24 + 1):
            await rig.keeper.look()
            rig.clock.advance(HOUR)
    assert [warning.days for warning in rig.told if warning] == [14, 7, 3, 1, 0]
    assert len(caplog.messages) == 5
    rig.keystore.save(material("2026-11-1", "2026-12-1"))
    await rig.holder.reload()
    await rig.keeper.look()
    assert rig.told[-1] is None
    assert rig.keeper.warning is None


async def test_a_keystore_that_was_just_renewed_is_not_the_first(
    tmp_path: Path, pool: EnginePool
) -> None:
    rig = Rig(tmp_path, pool, "2026-11-15T12:00")
    assert not rig.holder.older_than(0.0)
    rig.keystore.save(material("2026-11-1"))
    assert not rig.holder.older_than(0.0)
    rig.keystore.save(material("2026-11-1", "2026-12-1"))
    assert rig.holder.older_than(0.0)
