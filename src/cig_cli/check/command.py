# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of `cig-cli check`, and the order of the rows."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from cig_cli.check.row import Row

_FAILED = 1
_PATH = click.Path(path_type=Path)
_CALLS_WITHOUT_CONFIG = 1000


class Target(Protocol):
    """Where the management port is."""

    @property
    def host(self) -> str:
        """Its address."""

    @property
    def port(self) -> int:
        """Its number."""


@click.command("check")
@click.option(
    "--config",
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
    help="Folder of the keystore.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def check_command(target: Target, config: Path, userdata: Path, as_json: bool) -> None:
    """Check that this host has what the gateway needs.

    Each row that is not ok says what to do. No server is needed, and nothing is changed. Exit
    codes: 0 all is well or but a warning, 1 a check failed.
    """
    # Here and not above: other commands need none of it.
    from cig_cli.check import report

    rows = list(all_rows(target, config, userdata))
    failed = report.failures(rows)
    if as_json:
        click.echo(report.as_json(rows))
        sys.exit(_FAILED if failed else 0)
    for line in report.table(rows):
        click.echo(line)
    if told := report.summary(rows):
        click.echo(told)
    click.echo(report.verdict(rows), err=bool(failed))
    sys.exit(_FAILED if failed else 0)


def all_rows(
    target: Target, config_path: Path, userdata: Path, root: Path = Path("/")
) -> Iterator[Row]:
    """Yield every row. `root` is the folder in which /proc and /run are looked at."""
    from cig_cli.check import clock, machine, names, ports, rights, room
    from cig_cli.check.configuration import read_configuration
    from cig_cli.check.row import skip
    from cig_cli.check.service import running_service

    yield from machine.machine_rows(root)
    yield from clock.clock_rows(time.time())
    config, row = read_configuration(config_path)
    people = rights.People.look()
    yield from rights.user_rows(config)
    yield from rights.file_rows(config_path, userdata, people)
    yield row
    service = running_service(target.host, target.port)
    if config is None:
        yield skip("ports", "cig.conf does not load, so they are unknown", "mend cig.conf first")
    else:
        yield rights.mailbox_row(config)
        taken = ports.Taken.look(root, served=service is not None)
        yield from ports.port_rows(config, target.port, taken)
    yield from names.name_rows(config, service)
    yield room.disk("disk, userdata", userdata)
    yield room.disk("disk, logs", rights.LOG_FOLDER)
    yield from room.limit_rows(root, config.max_calls if config else _CALLS_WITHOUT_CONFIG)
