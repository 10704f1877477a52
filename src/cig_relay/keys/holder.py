# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys are in use: read from the keystore, of which engines get what counts now.

The rules:

1. The keystore is read at start, when it has changed, and when other periods count than before
   (`cig_relay.keys.periods`, rule 6). Engines hold no other periods than those.
2. Keys that cannot be taken leave those in use that were: a mistake costs no call. At a change of
   periods that is tried again, after a pause that grows up to an hour.
3. Periods that are over are taken out of the keystore, but only when they have been so for a day
   by a clock that cannot be set, and only if another period is left that is not over. So neither
   a clock that was set wrong nor a CMS that is late costs the gateway its identity.
4. The relay's main process keeps the public part only, besides the copy for engines that have to
   be started again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterable
from dataclasses import replace

from cig_common.clock import Clock
from cig_common.control.key_facts import Identity, PeriodRow
from cig_common.errors import CigError
from cig_material.material import KeyMaterial
from cig_material.period import Period
from cig_relay.engines.errors import RefusedError
from cig_relay.engines.pool import EnginePool
from cig_relay.keys import periods
from cig_relay.keys.errors import KeystoreError, KeystoreKeyError, NoKeysError
from cig_relay.keys.keystore import Keystore
from mikey_sakke.periods import month_of

_log = logging.getLogger("Keys")

_NONE = "no keys are loaded: install key material with `cig-cli set-key`"
_FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 3600.0
_OVER_FOR = 86_400.0


class KeyHolder:
    """The keystore and the engines of ``pool`` that hold what counts of it now."""

    def __init__(self, keystore: Keystore, pool: EnginePool, clock: Clock) -> None:
        self.keystore = keystore
        self._pool = pool
        self._clock = clock
        self._problem = _NONE
        self._busy = asyncio.Lock()
        self.changing = asyncio.Lock()
        """To be held by whoever reads the keystore to write it anew, from the one to the other."""
        self._kms: dict[str, tuple[str, bytes]] = {}
        self._pause, self._retry_at = 0.0, 0.0
        self._over: dict[str, float] = {}
        self.identity: Identity | None = None
        """The public part of the keystore in use, all its periods; None while there is none."""
        self.loaded: tuple[str, ...] = ()
        """The periods that engines hold, oldest first."""

    @property
    def wrapping(self) -> str:
        """What the keystore is sealed by, in words for ``status``."""
        return self.keystore.wrapping

    async def reload(self) -> None:
        """Take what the keystore holds now; no keystore means no keys.

        Raises KeystoreError for one that cannot be used, or EngineError; the keys that were in
        use before then stay in use.
        """
        async with self._busy:
            await self._reload()

    async def keep(self) -> None:
        """Have engines hold what counts now, and drop what is over; raises nothing.

        Costs next to nothing where nothing has changed: to be called every minute.
        """
        async with self._busy:
            if self.identity is None or self._clock.monotonic() < self._retry_at:
                return
            try:
                if self.loaded != self._in_use(self.identity.periods):
                    await self._reload()
                    _log.info("keys in use: %s", " ".join(self.loaded) or "none")
                await self._drop_what_is_over()
                self._pause = 0.0
            except (CigError, OSError) as error:
                self._pause = min(max(2 * self._pause, _FIRST_PAUSE), _LONGEST_PAUSE)
                self._retry_at = self._clock.monotonic() + self._pause
                _log.warning(
                    "the change of key periods failed, trying again in %.0f s: %s",
                    self._pause,
                    error,
                )

    async def _reload(self) -> None:
        try:
            material = await asyncio.to_thread(self.keystore.read)
            if material is None:
                await self._pool.load(None)
                self.identity, self._problem, self.loaded, self._kms = None, _NONE, (), {}
                return
            try:
                await self._load(material)
            finally:
                material.wipe()
        except KeystoreError as error:
            self._problem = str(error)
            raise

    async def _load(self, material: KeyMaterial) -> None:
        wanted = self._in_use(keys.period for keys in material.periods)
        chosen = tuple(keys for keys in material.periods if keys.period in wanted)
        try:
            await self._pool.load(replace(material, periods=chosen) if chosen else None)
        except RefusedError as error:
            path = self.keystore.find() or self.keystore.directory
            raise KeystoreKeyError(
                path, str(error), "restore it from a back-up, or have new key material issued"
            ) from None
        self.identity, self._problem, self.loaded = material.identity, "", wanted
        self._kms = {
            keys.period: (keys.kms.uri, hashlib.sha256(keys.kms.kpak).digest())
            for keys in material.periods
        }

    def _in_use(self, held: Iterable[str]) -> tuple[str, ...]:
        return periods.in_use(held, now=self._clock.utc())

    async def _drop_what_is_over(self) -> None:
        if self.identity is None:
            return
        now = self._clock.monotonic()
        expired = periods.over(self.identity.periods, now=self._clock.utc())
        self._over = {period: self._over.get(period, now) for period in expired}
        due = {period for period, since in self._over.items() if now - since >= _OVER_FOR}
        if not due or len(expired) == len(self.identity.periods):
            return
        async with self.changing:
            left = await asyncio.to_thread(self._drop, due)
        if left is not None:
            self.identity = left
            _log.info("keys that are over were taken out of the keystore: %s", " ".join(due))

    def _drop(self, due: set[str]) -> Identity | None:
        material = self.keystore.read()
        if material is None:
            return None
        try:
            rest = tuple(keys for keys in material.periods if keys.period not in due)
            if not rest:
                return None
            kept = replace(material, periods=rest)
            self.keystore.save(kept)
            return kept.identity
        finally:
            material.wipe()

    # --- what is asked of it --------------------------------------------------------------------

    def require(self) -> Identity:
        """Give the identity in use; raises NoKeysError while there is none."""
        if self.identity is None:
            raise NoKeysError("", self._problem)
        return self.identity

    def require_month(self, month: str) -> Identity:
        """Give the identity if it has keys of ``month`` (YYYY-MM); raises NoKeysError."""
        identity = self.require()
        if not any(Period.parse(period).month == month for period in identity.periods):
            raise NoKeysError(
                month,
                f"no keys of {month} are loaded: get new key material from the CMS and install "
                "it with `cig-cli set-key`",
            )
        return identity

    def state(self, now: float) -> str:
        """Say in words what is wrong with the keys at ``now``, or ``OK``."""
        if self._problem:
            return self._problem
        try:
            self.require_month(month_of(now))
        except NoKeysError as error:
            return str(error)
        return "OK"

    def rows(self, now: float) -> tuple[PeriodRow, ...]:
        """Give the periods of the keystore and what each is good for at ``now``, oldest first."""
        if self.identity is None:
            return ()
        held = self.identity.periods
        return tuple(self._row(period, held, now) for period in held)

    def _row(self, period: str, held: tuple[str, ...], now: float) -> PeriodRow:
        window = periods.Window.of(Period.parse(period).month)
        uri, digest = self._kms.get(period, ("", b""))
        return PeriodRow(
            period=period,
            state=periods.state(period, held, now=now),
            accepted_from=window.accepted_from,
            ends=window.ends,
            accepted_until=window.accepted_until,
            kms=uri,
            kpak_digest=digest,
        )

    def older_than(self, moment: float) -> bool:
        """Tell whether there is a keystore that was written before ``moment`` (UTC).

        Where there is a generation before it, there were keys before, however new it is itself.
        """
        try:
            path = self.keystore.find()
            if path is None:
                return False
            return path.stat().st_mtime < moment or self.keystore.has_previous(path)
        except (KeystoreError, OSError):
            return True
