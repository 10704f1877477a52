# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiles a cig.conf in a process of its own: ``-m cig_common.loading.child`` PATH TAKE HOST.

TAKE names what shall be made of the configuration, ``package.module:function``; HOST is ``host``
where this host may be looked at. The answer goes to standard output as one pickle: a `Loaded`, a
ConfigError, or a text that says what failed.
"""

from __future__ import annotations

import importlib
import os
import pickle
import sys
from pathlib import Path
from typing import Any

from cig_common.config import ConfigError
from cig_common.loading.loaded import Loaded, load_part

HOST = "host"

NICENESS = 5
"""How far the compiler stands back behind the daemons, which carry calls meanwhile."""


def main() -> None:
    """Compile, answer, end."""
    os.nice(NICENESS)
    # Only the answer may stand in the pipe, whatever a library should print.
    with os.fdopen(os.dup(1), "wb") as answer:
        os.dup2(2, 1)
        pickle.dump(_compile(Path(sys.argv[1]), *sys.argv[2:4]), answer, pickle.HIGHEST_PROTOCOL)


def _compile(path: Path, name: str, host: str) -> Loaded[Any] | ConfigError | str:
    module, _, function = name.partition(":")
    try:
        take = getattr(importlib.import_module(module), function)
        return load_part(path, take, ask_host=host == HOST)
    except ConfigError as error:
        return error
    except Exception as error:
        return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
