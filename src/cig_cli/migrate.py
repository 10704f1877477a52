# SPDX-License-Identifier: GPL-3.0-or-later
"""`cig-cli migrate FILE`: writes the mailboxes for a configuration whose texts went by its maps."""

from __future__ import annotations

import sys

import click

from cig_cli.readfile import patient_load, refused

EXIT_BAD = 1
READ_PATH = "/var/spool/cig/send"
WRITE_PATH = "/var/spool/cig/received"


def _path(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not value.startswith("/") or '"' in value or not value.isprintable():
        raise click.BadParameter('a mailbox path is absolute, printable and without `"`')
    return value


@click.command("migrate")
@click.argument("file", type=click.Path())
@click.option(
    "--read",
    "read_path",
    metavar="PATH",
    default=READ_PATH,
    show_default=True,
    callback=_path,
    help="The folder that is watched for messages to send.",
)
@click.option(
    "--write",
    "write_path",
    metavar="PATH",
    default=WRITE_PATH,
    show_default=True,
    callback=_path,
    help="The folder where received messages are put.",
)
def migrate_command(file: str, read_path: str, write_path: str) -> None:
    """Print the translate_maps and mailboxes that do for texts what the maps of FILE do.

    FILE is a configuration from before there were mailboxes; no server is needed. Add what is
    printed to it. What cannot be carried over is told on standard error. Exit codes: 0 done, 1 FILE
    does not load or nothing can be made of it, 2 wrong usage.
    """
    sys.exit(_migrate(file, read_path, write_path))


def _migrate(file: str, read_path: str, write_path: str) -> int:
    # Here and not above: the configuration's machinery takes longer to load than other commands.
    from cig_common.config import ConfigError
    from cig_common.config.migration import MigrationError, migrate

    try:
        made = migrate(patient_load(file), read_path, write_path)
    except ConfigError as error:
        return refused(error, as_json=False, say=_tell)
    except MigrationError as error:
        _tell(f"ERROR: no mailboxes can be made of {file}: {error}")
        return EXIT_BAD
    for note in made.notes:
        _tell(f"note: {note}")
    for line in made.lines():
        click.echo(line)
    return 0


def _tell(text: str) -> None:
    click.echo(text, err=True)
