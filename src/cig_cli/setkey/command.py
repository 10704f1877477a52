# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of `cig-cli set-key`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

DEFAULT_SOCKET = Path("/run/cig/keys.sock")
ENVIRONMENT = "CIG_KEYS_SOCKET"

_NO_RELAY = 2


@click.command("set-key")
@click.option("--file", metavar="FILE", help="Key material: text or PDF; - is standard input.")
@click.option("--passphrase-file", metavar="FILE", help="Its first line opens the key material.")
@click.option("--replace", is_flag=True, help="Give up the keys of another identity.")
@click.option("--dry-run", is_flag=True, help="Show what would be installed, change nothing.")
@click.option(
    "--keys-socket",
    type=click.Path(path_type=Path),
    default=DEFAULT_SOCKET,
    envvar=ENVIRONMENT,
    show_default=True,
    help="The socket on which cig-relay takes keys.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; for scripts.")
def set_key_command(
    file: str | None,
    passphrase_file: str | None,
    replace: bool,
    dry_run: bool,
    keys_socket: Path,
    as_json: bool,
) -> None:
    """Provide the gateway with cryptographic key material.

    Without options it asks for everything step by step, and shows what it found before anything
    is changed. With --file and --passphrase-file it asks nothing. The keys go to cig-relay alone.
    Exit codes: 0 installed, or held already; 1 refused, nothing was changed; 2 no cig-relay
    answers, or wrong usage.
    """
    if passphrase_file is None:
        if file == "-" or as_json:
            which = "--json" if as_json else "--file -"
            raise click.UsageError(f"{which} needs --file and --passphrase-file: nothing is asked.")
        sys.exit(_asking(file, keys_socket, replace=replace, dry_run=dry_run))
    if file is None:
        raise click.UsageError("--passphrase-file needs --file.")
    if file == passphrase_file == "-":
        raise click.UsageError("only one of the two can be read from standard input.")
    # Here and not above: other commands need none of it.
    from cig_cli.setkey.script import Script

    script = Script(keys_socket, replace=replace, dry_run=dry_run, as_json=as_json)
    sys.exit(script.run(file, passphrase_file))


def _asking(file: str | None, keys_socket: Path, *, replace: bool, dry_run: bool) -> int:
    from cig_cli.keys_client import NoRelayError, UnknownOutcomeError
    from cig_cli.setkey.dialogue import Dialogue
    from cig_cli.setkey.terminal import Terminal

    try:
        if not sys.stdin.isatty():
            raise OSError
        terminal = Terminal()
    except OSError:
        raise click.UsageError(
            "here is no terminal to ask on: use --file and --passphrase-file."
        ) from None
    with terminal:
        try:
            dialogue = Dialogue(terminal, keys_socket, replace=replace, dry_run=dry_run)
            return dialogue.run(file)
        except NoRelayError as error:
            terminal.say(f"{error}")
            if not isinstance(error, UnknownOutcomeError):
                terminal.say("Nothing was changed.")
            return _NO_RELAY
