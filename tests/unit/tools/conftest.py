# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the modules of the set-up importable; they are no part of the installed project."""

import sys
from pathlib import Path

TOOLS = str(Path(__file__).resolve().parents[3] / "tools")
if TOOLS not in sys.path:
    # At the end: its folder pjsua2 must not stand before the module of that name.
    sys.path.append(TOOLS)
