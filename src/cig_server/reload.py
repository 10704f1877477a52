# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes cig.conf anew while calls are up.

The rules:

1. A file is taken whole or refused whole. A refused one changes nothing and is told in full, to
   whoever asked and in cig.log.
2. cig-relay reads the same file. It is asked to prepare it first; only when it could do so do both
   take it. A relay that is away does not hold this up: it reads the file when it starts.
3. Calls that are up keep what they began with, for nothing of a call looks at the configuration.
4. Where SIP listens (``bind``, ``port``) stays until a restart, and with it the address of the SIP
   side's media; that is told, and all else is taken.
5. One reload at a time; none once the gateway is being stopped.
6. The two daemons may come to use two different files: the relay was told alone, or a connection
   broke between the two steps. That is told, and mended when the relay connects, if the file on
   the disk is still the one in use here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from cig_common.clock import Clock, timestamp
from cig_common.config import ConfigError, Configuration, Diagnostic, SipInterface
from cig_common.control.messages import CommitReloadRequest, Done, PrepareReloadRequest
from cig_common.errors import CigError, LocalError, RelayUnavailableError
from cig_common.loading import LOAD_SECONDS, Loaded, LoadFailedError, load_beside
from cig_common.notify import notify, reloading
from cig_server.config_view import ServerPart, changes, server_part
from cig_server.gateway import Gateway
from cig_server.mgmt.view import NeedsRestart, ReloadReport
from cig_server.relay.client import REQUEST_SECONDS

logger = logging.getLogger("Reload")

_RELAY_SECONDS = LOAD_SECONDS + REQUEST_SECONDS
"""For the relay's compiler; it gives up by itself before that, which costs no call."""
_LINES_AT_ONCE = 100

_RELAY_AWAY = "cig-relay is not connected: it takes the file when it starts"
_STOPPING = "the gateway is being stopped"


class _StoppingError(LocalError):
    """The gateway began to stop while the relay prepared the file."""


class Reloader:
    """Reloads ``path`` for one gateway; ``loaded`` is what that was started with."""

    def __init__(
        self, path: Path, loaded: Loaded[ServerPart], gateway: Gateway, clock: Clock
    ) -> None:
        self._path = path
        self._loaded = loaded
        self._started_with = loaded.part.configuration.sip
        self._gateway = gateway
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._signal_waits = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._relay_digest = b""
        self.on_taken: Callable[[], None] = lambda: None
        """Told when another configuration is in use."""
        self.last: ReloadReport | None = None
        """How the last reload went, a refused one too; None since the start."""
        gateway.on_relay_configuration = self._relay_has

    @property
    def listening(self) -> SipInterface:
        """The sip interface with which SIP was started, and on whose address and port it is."""
        return self._started_with

    def waiting(self) -> tuple[NeedsRestart, ...]:
        """Give what of the configuration in use waits for a restart."""
        return tuple(self._restarts(self._loaded.part.configuration))

    @property
    def relay_differs(self) -> bool:
        """Whether the relay is known to use another cig.conf."""
        told = self._gateway.relay.connected and bool(self._relay_digest)
        return told and self._relay_digest != self._loaded.digest

    async def reload(self, by: str) -> ReloadReport:
        """Take the file, or refuse it; ``by`` is who asks."""
        async with self._one_at_a_time:
            return await self._reload(by)

    def signalled(self) -> None:
        """Reload because of SIGHUP; signals that come while one waits its turn are one."""
        if not self._signal_waits:
            self._signal_waits = True
            self._spawn(self._by_signal())

    async def stop(self) -> None:
        """Give up what a signal began."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- one reload -----------------------------------------------------------------------------

    async def _by_signal(self) -> None:
        async with self._one_at_a_time:
            self._signal_waits = False
            await self._reload("SIGHUP")

    async def _reload(self, by: str) -> ReloadReport:
        reloading()
        words = "the reload was given up"
        try:
            report = self.last = await self._attempt(by)
            words = summary(report)
            await self._tell(report)
            return report
        finally:
            notify(f"READY=1\nSTATUS={words}")

    async def _attempt(self, by: str) -> ReloadReport:
        if self._gateway.stopping:
            return self._refused(by, _STOPPING)
        try:
            loaded = await load_beside(self._path, server_part)
        except ConfigError as error:
            count = len(error.problems)
            words = f"{count} mistake{'' if count == 1 else 's'}"
            return self._refused(by, words, error.problems, error.warnings)
        except LoadFailedError as error:
            return self._refused(by, str(error))
        warnings = loaded.part.configuration.warnings
        try:
            relay = await self._relay_takes(loaded.digest)
        except CigError as error:
            return self._refused(by, str(error), (), warnings)
        old, self._loaded = self._loaded, loaded
        self._gateway.config = loaded.part.configuration
        self.on_taken()
        return ReloadReport(
            str(self._path),
            by,
            self._clock.utc(),
            warnings=warnings,
            changes=tuple(changes(old.part, loaded.part)),
            restart=tuple(self._restarts(loaded.part.configuration)),
            relay=relay,
        )

    def _refused(
        self,
        by: str,
        why: str,
        problems: tuple[Diagnostic, ...] = (),
        warnings: tuple[Diagnostic, ...] = (),
    ) -> ReloadReport:
        return ReloadReport(str(self._path), by, self._clock.utc(), why, problems, warnings)

    async def _relay_takes(self, digest: bytes) -> str:
        """Have the relay take the file; gives why it could not yet. Raises its refusal."""
        relay = self._gateway.relay
        if not relay.connected:
            return _RELAY_AWAY
        try:
            await relay.request(PrepareReloadRequest(digest), Done, _RELAY_SECONDS)
            if self._gateway.stopping:
                raise _StoppingError(_STOPPING)
            await relay.request(CommitReloadRequest(digest), Done)
        except RelayUnavailableError:
            return _RELAY_AWAY
        except _StoppingError:
            raise
        except CigError:
            # A relay that was started meanwhile has prepared nothing, but read the file itself.
            if self._relay_digest != digest:
                raise
        self._relay_digest = digest
        return ""

    def _restarts(self, configuration: Configuration) -> Iterator[NeedsRestart]:
        old, new = self._started_with, configuration.sip
        for what, before, after, position in (
            ("bind", old.bind or "all addresses", new.bind or "all addresses", new.bind_position),
            ("port", old.port, new.port, new.port_position),
        ):
            if before != after:
                line = position.line if position is not None else 0
                yield NeedsRestart(what, str(before), str(after), line)

    async def _tell(self, report: ReloadReport) -> None:
        level = logging.INFO if report.taken else logging.WARNING
        logger.log(level, "%s", summary(report))
        lines = [line for item in report.problems for line in item.render().split("\n")]
        lines += [line for item in report.warnings for line in item.render().split("\n")]
        lines += (item.words(report.filename) for item in report.restart)
        lines += filter(None, [report.relay])
        for number, line in enumerate(lines, 1):
            logger.warning("%s", line)
            if number % _LINES_AT_ONCE == 0:
                await asyncio.sleep(0)  # a long list must not keep calls waiting
        for line in report.changes:
            logger.info("%s", line)

    # --- the relay's own file -------------------------------------------------------------------

    def _relay_has(self, digest: bytes, fresh: bool) -> None:
        """The relay tells which cig.conf it uses; ``fresh``: it has just connected."""
        self._relay_digest = digest
        if not self.relay_differs:
            return
        if fresh:
            self._spawn(self._mend())
        else:
            logger.warning("cig-relay has taken another cig.conf: `cig-cli reload` takes it here")

    async def _mend(self) -> None:
        async with self._one_at_a_time:
            if not self.relay_differs:
                return
            try:
                why = await self._relay_takes(self._loaded.digest)
            except CigError as error:
                why = str(error)
        if why:
            logger.warning("cig-relay uses another cig.conf than cig-server: %s", why)
        else:
            logger.info("cig-relay uses the same cig.conf again")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            logger.exception("a reload failed in a way not foreseen")


def summary(report: ReloadReport) -> str:
    """Tell in one line how a reload went."""
    when = timestamp(report.utc)
    if report.taken:
        waits = ", some of it after a restart" if report.restart else ""
        return f"{when} {report.filename} was taken{waits} ({report.by})"
    return (
        f"{when} {report.filename} was refused: {report.refusal}; the old one stays in use "
        f"({report.by})"
    )
