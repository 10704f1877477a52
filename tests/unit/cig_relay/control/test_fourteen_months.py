# SPDX-License-Identifier: GPL-3.0-or-later
"""Fourteen months of calls and logins across every boundary, against rules told in words.

The gateway runs from January 2027 to March 2028, a leap year's February within. New keys come five
days before each month, but once three days late; once a month is issued anew, and once the KMS
itself is replaced, from the first of a month on. At every edge of every month, peers whose clocks
are right or off by up to a second more than the five minutes that are allowed call and are called.

What must happen is computed here a second time, by `Oracle`, with calendar arithmetic of its own.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from cig_common.clock import ManualClock
from cig_common.control.messages import SignAuthRequest
from cig_common.errors import CigError
from cig_material.material import KeyMaterial, KmsParameters, PeriodKeys
from cig_relay.control.call_crypto import CallCrypto
from cig_relay.control.refusals import error_reply, word
from cig_relay.engines.pool import EnginePool
from cig_relay.keys.holder import KeyHolder
from cig_relay.keys.keeper import KeyKeeper
from cig_relay.keys.keystore import Keystore
from cig_relay.keys.replay_journal import ReplayJournal
from mikey_sakke import receiver
from mikey_sakke.errors import MikeySakkeError
from mikey_sakke.identifiers import tel_identifier
from mikey_sakke.keys import UserKeys
from mikey_sakke.kms import MasterKeys
from mikey_sakke.secret import Secret
from unit.cig_relay.control.harness import bang, place
from unit.cig_relay.keys.lab import ALICE, GATEWAY

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
MONTHS = [datetime(2027 + n // 12, n % 12 + 1, 1, tzinfo=UTC) for n in range(15)]
LATE, REISSUED, NEW_KMS = "2027-06", "2027-08", "2027-11"
OFFSETS = (-301, -300, -299, 0, 299, 300, 301)
"""By how many seconds a peer's clock is ahead of the gateway's."""


def name(moment: datetime) -> str:
    return f"{moment:%Y-%m}"


def next_month(moment: datetime) -> datetime:
    return (moment.replace(day=1) + 31 * DAY).replace(day=1)


@dataclass(frozen=True)
class Delivery:
    """Key material that reaches the gateway at a moment."""

    moment: datetime
    period: str


def deliveries() -> Iterator[Delivery]:
    yield Delivery(MONTHS[0], f"{name(MONTHS[0])}-1")
    for month in MONTHS[1:]:
        late = name(month) == LATE
        yield Delivery(month + 3 * DAY if late else month - 5 * DAY, f"{name(month)}-1")
    yield Delivery(datetime(2027, 8, 15, tzinfo=UTC), f"{REISSUED}-2")
    yield Delivery(datetime(2027, 10, 31, 12, tzinfo=UTC), f"{NEW_KMS}-2")


def moments() -> Iterator[datetime]:
    """Every edge of every month, and its middle."""
    for month in MONTHS[1:]:
        yield from (month - 2 * DAY - SECOND, month - 2 * DAY)
        yield from (month - 301 * SECOND, month - 300 * SECOND, month - SECOND)
        yield from (month, month + 299 * SECOND, month + 300 * SECOND)
        yield from (month + 2 * DAY - SECOND, month + 2 * DAY)
        yield month + 15 * DAY


class Oracle:
    """What must happen, by the rules in words.

    A message's time may differ from the receiver's by 300 s. Its month's keys count from the
    second-to-last day of the month before through day 2 of the month after, by the receiver's
    clock. Both sides must hold them, from the KMS of that month, in the highest revision.
    """

    def __init__(self) -> None:
        self.held: set[str] = set()

    def counts(self, month: datetime, now: datetime) -> bool:
        return month - 2 * DAY <= now < next_month(month) + 2 * DAY

    def has(self, month: str) -> bool:
        return any(period.startswith(month) for period in self.held)

    def incoming(self, now: datetime, offset: int) -> str:
        if offset < -300:
            return "too-old"
        if offset > 300:
            return "too-new"
        made = now + offset * SECOND
        month = made.replace(day=1, hour=0, minute=0, second=0)
        if not self.counts(month, now) or not self.has(name(month)):
            return "no-period"
        return ""

    def outgoing(self, now: datetime) -> str:
        return "" if self.has(name(now)) else "no-period"

    def taken_by_peer(self, offset: int) -> str:
        return "" if abs(offset) <= 300 else "stale"

    def login(self, period: str, now: datetime) -> str:
        month = datetime.strptime(period[:7], "%Y-%m").replace(tzinfo=UTC)
        highest = max((p for p in self.held if p[:7] == period[:7]), default="")
        return "" if period == highest and self.counts(month, now) else "no-period"


@cache
def kms(generation: int) -> MasterKeys:
    return MasterKeys.generate()


def generation_of(month: str) -> int:
    return 2 if month >= NEW_KMS else 1


@cache
def alice(month: str) -> UserKeys:
    return kms(generation_of(month)).issue(ALICE, month)


def gateway_keys(period: str) -> PeriodKeys:
    month = period[:7]
    # The first keys of November were made before anybody knew what had happened to the KMS.
    master = kms(1 if period == f"{NEW_KMS}-1" else generation_of(month))
    identifier = tel_identifier(GATEWAY, month)
    ssk, pvt = master.issue_ssk(identifier)
    rsk = master.issue_rsk(identifier)
    parameters = KmsParameters("kms.example.com", master.kpak, master.z_public)
    return PeriodKeys(period, parameters, Secret(ssk), pvt, Secret(rsk))


@dataclass
class Walk:
    """The gateway's keys and calls, and how often what was seen."""

    clock: ManualClock
    keystore: Keystore
    holder: KeyHolder
    keeper: KeyKeeper
    crypto: CallCrypto
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def go_to(self, moment: datetime) -> None:
        self.clock.advance(moment.timestamp() - self.clock.utc())
        await self.keeper.look()

    async def install(self, period: str) -> None:
        held = self.keystore.read()
        kept = () if held is None else held.periods
        rest = tuple(keys for keys in kept if keys.month != period[:7])
        self.keystore.save(
            KeyMaterial(
                uri=GATEWAY,
                domain="LAB",
                crs=("127.0.0.1:5223",),
                anchor_pin=bytes(32),
                anchor_ca=None,
                periods=(*rest, gateway_keys(period)),
            )
        )
        await self.holder.reload()

    async def incoming(self, offset: int, call: str) -> str:
        made = self.clock.utc() + offset
        month = name(datetime.fromtimestamp(made, UTC))
        _, request = bang(call=call, signer=alice(month), now=made)
        try:
            keys, _ = await self.crypto.accept(request)
        except CigError as error:
            return error_reply(error).detail
        keys.wipe()
        return ""

    async def outgoing(self) -> tuple[str, bytes]:
        try:
            keys, message = await self.crypto.place(place())
        except CigError as error:
            return error_reply(error).detail, b""
        keys.wipe()
        return "", message

    def taken_by_peer(self, message: bytes, offset: int, *, opened: bool) -> str:
        """What Alice says of a message, by a clock that is off; she opens it where told to."""
        try:
            parsed = receiver.precheck(message, now=self.clock.utc() + offset, own_uri=ALICE)
            verified = receiver.verify(parsed, verifier=alice(parsed.month).verifier)
            if opened:
                receiver.open(verified, alice(parsed.month)).wipe()
        except MikeySakkeError as error:
            return str(error.reason)
        return ""

    async def login(self, period: str) -> str:
        request = SignAuthRequest(bytes(32), bytes(32), bytes(32), period)
        try:
            await self.crypto.sign_auth(request)
        except CigError as error:
            return error_reply(error).detail
        return ""


@pytest.fixture
async def walk(tmp_path: Path) -> AsyncIterator[Walk]:
    tmp_path.chmod(0o700)
    clock = ManualClock(MONTHS[0].timestamp())
    pool = EnginePool(1)
    await pool.start()
    keystore = Keystore(tmp_path)
    holder = KeyHolder(keystore, pool, clock)
    journal = ReplayJournal(
        tmp_path / ".replay.journal", now=clock.utc(), skew=300.0, keys_before=holder.older_than
    )
    crypto = CallCrypto(
        pool=pool, holder=holder, journal=journal, clock=clock, random_bytes=os.urandom
    )
    keeper = KeyKeeper(holder, clock, lambda warning: None)
    yield Walk(clock, keystore, holder, keeper, crypto)
    await journal.close()
    await pool.close()


async def _calls(walk: Walk, oracle: Oracle, now: datetime) -> None:
    for offset in OFFSETS:
        met = await walk.incoming(offset, f"{now.timestamp()}/{offset}")
        assert met == oracle.incoming(now, offset), (now, offset)
        walk.seen["incoming", met] += 1
    met, message = await walk.outgoing()
    assert met == oracle.outgoing(now), now
    walk.seen["outgoing", met] += 1
    for offset in OFFSETS if message else ():
        met = walk.taken_by_peer(message, offset, opened=offset == OFFSETS[0] + 1)
        assert met == oracle.taken_by_peer(offset), (now, offset)
        walk.seen["taken by peer", met] += 1


async def _logins(walk: Walk, oracle: Oracle, now: datetime) -> None:
    near = {name(now - 20 * DAY), name(now), name(now + 20 * DAY)}
    for period in sorted(f"{month}-{revision}" for month in near for revision in (1, 2)):
        met = await walk.login(period)
        assert met == oracle.login(period, now), (now, period)
        walk.seen["login", met] += 1


@pytest.mark.timeout(300)
async def test_which_calls_fail_are_those_that_should(walk: Walk) -> None:
    oracle = Oracle()
    plan: list[tuple[datetime, str]] = [(item.moment, item.period) for item in deliveries()]
    plan += [(moment, "") for moment in moments()]
    for moment, period in sorted(plan):
        await walk.go_to(moment)
        if period:
            await walk.install(period)
            oracle.held = {p for p in oracle.held if p[:7] != period[:7]} | {period}
            continue
        await _calls(walk, oracle, moment)
        await _logins(walk, oracle, moment)
    edges = len(list(moments()))
    assert walk.seen["incoming", "too-old"] == walk.seen["incoming", "too-new"] == edges
    # June's keys were late by three days: five of its edges, and four of May's with clocks ahead.
    assert walk.seen["outgoing", "no-period"] == 5
    assert walk.seen["incoming", "no-period"] > 0
    assert walk.seen["outgoing", ""] == edges - 5
    assert walk.seen["login", ""] > edges
    assert len(walk.holder.require().periods) <= 4


async def test_keys_of_the_old_kms_open_nothing_any_more(walk: Walk) -> None:
    november = datetime(2027, 11, 10, tzinfo=UTC)
    await walk.go_to(november)
    await walk.install(f"{NEW_KMS}-2")
    assert await walk.incoming(0, "new") == ""
    forged = kms(1).issue(ALICE, NEW_KMS)
    _, request = bang(call="old", signer=forged, now=walk.clock.utc())
    with pytest.raises(CigError) as caught:
        await walk.crypto.accept(request)
    assert error_reply(caught.value).detail == word("signature") == "bad-signature"
