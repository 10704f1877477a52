# SPDX-License-Identifier: GPL-3.0-or-later
"""The prompt of cig-cli: lines in, each run like a command of the direct mode."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

PROMPT = "cig-cli$ "
COMMANDS = (
    "check",
    "echo ",
    "help",
    "migrate ",
    "quit",
    "read ",
    "reload",
    "route ",
    "set-key",
    "show call",
    "show keys",
    "show texts",
    "show umsg",
    "status",
)
OPTIONS = {
    "check": ("--config ", "--json", "--userdata "),
    "migrate": ("--read ", "--write "),
    "read": ("--json", "--strict"),
    "reload": ("--json", "--token-file "),
    "route": ("--file ", "--from ", "--json"),
    "set-key": ("--dry-run", "--file ", "--keys-socket ", "--passphrase-file ", "--replace"),
    "show": ("--json",),
    "status": ("--json",),
}
"""The options that the Tab key offers for each command."""

_FILE_BEFORE = ("migrate", "read", "read --strict", "read --json")
_FILE_OPTIONS = (
    "--config",
    "--file",
    "--keys-socket",
    "--passphrase-file",
    "--read",
    "--userdata",
    "--write",
)
_LEAVE = ("exit", "quit")


def interact(run: Callable[[str], int]) -> int:
    """Read lines until `quit` or the end of the input; return the last command's exit code."""
    _prepare_line_editing()
    code = 0
    while True:
        try:
            line = input(PROMPT).strip()
        except EOFError:
            print()
            return code
        except KeyboardInterrupt:
            # As in a shell: Ctrl-C drops the line that was being typed, no more.
            print()
            continue
        if line in _LEAVE:
            return code
        if line:
            code = run(line)


def complete(text: str, state: int) -> str | None:
    """Return the `state`-th line that `text` can become, as readline asks for it."""
    found = _completions(text)
    return found[state] if state < len(found) else None


def _completions(line: str) -> list[str]:
    """Give what the line can become: a command, an option of its command, or a file's name."""
    commands = [command for command in COMMANDS if command.startswith(line)]
    if commands and line not in commands:
        return commands
    head, _, last = line.rpartition(" ")
    if head in _FILE_BEFORE or head.endswith(tuple(f" {option}" for option in _FILE_OPTIONS)):
        return [f"{head} {name}" for name in _files(last)]
    options = OPTIONS.get(line.split(" ")[0], ())
    return [f"{head} {option}" for option in options if option.startswith(last)] if head else []


def _files(begin: str) -> list[str]:
    """Give the names of files and folders that begin so, quoted where the prompt needs it."""
    folder, slash, name = begin.rpartition("/")
    try:
        inside = sorted(Path(folder + slash or ".").iterdir())
    except (OSError, ValueError):
        return []
    return [
        shlex.quote(f"{folder}{slash}{path.name}{'/' if path.is_dir() else ''}")
        for path in inside
        if path.name.startswith(name)
    ]


def _prepare_line_editing() -> None:
    """Give history and tab completion where there is a terminal and Python has readline."""
    if not sys.stdin.isatty():
        return
    try:
        import readline
    except ImportError:
        return
    readline.set_completer_delims("\n")
    readline.set_completer(complete)
    readline.parse_and_bind("tab: complete")
