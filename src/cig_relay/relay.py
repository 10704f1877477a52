# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon as a whole: puts the parts together, runs until it is told to stop, takes them apart.

Signals: SIGTERM and SIGINT stop it within 5 seconds, SIGHUP takes cig.conf and the keystore anew,
SIGUSR1 opens the log file anew.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cig_common.clock import SystemClock
from cig_common.control.key_facts import KeysEnding
from cig_common.control.messages import ConfigurationEvent
from cig_common.errors import CigError, LocalError
from cig_common.loading import Loaded
from cig_common.logs import INIT, ReopenableFileHandler
from cig_common.notify import notify, reloading
from cig_relay.addresses import TelAddress, sip_address
from cig_relay.config_view import MediaPart
from cig_relay.configuration import RelayConfiguration
from cig_relay.control.call_crypto import DEFAULT_SKEW, CallCrypto
from cig_relay.control.keys_server import KeysServer
from cig_relay.control.server import ControlServer
from cig_relay.control.service import AGENT, RelayService
from cig_relay.engines.pool import EnginePool
from cig_relay.keys.holder import KeyHolder
from cig_relay.keys.intake import KeyIntake
from cig_relay.keys.keeper import KeyKeeper
from cig_relay.keys.keystore import Keystore
from cig_relay.keys.raw_import import RawImport
from cig_relay.keys.replay_journal import FILE_NAME, ReplayJournal
from cig_relay.media.engine import MediaSettings
from cig_relay.media.python_engine import PythonMediaEngine
from cig_relay.randomness.source import NO_RDRAND, RandomSource, kernel_bytes

_log = logging.getLogger("Relay")

_ROUTE_SECONDS = 30.0
_STOP_SECONDS = 4.0


class UserdataInUseError(LocalError):
    """Another cig-relay works with the same userdata folder."""

    log_code = "userdata-in-use"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says; see `cig_relay.app`."""

    config: Path
    userdata: Path
    socket: Path
    keys_socket: Path
    server_uid: int
    engines: int
    tel_addr: str | None
    rdrand: bool
    accept_short_signatures: bool


class Relay:
    """The running daemon; `run` is its whole life."""

    def __init__(
        self,
        options: Options,
        loaded: Loaded[MediaPart],
        log: ReopenableFileHandler,
        random: RandomSource,
    ) -> None:
        self._options = options
        self._random = random
        self._configuration = RelayConfiguration(options.config, loaded)
        self._log = log
        self._stop = asyncio.Event()
        self._reload_wanted = asyncio.Event()
        self._look_at_route = asyncio.Event()
        self._tel_addr = TelAddress(options.tel_addr)
        self._pool = EnginePool(
            options.engines,
            listener=self._engines_changed,
            options=() if options.rdrand else (NO_RDRAND,),
        )
        self._clock = SystemClock()
        keystore = Keystore(options.userdata, random_bytes=self._random.random_bytes)
        self._holder = KeyHolder(keystore, self._pool, self._clock)
        self._keeper = KeyKeeper(self._holder, self._clock, self._keys_ending)
        self._intake = KeyIntake(self._holder, self._pool, self._clock, self._keys_installed)
        self._raw_import = RawImport(options.userdata, self._intake, self._tell_identity)
        self._server: ControlServer | None = None

    async def run(self) -> None:
        """Start, serve until SIGTERM, stop. Raises CigError or OSError when it cannot start."""
        lock = _lock(self._options.userdata)
        try:
            await self._tell_start()
            await self._pool.start()
            try:
                await self._with_engines()
            finally:
                await self._pool.close()
        finally:
            os.close(lock)
        _log.info("stopped")

    async def _with_engines(self) -> None:
        await self._load_keys()
        journal = self._open_journal()
        # No secret is made of these: SSRCs, first numbers of streams, transactions, intervals.
        # They are the kernel's, so that calls that are up go on where RdRand fails.
        media = PythonMediaEngine(
            self._configuration.part.settings, clock=self._clock, random_bytes=kernel_bytes
        )

        def configure(settings: MediaSettings) -> None:
            media.configure(settings)
            self._look_at_route.set()  # an override may lead another way to the CRS

        self._configuration.configure = configure
        service = self._service(media, journal)
        server = ControlServer(service, self._options.socket, allowed_uid=self._options.server_uid)
        keys = KeysServer(self._intake, self._options.keys_socket, changed=self._tell_identity)
        try:
            await server.start()
            self._server = server
            await keys.start()
            await self._serve()
        finally:
            async with asyncio.timeout(_STOP_SECONDS):
                await keys.close()
                await self._raw_import.close()
                await server.close()
                await media.close()
                await journal.close()

    def _service(self, media: PythonMediaEngine, journal: ReplayJournal) -> RelayService:
        crypto = CallCrypto(
            pool=self._pool,
            holder=self._holder,
            journal=journal,
            clock=self._clock,
            random_bytes=self._random.random_bytes,
            accept_short=self._options.accept_short_signatures,
        )
        return RelayService(
            pool=self._pool,
            holder=self._holder,
            keeper=self._keeper,
            journal=journal,
            crypto=crypto,
            media=media,
            clock=self._clock,
            tel_addr=self._tel_addr,
            sip_addr=self._sip_addr,
            configuration=self._configuration,
            before_hello=self._raw_import.look,
            import_problem=lambda: self._intake.problem,
            random=self._random,
        )

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_wanted.set)
        loop.add_signal_handler(signal.SIGUSR1, self._reopen_log)
        background = [
            asyncio.create_task(self._follow_route()),
            asyncio.create_task(self._keeper.run()),
            asyncio.create_task(self._reload_when_told()),
        ]
        _log.log(INIT, "ready on %s", self._options.socket)
        notify("READY=1")
        try:
            await self._stop.wait()
        finally:
            _log.info("stopping: all calls are closed")
            notify("STOPPING=1")
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)

    # --- keys and configuration -----------------------------------------------------------------

    def _open_journal(self) -> ReplayJournal:
        return ReplayJournal(
            self._options.userdata / FILE_NAME,
            now=self._clock.utc(),
            skew=DEFAULT_SKEW,
            keys_before=self._holder.older_than,
        )

    async def _load_keys(self) -> None:
        try:
            await self._holder.reload()
        except CigError as error:
            _log.warning("the keystore was not taken: %s", error)
        self._tell_keys()

    def _tell_keys(self) -> None:
        identity = self._holder.identity
        if identity is None:
            _log.log(INIT, "no keys: calls are refused until `cig-cli set-key` has installed some")
            return
        _log.log(
            INIT,
            "keys of %s, security domain %s, periods %s, CRS %s",
            identity.public_id,
            identity.domain,
            " ".join(identity.periods),
            " ".join(identity.crs),
        )

    def _keys_installed(self) -> None:
        self._tell_keys()
        self._keeper.look_soon()
        self._look_at_route.set()  # the CRS may be another one

    def _tell_identity(self) -> None:
        if self._server is not None:
            self._server.identity_changed()

    async def _reload_when_told(self) -> None:
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            reloading()
            try:
                taken = await self._configuration.reload()
                await self._load_keys()
                await self._refresh_route()
                self._keeper.look_soon()
                if self._server is not None:
                    self._server.send_event(ConfigurationEvent(self._configuration.digest))
                    self._server.identity_changed()
            except Exception:
                _log.exception("the reload failed in a way not foreseen")
                taken = False
            notify("READY=1\nSTATUS=" + ("" if taken else "cig.conf refused: see relay.log"))

    # --- addresses ------------------------------------------------------------------------------

    def _sip_addr(self, server_bind: str, peer: str) -> str:
        part = self._configuration.part
        return sip_address(server_bind or part.bind, peer, part.settings.sip_override)

    async def _follow_route(self) -> None:
        while True:
            self._look_at_route.clear()
            await self._refresh_route()
            with suppress(TimeoutError):
                # Not wait_for: until Python 3.12 that can lose a cancellation.
                async with asyncio.timeout(_ROUTE_SECONDS):
                    await self._look_at_route.wait()

    async def _refresh_route(self) -> None:
        if self._holder.identity is not None:
            override = self._configuration.part.settings.tel_override
            await self._tel_addr.refresh(self._holder.identity.crs, override)

    # --- what is told ---------------------------------------------------------------------------

    async def _tell_start(self) -> None:
        _log.log(INIT, "%s, process %d, uid %d", AGENT, os.getpid(), os.geteuid())
        _log.log(INIT, "userdata %s, %d engines", self._options.userdata, self._options.engines)
        _log.log(INIT, "server on %s as uid %d", self._options.socket, self._options.server_uid)
        _log.log(INIT, "keys are taken on %s and from cig.raw", self._options.keys_socket)
        await self._configuration.tell()
        if self._options.accept_short_signatures:
            _log.warning(
                "--accept-short-signatures: SIGNATURES THAT LEAVE OUT THE SIGN HEADER ARE TAKEN, "
                "against RFC 3830; each is told here and counted as signatures_short. Leave the "
                "option out as soon as the products that need it are mended"
            )
        if self._options.rdrand:
            _log.log(INIT, "random octets from %s", self._random.sources)
        else:
            _log.warning(
                "%s: RANDOM OCTETS COME FROM THE KERNEL ALONE. The manual asks for RdRand: this is "
                "for laboratories, NOT for real calls",
                NO_RDRAND,
            )

    def _engines_changed(self, available: int, total: int) -> None:
        _log.info("crypto engines available %d/%d", available, total)
        if self._server is not None:
            self._server.engines_changed(available, total)

    def _keys_ending(self, warning: KeysEnding | None) -> None:
        if self._server is not None:
            self._server.keys_ending(warning)

    def _reopen_log(self) -> None:
        try:
            self._log.reopen()
        except OSError as error:
            _log.warning("the log file could not be opened anew: %s", error)


def _lock(userdata: Path) -> int:
    descriptor = os.open(userdata, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise UserdataInUseError(f"{userdata}: another cig-relay uses it: stop it first") from None
    return descriptor
