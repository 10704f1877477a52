# SPDX-License-Identifier: GPL-3.0-or-later
"""`cig-cli reload`: has the running gateway take its cig.conf anew, and shows what came of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Protocol

import click

from cig_cli.client import Client, NoServerError
from cig_cli.token import DEFAULT_TOKEN, ENVIRONMENT, NoTokenError, authorise, read_token

RELOAD_SECONDS = 900.0
"""How long to wait: both daemons compile the file, and another reload may be under way."""

_ERROR, _NO_SERVER = 1, 2


class Target(Protocol):
    """Where the management port is."""

    @property
    def host(self) -> str:
        """Its address."""

    @property
    def port(self) -> int:
        """Its number."""


@click.command("reload")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    default=DEFAULT_TOKEN,
    envvar=ENVIRONMENT,
    show_default=True,
    help="File with the token of the running service.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def reload_command(target: Target, token_file: Path, as_json: bool) -> None:
    """Have the running gateway take cig.conf anew.

    New calls use it at once, running ones go on as they are. A file with a mistake is refused
    whole and the old one stays in use: exit code 1.
    """
    sys.exit(reload(target, token_file, as_json=as_json))


def reload(target: Target, token_file: Path, *, as_json: bool) -> int:
    """Reload, print the answer, return the exit code."""
    try:
        with Client(target.host, target.port, timeout=RELOAD_SECONDS) as client:
            authorise(client, read_token(token_file))
            answer = client.ask("reload --json" if as_json else "reload")
    except NoServerError as error:
        click.echo(str(error), err=True)
        return _NO_SERVER
    except NoTokenError as error:
        click.echo(f"ERROR: {error}", err=True)
        return _ERROR
    for line in answer.lines:
        click.echo(line)
    if answer.error is not None:
        if not (as_json and answer.lines):
            click.echo(f"ERROR: {answer.error}", err=True)
        return _ERROR
    if not as_json:
        click.echo("OK")
    return 0
