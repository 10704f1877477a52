# SPDX-License-Identifier: GPL-3.0-or-later
"""Has cig-server look twice a second whether a disk works again, so that tests need not wait.

On PYTHONPATH of a child, Python imports this first. Nothing else is different.
"""

from __future__ import annotations

import sys

SECONDS = 0.5

if any(word.endswith("/cig-server") for word in sys.orig_argv):
    from cig_server.texts import delivery, incoming, postponed, service

    postponed.FIRST_PAUSE = SECONDS
    incoming.CHECK_SECONDS = SECONDS
    delivery.RETRY_SECONDS = SECONDS
    service.RETRY_SECONDS = SECONDS
