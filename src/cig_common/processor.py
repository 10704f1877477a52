# SPDX-License-Identifier: GPL-3.0-or-later
"""What /proc/cpuinfo says of the processor."""

from __future__ import annotations

import re

_FLAGS = re.compile(r"^flags\s*:(.*)$", re.MULTILINE)


def flags(cpuinfo: str) -> list[frozenset[str]]:
    """Give the features that the text of /proc/cpuinfo lists, for each processor."""
    return [frozenset(line.split()) for line in _FLAGS.findall(cpuinfo)]
