# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads cig.conf beside a running event loop: in a thread, or in a process where it is big."""

from __future__ import annotations

from cig_common.loading.beside import LOAD_SECONDS, LoadFailedError, load_beside
from cig_common.loading.loaded import Loaded, load_part

__all__ = ["LOAD_SECONDS", "LoadFailedError", "Loaded", "load_beside", "load_part"]
