# SPDX-License-Identifier: GPL-3.0-or-later
"""What all connections of the control socket share: the relay's parts, addresses and counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from cig_common.clock import Clock
from cig_common.control.key_facts import Identity
from cig_common.control.messages import VERSION, HelloReply, KeysReply, StatusReply
from cig_material.errors import MaterialError
from cig_relay.configuration import RelayConfiguration
from cig_relay.control.call_crypto import CallCrypto
from cig_relay.control.text_crypto import TextCrypto
from cig_relay.engines.pool import EnginePool
from cig_relay.keys import anchor
from cig_relay.keys.errors import KeystoreError
from cig_relay.keys.holder import KeyHolder
from cig_relay.keys.keeper import KeyKeeper
from cig_relay.keys.replay_journal import ReplayJournal
from cig_relay.media.engine import MediaEngine
from cig_relay.randomness.source import FAILED, RandomSource

AGENT = "cig-relay/2.7.0"


async def _nothing() -> None:
    pass


@dataclass(slots=True)
class RelayService:
    """The relay's parts. ``tel_addr`` and ``sip_addr`` give the local addresses of new calls.

    ``sip_addr`` is given the address on which the server takes SIP (`HelloRequest.sip_bind`) and
    the PBX's; either may be empty. It raises CigError where the host has no way to the PBX.
    ``before_hello`` is awaited before a server's greeting is answered; ``import_problem`` says why
    key material that lay in userdata was not imported, if that is so.
    """

    pool: EnginePool
    holder: KeyHolder
    keeper: KeyKeeper
    journal: ReplayJournal
    crypto: CallCrypto
    media: MediaEngine
    clock: Clock
    tel_addr: Callable[[], str]
    sip_addr: Callable[[str, str], str]
    configuration: RelayConfiguration
    random: RandomSource
    counters: Counter[str] = field(default_factory=Counter)
    before_hello: Callable[[], Awaitable[None]] = _nothing
    import_problem: Callable[[], str] = str
    texts: TextCrypto = field(init=False)

    def __post_init__(self) -> None:
        self.texts = TextCrypto(
            pool=self.pool,
            holder=self.holder,
            clock=self.clock,
            numbers=self.crypto.numbers,
            accept_short=self.crypto.accept_short,
        )

    async def hello(self) -> HelloReply:
        """Answer a server's greeting."""
        await self.before_hello()
        return HelloReply(
            VERSION,
            AGENT,
            self.holder.identity,
            self.configuration.digest,
            self.keeper.warning,
        )

    def keys(self) -> KeysReply:
        """Tell what keys there are; nothing of it is secret."""
        now = self.clock.utc()
        try:
            path = self.holder.keystore.find()
        except KeystoreError:
            path = None  # the holder's problem tells it
        state = self.holder.state(now)
        identity = self.holder.identity
        return KeysReply(
            identity=identity,
            anchor="" if identity is None else _anchor(identity),
            periods=self.holder.rows(now),
            path="" if path is None else str(path),
            sealed_by=self.holder.wrapping,
            problem="" if state == "OK" else state,
            keys_ending=self.keeper.warning,
        )

    def status(self) -> StatusReply:
        """Give the relay's state as of now."""
        counted = Counter(self.counters)
        counted.update(self.media.counters())
        counted.update(self.pool.counters())
        random = self.random.state()
        # Read after the state was asked for, which may be what finds a source broken.
        counted["random_failures"] = self.random.failures
        return StatusReply(
            engines_available=self.pool.available,
            engines_total=self.pool.total,
            crypto_state=self._crypto_state(random),
            identity=self.holder.identity,
            calls=self.media.calls(),
            ports_free=self.media.ports_free(),
            random=random,
            counters=dict(counted),
            periods=self.holder.rows(self.clock.utc()),
            keys_ending=self.keeper.warning,
            keystore=self.holder.wrapping,
        )

    def _crypto_state(self, random: str) -> str:
        now = self.clock.utc()
        if random.startswith(FAILED):
            return f"there are no random octets: {random.removeprefix(FAILED)}"
        if not self.pool.available:
            return "no crypto engine is running: see relay.log"
        if self.journal.broken:
            return "the replay journal cannot be written: make room on the disk"
        until = self.journal.refuses_until
        if until is not None and now < until:
            return (
                f"the replay journal was lost: secure calls may be refused for {until - now:.0f} s"
            )
        state = self.holder.state(now)
        return state if state != "OK" else self.import_problem() or "OK"


def _anchor(identity: Identity) -> str:
    try:
        return anchor.describe(identity)
    except MaterialError as error:
        return str(error)
