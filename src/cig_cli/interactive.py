# SPDX-License-Identifier: GPL-3.0-or-later
"""The prompt of cig-cli: lines in, each run like a command of the direct mode."""

from __future__ import annotations

import sys
from collections.abc import Callable

PROMPT = "cig-cli$ "
COMMANDS = ("echo ", "help", "quit", "read ", "show call", "show umsg", "status")
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
    """Return the `state`-th command that begins with `text`, as readline asks for it."""
    found = [command for command in COMMANDS if command.startswith(text)]
    return found[state] if state < len(found) else None


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
