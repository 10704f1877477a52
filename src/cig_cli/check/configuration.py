# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads cig.conf as a start would, for its own row and for those that go by it."""

from __future__ import annotations

import shlex
from pathlib import Path

from cig_cli.check.row import Row, fail, ok, skip, warn
from cig_cli.readfile import patient_load
from cig_common.config import ConfigError, Configuration

_NAME = "configuration"
_MISSING = "write it, or name another: --config"


def read_configuration(path: Path) -> tuple[Configuration | None, Row]:
    """Give the configuration, None if it does not load, and the row that says so."""
    show = f"run: cig-cli read {shlex.quote(str(path))}"
    try:
        config = patient_load(str(path))
    except ConfigError as error:
        first = error.problems[0]
        if not first.line:
            return None, skip(_NAME, first.message, first.hint or _MISSING)
        count = len(error.problems) + error.untold
        text = f"line {first.line}: {first.message}"
        more = f" ({count - 1} more)" if count > 1 else ""
        return None, fail(_NAME, f"{text}{more}", show)
    count = len(config.warnings) + config.untold_warnings
    if count:
        text = f"it loads, with {count} warning{'s' if count > 1 else ''}"
        return config, warn(_NAME, text, show)
    return config, ok(_NAME, "it loads, without a warning")
