# SPDX-License-Identifier: GPL-3.0-or-later
"""The program `cig-relay`: reads its command line and cig.conf, and runs the daemon.

Exit codes: 0 after SIGTERM, 1 when it could not start or had to give up, 2 for a wrong command
line or cig.conf. Nothing is printed on standard output.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import pwd
import sys
from pathlib import Path

import click
import uvloop

from cig_common import logs
from cig_common.config import ConfigError
from cig_common.errors import CigError
from cig_common.loading import Loaded, LoadFailedError, load_beside
from cig_relay.config_view import MediaPart, media_part
from cig_relay.control.service import AGENT
from cig_relay.engines.hardening import lock_memory, protect_memory
from cig_relay.engines.pool import DEFAULT_SIZE
from cig_relay.randomness.rdrand import require_rdrand
from cig_relay.randomness.source import NO_RDRAND, RandomSource, open_source
from cig_relay.relay import Options, Relay

_log = logging.getLogger("Relay")

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING}
_USAGE = 2
_ROOM = 2 << 30
"""Octets of address space that the relay may come to need besides what it has at start."""
_PATH = click.Path(path_type=Path)


def _address(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        try:
            ipaddress.ip_address(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return value


def _uid(context: click.Context, option: click.Parameter, value: str | None) -> int:
    if value is None:
        return os.geteuid()
    if value.isascii() and value.isdigit():
        return int(value)
    try:
        return pwd.getpwnam(value).pw_uid
    except (KeyError, ValueError):
        raise click.BadParameter(f"there is no user {value!r} on this host") from None


@click.command(name="cig-relay")
@click.option(
    "--config",
    "config_path",
    type=_PATH,
    default=Path("/opt/cig/cig.conf"),
    show_default=True,
    help="The configuration file.",
)
@click.option(
    "--userdata",
    type=_PATH,
    default=Path("/opt/cig/userdata"),
    show_default=True,
    help="Folder of the keystore and the replay journal; mode 0700.",
)
@click.option(
    "--socket",
    "socket_path",
    type=_PATH,
    default=Path("/run/cig/relay.sock"),
    show_default=True,
    help="Control socket to listen on for cig-server.",
)
@click.option(
    "--keys-socket",
    type=_PATH,
    default=Path("/run/cig/keys.sock"),
    show_default=True,
    help="Socket on which root and one's own user install keys.",
)
@click.option(
    "--server-uid",
    metavar="UID|USER",
    callback=_uid,
    default=None,
    help="The only user that may use the control socket. [default: one's own]",
)
@click.option(
    "--engines",
    type=click.IntRange(1, 64),
    default=DEFAULT_SIZE,
    show_default=True,
    help="How many crypto engines to run.",
)
@click.option(
    "--log", "log_path", type=_PATH, default=None, help="File to log to. [default: standard error]"
)
@click.option(
    "--log-level",
    type=click.Choice(list(_LEVELS), case_sensitive=False),
    default="info",
    show_default=True,
    help="From which level up lines are written.",
)
@click.option(
    "--tel-addr",
    callback=_address,
    default=None,
    help="Local address of the media towards the CRS. [default: as the host routes]",
)
@click.option(
    NO_RDRAND,
    is_flag=True,
    help="Do without the processor's RdRand: for laboratories only.",
)
@click.option(
    "--accept-short-signatures",
    is_flag=True,
    help="Also take messages whose signature leaves out the SIGN header, as some products make "
    "them. [default: refuse them]",
)
@click.version_option(AGENT.partition("/")[2], prog_name="cig-relay")
def main(
    config_path: Path,
    userdata: Path,
    socket_path: Path,
    keys_socket: Path,
    server_uid: int,
    engines: int,
    log_path: Path | None,
    log_level: str,
    tel_addr: str | None,
    no_rdrand: bool,
    accept_short_signatures: bool,
) -> None:
    """Carry the media and hold the keys of the Cryptify Interconnect Gateway."""
    os.umask(0o077)
    options = Options(
        config=config_path,
        userdata=userdata,
        socket=socket_path,
        keys_socket=keys_socket,
        server_uid=server_uid,
        engines=engines,
        tel_addr=tel_addr,
        rdrand=not no_rdrand,
        accept_short_signatures=accept_short_signatures,
    )
    sys.exit(_run(options, log_path, _LEVELS[log_level.lower()]))


def _run(options: Options, log_path: Path | None, level: int) -> int:
    try:
        # A big file in a process of its own: what compiling it takes of memory ends with that.
        loaded = asyncio.run(load_beside(options.config, media_part, ask_host=False))
    except ConfigError as error:
        click.echo(str(error), err=True)
        return error.exit_code
    except LoadFailedError as error:
        click.echo(f"cig-relay: {error}", err=True)
        return 1
    try:
        handler = logs.setup(log_path, level)
    except OSError as error:
        click.echo(f"{log_path}: the log cannot be written ({error.strerror})", err=True)
        return 1
    try:
        protect_memory()
        _lock_memory()
        if options.rdrand:
            require_rdrand()
        random = open_source(rdrand=options.rdrand)
        uvloop.run(_life(options, loaded, handler, random))
    except (CigError, OSError) as error:
        _log.warning("cig-relay gives up: %s", error)
        if log_path is not None:
            click.echo(f"cig-relay: {error}", err=True)
        return 1
    return 0


def _lock_memory() -> None:
    # A relay of 1400 calls takes some hundred MiB, and threads reserve more than they use.
    if lock_memory(_ROOM):
        _log.log(logs.INIT, "memory is locked: no key is written to swap")
        return
    _log.warning(
        "memory is not locked, so that keys may be written to swap: give cig-relay "
        "LimitMEMLOCK=infinity, or use encrypted swap or none"
    )


async def _life(
    options: Options,
    loaded: Loaded[MediaPart],
    handler: logs.ReopenableFileHandler,
    random: RandomSource,
) -> None:
    await Relay(options, loaded, handler, random).run()


if __name__ == "__main__":
    main()
