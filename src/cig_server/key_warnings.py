# SPDX-License-Identifier: GPL-3.0-or-later
"""Passes on cig-relay's warnings that the keys come to an end: log, counter, notify.sh.

The relay repeats a standing warning to each server that connects. Here each is told once: another
one is a later threshold (14, 7, 3, 1, 0 days), another last period, or the first since the start.
"""

from __future__ import annotations

import logging
from collections import Counter
from datetime import UTC, datetime

from cig_common.control.key_facts import KeysEnding
from cig_server.notify_script import NotifyScript

logger = logging.getLogger("Keys")

EVENT = "keys-ending"


class KeyWarnings:
    """The warning that stands, and what was done about it."""

    def __init__(self, script: NotifyScript) -> None:
        self._script = script
        self._told: tuple[str, int] | None = None
        self.standing: KeysEnding | None = None
        self.counters: Counter[str] = Counter()

    def all_counters(self) -> Counter[str]:
        """Give the warnings told, and how their notifications went."""
        return self.counters + self._script.counters

    def take(self, warning: KeysEnding | None) -> None:
        """Take what the relay says now; None means that the keys last."""
        self.standing = warning
        if warning is None:
            if self._told is not None:
                logger.info("the keys last again for more than 14 days")
            self._told = None
            return
        if (warning.period, warning.days) == self._told:
            return
        self._told = (warning.period, warning.days)
        self.counters["warnings"] += 1
        logger.warning("%s", warning.text)
        self._script.call(
            EVENT,
            warning.text,
            {
                "CIG_DAYS": str(warning.days),
                "CIG_PERIOD": warning.period,
                "CIG_ENDS": f"{datetime.fromtimestamp(warning.ends, UTC):%Y-%m-%dT%H:%M:%SZ}",
            },
        )
