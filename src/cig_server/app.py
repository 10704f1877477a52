# SPDX-License-Identifier: GPL-3.0-or-later
"""The program ``cig-server``: reads cig.conf, joins the parts, runs until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import uvloop

from cig_common import logs
from cig_common.clock import SystemClock
from cig_common.config import ConfigError
from cig_common.control.messages import SignAuthReply, SignAuthRequest
from cig_common.errors import CigError
from cig_common.loading import Loaded, LoadFailedError, load_beside
from cig_common.notify import notify
from cig_server.call.manager import CallManager
from cig_server.call.model import Ending
from cig_server.config_view import ServerPart, describe, server_part
from cig_server.gateway import Gateway
from cig_server.key_warnings import KeyWarnings
from cig_server.mgmt.server import ManagementServer
from cig_server.mgmt.token import create_token
from cig_server.notify_script import DEFAULT_SCRIPT, NotifyScript
from cig_server.relay.client import RelayClient
from cig_server.reload import Reloader
from cig_server.session_log import SessionLog
from cig_server.sif.interface import SipInterface
from cig_server.sif.settings import ALL, SipSettings
from cig_server.status import ServerView
from cig_server.texts.service import TextService
from cig_server.uif.interface import UmsgInterface
from umsg.events import SignatureWanted
from umsg.reasons import Reason

VERSION = "2.7.0"

STOP_SECONDS = 2.0
"""How long running steps (BYE, hangup, closing media) may take at the end."""

TEXT_STOP_SECONDS = 2.0
"""How long texts that are being delivered may take at the end."""

EXIT_FAILED = 1
EXIT_BAD_CONFIGURATION = 2

logger = logging.getLogger("Server")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    config: Path
    relay_socket: Path
    mgmt_port: int
    mgmt_token: Path | None
    log: Path | None
    session_log: Path | None
    notify_script: Path
    texts: Path


class Server:
    """All parts of cig-server, joined."""

    def __init__(self, options: Options, loaded: Loaded[ServerPart]) -> None:
        self._options = options
        config = loaded.part.configuration
        self.clock = SystemClock()
        self.session_log = SessionLog(options.session_log)
        self.manager = CallManager(self.clock, self.session_log)
        self.gateway = Gateway(config, self.manager, os.urandom)
        self.uif = UmsgInterface(self._sign, self.gateway, self.clock)
        bind = str(config.sip.bind) if config.sip.bind is not None else ALL
        self.sip_settings = SipSettings(bind, config.sip.port)
        self.relay = RelayClient(options.relay_socket, self.gateway, sip_bind=bind)
        self.sif = SipInterface(
            self.sip_settings, self.gateway.sip_event, on_refused=self.gateway.sip_refused
        )
        self.gateway.attach(self.relay, self.uif, self.sif)
        self.notify_script = NotifyScript(options.notify_script)
        self.key_warnings = KeyWarnings(self.notify_script)
        self.gateway.on_keys_ending = self.key_warnings.take
        self.reloader = Reloader(options.config, loaded, self.gateway, self.clock)
        self.texts = TextService(
            folder=options.texts,
            config=lambda: self.gateway.config,
            relay=self.relay,
            uif=self.uif,
            sif=self.sif,
            clock=self.clock,
            random_bytes=os.urandom,
        )
        self.reloader.on_taken = self.texts.reconfigured
        self.view = ServerView(self.gateway, self.reloader, self.key_warnings, self.clock)
        self.view.text_service = self.texts
        self.mgmt: ManagementServer | None = None

    async def _sign(self, wanted: SignatureWanted, period: str) -> bytes:
        request = SignAuthRequest(
            hello_digest=wanted.hello_digest,
            challenge_digest=wanted.challenge_digest,
            certificate_digest=wanted.certificate_digest,
            period=period,
        )
        return (await self.relay.request(request, SignAuthReply)).sig

    async def start(self) -> None:
        """Open every port and begin to connect; raises CigError or OSError for what is taken."""
        await self.sif.start()
        token = create_token(self._options.mgmt_token) if self._options.mgmt_token else None
        self.mgmt = ManagementServer(self.view, token=token, port=self._options.mgmt_port)
        await self.mgmt.start()
        self.view.management = self.mgmt.counters
        await self.texts.start()
        self.relay.start()

    async def stop(self) -> None:
        """End all calls on both sides, then close everything; takes 5 s at the most."""
        self.gateway.stopping = True
        await self.reloader.stop()
        self.manager.abort_all(Ending(Reason.NORMAL, "the gateway is being stopped", 503))
        if not await self.manager.wait_idle(STOP_SECONDS):
            logger.warning("not every call could be ended in %g s", STOP_SECONDS)
        try:
            async with asyncio.timeout(TEXT_STOP_SECONDS):
                await self.texts.stop()
        except TimeoutError:
            # Whatever is cut off here is whole again after the next start, as after any other end.
            logger.warning("texts were under way for %g s and are cut off", TEXT_STOP_SECONDS)
        await self.sif.stop()
        await self.uif.stop()
        await self.relay.stop()
        await self.notify_script.stop()
        if self.mgmt is not None:
            await self.mgmt.stop()
        self.session_log.close()


async def _run(options: Options, loaded: Loaded[ServerPart], reopen: Callable[[], None]) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = Server(options, loaded)

    def reopen_all() -> None:
        reopen()
        server.session_log.reopen()

    loop.add_signal_handler(signal.SIGUSR1, reopen_all)
    try:
        await server.start()
    except (CigError, OSError) as error:
        logger.warning("start failed: %s", error)
        if options.log is not None:  # else it stands on standard error already
            click.echo(f"cig-server: cannot start: {error}", err=True)
        await server.stop()
        return EXIT_FAILED
    loop.add_signal_handler(signal.SIGHUP, server.reloader.signalled)
    notify("READY=1")
    where = server.sip_settings.where()
    logger.info("ready: SIP on %s, management on 127.0.0.1:%d", where, options.mgmt_port)
    await stop.wait()
    notify("STOPPING=1")
    logger.info("stopping: %d calls are up", server.manager.live_count)
    await server.stop()
    logger.info("stopped")
    return 0


def _log_configuration(loaded: Loaded[ServerPart]) -> None:
    config = loaded.part.configuration
    logger.log(logs.INIT, "cig-server %s, configuration %s, SHA-256 %s",
               VERSION, config.filename, loaded.digest.hex())  # fmt: skip
    for line in describe(config):
        logger.log(logs.INIT, "%s", line)
    for warning in config.warnings:
        for line in warning.render().split("\n"):
            logger.warning("%s", line)


_PATH = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--config", type=_PATH, default=Path("/opt/cig/cig.conf"), show_default=True)
@click.option("--relay-socket", type=_PATH, default=Path("/run/cig/relay.sock"), show_default=True)
@click.option("--mgmt-port", type=click.IntRange(0, 65535), default=8083, show_default=True)
@click.option("--mgmt-token", type=_PATH, help="File that gets the token of this run.")
@click.option("--log", type=_PATH, help="File for cig.log; standard error if absent.")
@click.option("--session-log", type=_PATH, help="File for session.log; none if absent.")
@click.option(
    "--notify-script",
    type=_PATH,
    default=DEFAULT_SCRIPT,
    show_default=True,
    help="What to run when something needs a person; see docs/notify.md.",
)
@click.option(
    "--texts",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/var/lib/cig/texts"),
    show_default=True,
    help="Folder for what is known of texts under way; see docs/texts.md.",
)
@click.option("--log-level", type=click.Choice(["DEBUG", "INFO", "WARN"]), default="INFO")
@click.version_option(VERSION, prog_name="cig-server")
def main(
    config: Path,
    relay_socket: Path,
    mgmt_port: int,
    mgmt_token: Path | None,
    log: Path | None,
    session_log: Path | None,
    notify_script: Path,
    texts: Path,
    log_level: str,
) -> None:
    """Signalling of the Cryptify-compatible interconnect gateway: UMSG, SIP, management.

    Holds no keys; cig-relay does. Ends with 2 when cig.conf is wrong, with 1 when a port or file
    cannot be had.
    """
    # It asks for a reload; before there is anything to reload it must not end the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    options = Options(
        config=config,
        relay_socket=relay_socket,
        mgmt_port=mgmt_port,
        mgmt_token=mgmt_token,
        log=log,
        session_log=session_log,
        notify_script=notify_script,
        texts=texts,
    )
    try:
        loaded = asyncio.run(load_beside(config, server_part))
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_BAD_CONFIGURATION)
    except LoadFailedError as error:
        click.echo(f"cig-server: {error}", err=True)
        sys.exit(EXIT_FAILED)
    try:
        handler = logs.setup(log, getattr(logging, log_level.replace("WARN", "WARNING")))
    except OSError as error:
        click.echo(f"cig-server: cannot write the log {log}: {error.strerror}", err=True)
        sys.exit(EXIT_FAILED)
    _log_configuration(loaded)
    sys.exit(uvloop.run(_run(options, loaded, handler.reopen)))
