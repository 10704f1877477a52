# SPDX-License-Identifier: GPL-3.0-or-later
"""`cig-cli read FILE`: checks a configuration here, with the caller's rights, without a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

EXIT_BAD = 1


def read_file(path: str, *, as_json: bool, say: Callable[[str], None]) -> int:
    """Compile the file as a start would, say what is wrong or doubtful, return the exit code."""
    # Here and not above: the grammar's machinery takes longer to load than all other commands run.
    from cig_common.config import ConfigError, Diagnostic, load

    problems: tuple[Diagnostic, ...] = ()
    try:
        warnings = load(path).warnings
    except ConfigError as error:
        warnings, problems = error.warnings, error.problems
    if as_json:
        errors = [asdict(item) for item in problems]
        doubts = [asdict(item) for item in warnings]
        say(json.dumps({"ok": not errors, "errors": errors, "warnings": doubts}))
        return EXIT_BAD if problems else 0
    for item in (*problems, *warnings):
        say(item.render())
    say("ERROR" if problems else "OK")
    return EXIT_BAD if problems else 0
