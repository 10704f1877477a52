# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of the management port, as a table.

Whoever can reach the port may look. A command with `needs_token` changes something or opens a
file with the service's rights: without `auth TOKEN` before it, it is refused and logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cig_common.config import ConfigError, Diagnostic, trace_text
from cig_common.config.trace import given_uri, trace
from cig_common.errors import CigError
from cig_common.loading import load_beside
from cig_server.config_view import only_warnings
from cig_server.mgmt.protocol import Answer, Request
from cig_server.mgmt.tables import (
    PRODUCT,
    call_table,
    keys_text,
    status_text,
    texts_text,
    umsg_table,
)
from cig_server.mgmt.token import Token
from cig_server.mgmt.view import GatewayView

logger = logging.getLogger("Mgmt")

_HELP_WIDTH = 21


@dataclass(slots=True)
class Session:
    """One connection as the commands see it. `peer` is for the log."""

    view: GatewayView
    version: str
    token: Token | None
    peer: str
    authorised: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """One command: the words it begins with, how `help` shows it, and what it does."""

    words: tuple[str, ...]
    run: Callable[[Session, Request], Awaitable[Answer]]
    usage: str = ""
    text: str = ""
    needs_token: bool = False
    arguments: range | None = range(0, 1)


async def execute(session: Session, request: Request) -> Answer:
    """Run the command that `request` names and return its answer."""
    command = _find(request.words)
    if command is None:
        return Answer(error=f"unknown command `{request.words[0]}`: see `help`")
    if command.needs_token and not session.authorised:
        logger.warning("`%s` refused to %s: not authorised", request.words[0], session.peer)
        return Answer(error="not authorised: send `auth TOKEN` first; the token is in the service's"
                            " mgmt-token file")  # fmt: skip
    given = len(request.words) - len(command.words)
    if command.arguments is not None and given not in command.arguments:
        return Answer(error=f"wrong arguments: {command.usage or ' '.join(command.words)}")
    return await command.run(session, request)


def _find(words: tuple[str, ...]) -> Command | None:
    for command in COMMANDS:
        if words[: len(command.words)] == command.words:
            return command
    return None


def _answer(request: Request, lines: list[str], facts: Mapping[str, Any]) -> Answer:
    if request.json:
        return Answer((json.dumps(facts, ensure_ascii=True),))
    return Answer(tuple(lines))


async def _echo(session: Session, request: Request) -> Answer:
    return _answer(request, [request.rest], {"echo": request.rest})


async def _help(session: Session, request: Request) -> Answer:
    shown = [command for command in COMMANDS if command.usage]
    lines = [f"  {command.usage:<{_HELP_WIDTH}}{command.text}" for command in shown]
    facts = {"commands": [{"usage": item.usage, "text": item.text} for item in shown]}
    return _answer(request, [PRODUCT, *lines], facts)


async def _show_call(session: Session, request: Request) -> Answer:
    calls = session.view.calls()
    return _answer(request, call_table(calls), {"calls": [asdict(call) for call in calls]})


async def _show_umsg(session: Session, request: Request) -> Answer:
    rows, uptime = session.view.umsg_rows(), session.view.uptime()
    facts = {
        "sessions": [
            {"from": row.from_, "to": row.to, "state": row.state, "time": row.seconds, "id": row.id}
            for row in rows
        ],
        "uptime": uptime,
    }
    return _answer(request, umsg_table(rows, uptime), facts)


async def _show_keys(session: Session, request: Request) -> Answer:
    try:
        keys = await session.view.keys()
    except (CigError, TimeoutError) as error:
        return Answer(
            error=f"cig-relay does not tell its keys: {str(error) or 'no answer in time'}"
        )
    return _answer(request, keys_text(keys), asdict(keys))


async def _show_texts(session: Session, request: Request) -> Answer:
    try:
        texts = await session.view.texts()
    except (CigError, TimeoutError) as error:
        return Answer(error=f"the queues cannot be told: {str(error) or 'no answer in time'}")
    return _answer(request, texts_text(texts), asdict(texts))


async def _show(session: Session, request: Request) -> Answer:
    return Answer(error="show what? `show call`, `show umsg`, `show keys` or `show texts`")


async def _status(session: Session, request: Request) -> Answer:
    status = await session.view.status()
    facts = {"version": session.version, "uptime": session.view.uptime(), **asdict(status)}
    for block in ("relay_rows", "umsg_rows", "sip_rows"):
        facts[block] = dict(facts[block])
    return _answer(request, status_text(status, session.version), facts)


async def _read(session: Session, request: Request) -> Answer:
    path = request.rest
    logger.info("`read` of %s for %s", path, session.peer)
    try:
        warnings = (await load_beside(Path(path), only_warnings)).part
    except CigError as error:
        return Answer(error=str(error))
    except ConfigError as error:
        found = (*error.problems, *error.warnings)
        lines = _rendered(found)
        facts = {"ok": False, "problems": [asdict(item) for item in found]}
        answer = _answer(request, lines, facts)
        return Answer(answer.lines, f"{path} does not load: {len(error.problems)} mistake(s)")
    facts = {"ok": True, "problems": [asdict(item) for item in warnings]}
    return _answer(request, _rendered(warnings), facts)


async def _reload(session: Session, request: Request) -> Answer:
    report = await session.view.reload(session.peer)
    lines = _rendered((*report.problems, *report.warnings))
    lines += report.changes
    lines += (item.words(report.filename) for item in report.restart)
    lines += filter(None, (report.relay,))
    answer = _answer(request, lines, {"ok": report.taken, **asdict(report)})
    if report.taken:
        return answer
    error = f"{report.filename} was refused: {report.refusal}; the old one stays in use"
    return Answer(answer.lines, error)


def _rendered(found: Sequence[Diagnostic]) -> list[str]:
    return [line for item in found for line in item.render().split("\n")]


async def _set_key(session: Session, request: Request) -> Answer:
    return Answer(
        error="set-key is a command of cig-cli itself, which hands the keys to cig-relay: "
        "no key passes through cig-server. Run `cig-cli set-key` on the gateway's host"
    )


async def _route(session: Session, request: Request) -> Answer:
    try:
        to_uri, from_uri = _route_arguments(request.words[1:])
    except ValueError as error:
        return Answer(error=f"wrong arguments: {error}")
    # Beside the loop: with very many entries it may take some milliseconds.
    found = await asyncio.to_thread(trace, session.view.configuration(), to_uri, from_uri)
    answer = _answer(request, trace_text.text_lines(found), trace_text.facts(found))
    return answer if found.rejected is None else Answer(answer.lines, trace_text.rejection(found))


def _route_arguments(words: tuple[str, ...]) -> tuple[str, str | None]:
    """Return the to-URI and the from-URI or None. Raises ValueError."""
    uris = [_route_uri(word) for word in words if word != "--from"]
    match words:
        case (_,):
            return uris[0], None
        case (_, "--from", _) | ("--from", _, _) if len(uris) == 2:
            return (uris[1], uris[0]) if words[0] == "--from" else (uris[0], uris[1])
    raise ValueError("route <URI> [--from <URI>]")


def _route_uri(word: str) -> str:
    """Return a URI given as it is or, where a request could not hold it, as a JSON string."""
    if word.startswith('"'):
        try:
            word = str(json.loads(word))
        except ValueError:
            raise ValueError("a URI in quotes must be a JSON string") from None
    return given_uri(word)[1]


async def _auth(session: Session, request: Request) -> Answer:
    if session.token is not None and session.token.matches(request.words[1]):
        session.authorised = True
        return _answer(request, [], {"authorised": True})
    session.authorised = False
    logger.warning("wrong token from %s", session.peer)
    return Answer(error="not authorised: this is not the token of the running service")


COMMANDS: tuple[Command, ...] = (
    Command(("echo",), _echo, "echo <anything>", "echo test functionality", arguments=None),
    Command(("show", "call"), _show_call, "show call/umsg", "show active calls or umsg sessions"),
    Command(("show", "umsg"), _show_umsg),
    Command(
        ("read",),
        _read,
        "read <FILE>",
        "test read a configuration file",
        needs_token=True,
        arguments=range(1, 100),
    ),
    Command(
        ("set-key",), _set_key, "set-key", "set the cryptographic key material", arguments=None
    ),
    Command(
        ("route",),
        _route,
        "route <URI>",
        "show where a call to it would go (--from <URI>: and who calls)",
        arguments=range(1, 4),
    ),
    Command(("show", "keys"), _show_keys, "show keys", "show the key periods and the keystore"),
    Command(("show", "texts"), _show_texts, "show texts", "show the queues of text messages"),
    Command(("show",), _show, arguments=None),
    Command(("reload",), _reload, "reload", "take cig.conf anew for new calls", needs_token=True),
    Command(("status",), _status, "status", "show an overview of the gateway"),
    Command(("auth",), _auth, "auth <TOKEN>", "allow commands that need it", arguments=range(1, 2)),
    Command(("help",), _help, "help", "shows this help"),
)
"""All commands; the first whose words begin the request runs."""
