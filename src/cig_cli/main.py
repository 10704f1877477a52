# SPDX-License-Identifier: GPL-3.0-or-later
"""Entry point of cig-cli: the manual's commands in direct mode, or a prompt without a command.

Exit codes: 0 done; 1 the answer was an error (a configuration that does not load, a refused
command); 2 no server answers, or wrong usage.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass

import click

from cig_cli.client import DEFAULT_HOST, DEFAULT_PORT, Client, NoServerError
from cig_cli.interactive import interact
from cig_cli.readfile import read_file

EXIT_ERROR = 1
EXIT_NO_SERVER = 2
VERSION = "2.7.0"

_AT_SERVER = ("echo", "help", "show", "status")
"""What the prompt sends to the server as it was typed."""

_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@dataclass(frozen=True, slots=True)
class Target:
    """Where the management port is."""

    host: str
    port: int


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--host",
    default=DEFAULT_HOST,
    envvar="CIG_MGMT_HOST",
    show_default=True,
    help="Address of the management port.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=DEFAULT_PORT,
    envvar="CIG_MGMT_PORT",
    show_default=True,
    help="Management port.",
)
@click.version_option(VERSION, prog_name="cig-cli")
@click.pass_context
def main(context: click.Context, host: str, port: int) -> None:
    """Look at a running Cryptify Interconnect Gateway, or check a configuration.

    Without a command: a prompt that takes the same commands.
    """
    context.obj = Target(host, port)
    if context.invoked_subcommand is None:
        sys.exit(interact(lambda line: _run_line(context.obj, line)))


@main.command()
@click.argument("text", nargs=-1)
@_json_option
@click.pass_obj
def echo(target: Target, text: tuple[str, ...], as_json: bool) -> None:
    """Let the server say TEXT back."""
    sys.exit(ask(target, " ".join(("echo", *text)), as_json=as_json))


@main.command("help")
@_json_option
@click.pass_context
def help_command(context: click.Context, as_json: bool) -> None:
    """List the server's commands; without a server, those of cig-cli itself."""
    code = ask(context.obj, "help", as_json=as_json)
    if code == EXIT_NO_SERVER and not as_json:
        click.echo("\n" + context.find_root().get_help())
    sys.exit(code)


@main.group()
def show() -> None:
    """Show active calls or UMSG sessions."""


@show.command("call")
@_json_option
@click.pass_obj
def show_call(target: Target, as_json: bool) -> None:
    """Show the calls."""
    sys.exit(ask(target, "show call", as_json=as_json))


@show.command("umsg")
@_json_option
@click.pass_obj
def show_umsg(target: Target, as_json: bool) -> None:
    """Show the UMSG sessions."""
    sys.exit(ask(target, "show umsg", as_json=as_json))


@main.command()
@_json_option
@click.pass_obj
def status(target: Target, as_json: bool) -> None:
    """Show an overview of the gateway."""
    sys.exit(ask(target, "status", as_json=as_json))


@main.command()
@click.argument("file", type=click.Path())
@click.option("--strict", is_flag=True, help="A warning counts as an error.")
@_json_option
def read(file: str, strict: bool, as_json: bool) -> None:
    """Test-read the configuration FILE; no server is needed.

    The file is read here, with your own rights, as a start of the server would read it. The last
    line is OK (exit code 0) or ERROR (1).
    """
    sys.exit(read_file(file, as_json=as_json, say=click.echo, strict=strict))


def ask(target: Target, request: str, *, as_json: bool = False) -> int:
    """Ask the server, print its answer, return the exit code."""
    command, _, rest = request.partition(" ")
    line = f"{command} --json {rest}".rstrip() if as_json else request
    try:
        with Client(target.host, target.port) as client:
            answer = client.ask(line)
    except NoServerError as error:
        click.echo(str(error), err=True)
        return EXIT_NO_SERVER
    except ValueError as error:
        click.echo(f"ERROR: {error}", err=True)
        return EXIT_NO_SERVER
    for text in answer.lines:
        click.echo(text)
    if answer.error is not None:
        click.echo(f"ERROR: {answer.error}", err=True)
        return EXIT_ERROR
    if not as_json:
        click.echo("OK")
    return 0


def _run_line(target: Target, line: str) -> int:
    """Run one line of the prompt: a command of cig-cli's own here, all else at the server."""
    name, *rest = line.split(maxsplit=1)
    if name in _AT_SERVER or name not in main.commands:
        return ask(target, line)
    try:
        words = shlex.split("".join(rest))
    except ValueError as error:
        click.echo(f"ERROR: {name}: {error}: put a text with spaces in quotes", err=True)
        return EXIT_NO_SERVER
    try:
        main.commands[name].main(words, prog_name=name, obj=target)
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else EXIT_ERROR
    return 0


if __name__ == "__main__":
    main()
