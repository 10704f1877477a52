# SPDX-License-Identifier: GPL-3.0-or-later
"""What loads and yet is probably not meant: the warnings that the whole file is needed for.

Their codes are stable: W101 (a missing `;` after `bind`, noted by the reader), W108 here, and
those of the files that this one calls. docs/warnings.md explains each.
"""

from __future__ import annotations

from cig_common.config.host import Host
from cig_common.config.lint_interfaces import lint_interfaces
from cig_common.config.lint_mailboxes import lint_mailboxes
from cig_common.config.lint_maps import lint_maps
from cig_common.config.lint_reach import lint_reach
from cig_common.config.model import Configuration, Position
from cig_common.config.notes import Notes

_TOP = Position(1, 1)


def lint(
    config: Configuration, notes: Notes, *, interfaces: Position | None, host: Host | None
) -> None:
    """Add the warnings about a compiled configuration to `notes`.

    `interfaces` is the place of that block, None where the file has none. `host` answers what only
    the machine knows; without it the warnings that need it are not looked for.
    """
    if interfaces is None:
        hint = "add `interfaces { tel { … } sip { … } }`"
        notes.warn("W108", _TOP, "no `interfaces` block: no call can be routed", hint)
    else:
        lint_interfaces(config, interfaces, notes, host)
    lint_maps(config, notes)
    lint_reach(config, notes)
    lint_mailboxes(config, notes, host)
