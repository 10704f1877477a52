# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes in userdata/cig.raw when a cig-server starts: imported, wiped, removed.

The rules:

1. It is looked for at each greeting of a cig-server. The answer waits for the import, so that it
   names the new keys, but only for some seconds; what takes longer is told by an event.
2. First the keys are in the keystore, safe on disk, then the file is wiped and removed. An import
   that was cut short is done again at the next start: keys that are held already are no failure.
3. What does not import is renamed to cig.raw.bad, the reason is logged and stands in ``status``
   until keys are installed or both files are gone. The gateway goes on with the keys that it has.
4. Keys of another identity do not import: nobody is there to consent. That is for set-key.
5. A file that can be neither imported nor moved is told once, and let lie until it changes.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from pathlib import Path

from cig_common.errors import CigError
from cig_material import raw
from cig_relay.keys.installer import InstallRefusedError
from cig_relay.keys.intake import Installed, KeyIntake
from cig_relay.keys.raw_file import BAD_NAME, NAME, RawFile, RawFileError, set_aside

_log = logging.getLogger("Keys")

PATIENCE_SECONDS = 5.0
"""Less than a request may take (see `cig_relay.control.session`)."""


class RawImport:
    """The cig.raw of one userdata folder; ``late`` is called after an import that took long."""

    def __init__(
        self,
        userdata: Path,
        intake: KeyIntake,
        late: Callable[[], None] = lambda: None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._path = userdata / NAME
        self._intake = intake
        self._late = late
        self._patience = patience
        self._task: asyncio.Task[None] | None = None
        self._let_lie: tuple[int, ...] | None = None

    async def look(self) -> None:
        """Import cig.raw if there is one; returns when that is done, or is taking long."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        task = self._task
        done, _ = await asyncio.wait({task}, timeout=self._patience)
        if not done:
            _log.warning("the import of %s takes long: cig-server starts without it", self._path)
            task.add_done_callback(lambda _: self._late())

    async def close(self) -> None:
        """Give up what is running: the next start does it again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # --- the inside -----------------------------------------------------------------------------

    async def _run(self) -> None:
        """Do it; raises nothing."""
        if await asyncio.to_thread(self._nothing_to_do):
            return
        try:
            file = await asyncio.to_thread(RawFile.open, self._path)
            if file is None:
                return
            try:
                await self._import(file)
            except BaseException:
                file.close()
                raise
            await self._remove(file)
        except (CigError, OSError) as error:
            await self._refuse(str(error))
        except Exception as error:
            # Its own text might quote what it stumbled over: a key.
            places = "".join(traceback.format_tb(error.__traceback__))
            _log.error("the import failed through a fault of our own, %s\n%s", type(error), places)
            await self._refuse(f"cig-relay failed ({type(error).__name__})")

    def _nothing_to_do(self) -> bool:
        mark = _mark(self._path)
        if mark is None and _mark(self._path.with_name(BAD_NAME)) is None:
            self._intake.problem = ""
        return mark is None or mark == self._let_lie

    async def _import(self, file: RawFile) -> None:
        for remark in file.remarks:
            _log.warning("%s: %s", self._path, remark)
        if file.was_wiped:
            _log.info("%s was imported before; its removal is finished now", self._path)
        else:
            installed = await self._install(file.octets)
            if installed is None:
                _log.info("%s holds the keys that the gateway has already", self._path)
            else:
                _log.info("%s is imported: now %s", self._path, " ".join(installed.periods))
                for note in installed.notes:
                    _log.warning("%s: %s", self._path, note)

    async def _remove(self, file: RawFile) -> None:
        try:
            problem = await asyncio.to_thread(file.wipe_and_remove)
        except RawFileError as error:
            self._let_lie = await asyncio.to_thread(_mark, self._path)
            _log.warning("%s: the keys in it are installed, but %s: delete it", self._path, error)
            return
        if problem:
            _log.warning("%s: it was removed, but %s", self._path, problem)

    async def _install(self, octets: bytes) -> Installed | None:
        """Install the keys; None where the gateway has them already."""
        material = raw.decode(octets)
        try:
            outline = await self._intake.inspect(material)
            for change in outline.changes:
                _log.warning("%s: %s", self._path, change)
            return await self._intake.install(material, replace=False)
        except InstallRefusedError as error:
            if error.detail != "nothing-new":
                raise
            return None
        finally:
            material.wipe()

    async def _refuse(self, why: str) -> None:
        try:
            bad = await asyncio.to_thread(set_aside, self._path)
        except RawFileError as error:
            self._let_lie = await asyncio.to_thread(_mark, self._path)
            where = f"{error}; delete it, or make userdata writable for cig-relay"
        else:
            where = (
                f"it is now {bad}: to try again, rename it to {NAME} and restart cig-server; "
                "delete it when it is of no use, since it may hold keys in clear"
            )
        self._intake.problem = f"{NAME} was not imported: {why}"
        _log.warning(
            "%s was not imported: %s. The keys are what they were; %s", self._path, why, where
        )


def _mark(path: Path) -> tuple[int, ...] | None:
    """Give what tells this file from another one, or from itself after a change."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
