# SPDX-License-Identifier: GPL-3.0-or-later
"""Entry point of cig-cli: the manual's commands in direct mode, or a prompt without a command.

Exit codes: 0 done; 1 the answer was an error (a configuration that does not load, a refused
command, a failed check); 2 no server answers, or wrong usage.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass

import click

from cig_cli.check.command import check_command
from cig_cli.client import DEFAULT_HOST, DEFAULT_PORT, Answer, Client, NoServerError
from cig_cli.interactive import interact
from cig_cli.migrate import migrate_command
from cig_cli.readfile import read_file
from cig_cli.reload import reload_command
from cig_cli.route import prepare, request, route_in_file
from cig_cli.setkey.command import set_key_command

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
    """Show active calls, UMSG sessions, keys or queues of texts."""


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


@show.command("keys")
@_json_option
@click.pass_obj
def show_keys(target: Target, as_json: bool) -> None:
    """Show the periods of the gateway's keys."""
    sys.exit(ask(target, "show keys", as_json=as_json))


@show.command("texts")
@_json_option
@click.pass_obj
def show_texts(target: Target, as_json: bool) -> None:
    """Show the queues of text messages."""
    sys.exit(ask(target, "show texts", as_json=as_json))


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


@main.command()
@click.argument("uri")
@click.option("--from", "caller", metavar="URI", help="The caller; shows the new from-URI too.")
@click.option("--file", type=click.Path(), help="Look in this file; no server is needed.")
@_json_option
@click.pass_obj
def route(target: Target, uri: str, caller: str | None, file: str | None, as_json: bool) -> None:
    """Show where a call to URI would go, and by which entries, or why nowhere.

    The running server's configuration is asked, or FILE. The call comes in on `sip` if URI begins
    with sip: or sips:, on `tel` if it begins with tel:. Exit codes: 0 it is routed, 1 it is
    rejected or the file does not load, 2 wrong usage or no server.
    """
    try:
        uri, caller = prepare(uri), None if caller is None else prepare(caller)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if file is None:
        sys.exit(_ask(target, request(uri, caller, as_json=as_json), as_json))
    answer = route_in_file(file, uri, caller, as_json=as_json, say=click.echo)
    sys.exit(EXIT_ERROR if answer is None else _show_answer(answer, as_json))


main.add_command(check_command)
main.add_command(migrate_command)
main.add_command(reload_command)
main.add_command(set_key_command)


def ask(target: Target, request: str, *, as_json: bool = False) -> int:
    """Ask the server, print its answer, return the exit code."""
    command, _, rest = request.partition(" ")
    return _ask(target, f"{command} --json {rest}".rstrip() if as_json else request, as_json)


def _ask(target: Target, line: str, as_json: bool) -> int:
    try:
        with Client(target.host, target.port) as client:
            answer = client.ask(line)
    except NoServerError as error:
        click.echo(str(error), err=True)
        return EXIT_NO_SERVER
    except ValueError as error:
        click.echo(f"ERROR: {error}", err=True)
        return EXIT_NO_SERVER
    return _show_answer(answer, as_json)


def _show_answer(answer: Answer, as_json: bool) -> int:
    for text in answer.lines:
        click.echo(text)
    if answer.error is not None:
        if not (as_json and answer.lines):
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
