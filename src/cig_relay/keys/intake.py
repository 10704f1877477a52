# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way by which key material gets into the keystore, whether set-key or cig.raw brings it.

A shell around `cig_relay.keys.installer`. The rules:

1. Nothing is written before every key was checked against its equations, by an engine, so that the
   media never waits. What is held is checked as well: keys that are wrong must not be kept on.
2. From the reading of the keystore to its writing nobody else changes it (`KeyHolder.changing`).
3. What was written is used at once. If the engines cannot take it, it is on disk all the same, and
   that is told: it was installed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cig_common.clock import Clock
from cig_common.errors import CigError
from cig_material.material import KeyMaterial
from cig_relay.engines.errors import RefusedError
from cig_relay.engines.pool import EnginePool
from cig_relay.keys.errors import KeystoreError
from cig_relay.keys.holder import KeyHolder
from cig_relay.keys.installer import InstallRefusedError, Outline, Plan, Unusable, plan
from cig_relay.keys.keystore import PREFIX

_log = logging.getLogger("Keys")


@dataclass(frozen=True, slots=True)
class Installed:
    """Where the keys are now, which periods that file holds, and what an operator should know."""

    path: Path
    periods: tuple[str, ...]
    notes: tuple[str, ...]


class KeyIntake:
    """Checks and installs key material; ``installed`` is called after each installation."""

    def __init__(
        self,
        holder: KeyHolder,
        pool: EnginePool,
        clock: Clock,
        installed: Callable[[], None] = lambda: None,
    ) -> None:
        self._holder = holder
        self._pool = pool
        self._clock = clock
        self._installed = installed
        self.problem = ""
        """Why the last cig.raw was not imported; empty once keys were installed since."""

    async def inspect(self, material: KeyMaterial) -> Outline:
        """Check every key, and tell what an installation would do.

        Raises InstallRefusedError, MaterialError, EngineError.
        """
        await self._check(material)
        async with self._holder.changing:
            held = await self._held()
            try:
                return self._plan(held, material).outline
            finally:
                _wipe(held)

    async def install(
        self, material: KeyMaterial, *, replace: bool, agreed: Outline | None = None
    ) -> Installed:
        """Install ``material``, whose keys `inspect` has checked.

        ``replace`` is the consent to give up another keystore. Where ``agreed`` is given, nothing
        else is done than that. Raises as `inspect` does, and KeystoreError or OSError; nothing was
        changed then.
        """
        async with self._holder.changing:
            held = await self._held()
            try:
                made = self._plan(held, material)
                if agreed is not None and made.outline != agreed:
                    raise InstallRefusedError(
                        "changed",
                        "the gateway's keys have changed since this key material was looked at: "
                        "look at it again",
                    )
                made.outline.require_consent(given=replace)
                path = await asyncio.to_thread(
                    self._holder.keystore.save,
                    made.material,
                    replace_unreadable=isinstance(held, Unusable),
                )
            finally:
                _wipe(held)
        self.problem = ""
        notes = (*made.outline.notes, *await self._use(path))
        self._installed()
        return Installed(path, made.outline.result, notes)

    # --- the inside -----------------------------------------------------------------------------

    def _plan(self, held: KeyMaterial | Unusable | None, material: KeyMaterial) -> Plan:
        return plan(held, material, now=self._clock.utc())

    async def _check(self, material: KeyMaterial) -> None:
        """Raise InstallRefusedError that names the period whose keys are wrong."""
        for keys in material.periods:
            try:
                # One at a time, so that calls get their turn between them.
                await self._pool.check(replace(material, periods=(keys,)))
            except RefusedError as error:
                raise InstallRefusedError(
                    "wrong-keys",
                    f"the keys of period {keys.period} are wrong ({error}): ask the CMS for new "
                    "material",
                ) from None

    async def _held(self) -> KeyMaterial | Unusable | None:
        try:
            material = await asyncio.to_thread(self._holder.keystore.read)
        except KeystoreError as error:
            return Unusable(self._name(), str(error))
        if material is not None:
            try:
                await self._check(material)
            except InstallRefusedError as error:
                material.wipe()
                return Unusable(material.uri, f"what the keystore holds is damaged: {error}")
            except BaseException:
                material.wipe()
                raise
        return material

    def _name(self) -> str:
        try:
            path = self._holder.keystore.find()
        except KeystoreError:
            path = None
        return "userdata" if path is None else path.name.removeprefix(PREFIX)

    async def _use(self, path: Path) -> tuple[str, ...]:
        try:
            await self._holder.reload()
        except CigError as error:
            _log.warning(
                "the keys are in %s, but they could not be taken into use: %s", path, error
            )
            return (
                f"ATTENTION: the keys are on disk, but not in use yet ({error}). Restart cig-relay "
                "when that is mended.",
            )
        return ()


def _wipe(held: KeyMaterial | Unusable | None) -> None:
    if isinstance(held, KeyMaterial):
        held.wipe()
