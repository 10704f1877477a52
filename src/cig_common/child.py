# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Python process needs to start another one that runs code of the same packages."""

from __future__ import annotations

import os
from pathlib import Path

import cig_common


def environment() -> dict[str, str]:
    """Give our environment, with the packages that we run from, wherever we were started from."""
    own = str(Path(cig_common.__file__).parents[1])
    path = os.pathsep.join(filter(None, (own, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}
