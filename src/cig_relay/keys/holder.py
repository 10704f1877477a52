# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys are in use: read from userdata at start and on SIGHUP, given to the engines.

The relay's main process keeps the public part only, besides the copy for engines that have to be
started again.
"""

from __future__ import annotations

import asyncio

from cig_common.control.messages import Identity
from cig_material.period import Period
from cig_relay.engines.errors import RefusedError
from cig_relay.engines.pool import EnginePool
from cig_relay.keys.errors import KeystoreError, KeystoreKeyError, NoKeysError
from cig_relay.keys.keystore import Keystore
from mikey_sakke.periods import month_of

_NONE = "no keys are loaded: put a keystore into userdata and reload cig-relay"


class KeyHolder:
    """The keystore and the engines of ``pool`` that hold its keys."""

    def __init__(self, keystore: Keystore, pool: EnginePool) -> None:
        self._keystore = keystore
        self._pool = pool
        self._problem = _NONE
        self.identity: Identity | None = None
        """The public part of the keys in use; None while there are none."""

    @property
    def wrapping(self) -> str:
        """What the keystore is sealed by, in words for ``status``."""
        return self._keystore.wrapping

    async def reload(self) -> None:
        """Take what the keystore holds now; no keystore means no keys.

        Raises KeystoreError for one that cannot be used, or EngineError; the keys that were in
        use before then stay in use.
        """
        try:
            await self._load()
        except KeystoreError as error:
            self._problem = str(error)
            raise

    async def _load(self) -> None:
        material = await asyncio.to_thread(self._keystore.read)
        if material is None:
            await self._pool.load(None)
            self.identity, self._problem = None, _NONE
            return
        try:
            await self._pool.load(material)
        except RefusedError as error:
            path = self._keystore.find() or self._keystore.directory
            raise KeystoreKeyError(
                path, str(error), "restore it from a back-up, or have new key material issued"
            ) from None
        finally:
            material.wipe()
        self.identity, self._problem = material.identity, ""

    def require(self) -> Identity:
        """Give the identity in use; raises NoKeysError while there is none."""
        if self.identity is None:
            raise NoKeysError("", self._problem)
        return self.identity

    def require_month(self, month: str) -> Identity:
        """Give the identity if it has keys of ``month`` (YYYY-MM); raises NoKeysError."""
        identity = self.require()
        if not any(Period.parse(p).month == month for p in identity.periods):
            raise NoKeysError(month, f"no keys of {month} are loaded: get new ones from the CMS")
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

    def older_than(self, moment: float) -> bool:
        """Tell whether there is a keystore that was written before ``moment`` (UTC)."""
        try:
            path = self._keystore.find()
            return path is not None and path.stat().st_mtime < moment
        except (KeystoreError, OSError):
            return True
