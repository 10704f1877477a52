# SPDX-License-Identifier: GPL-3.0-or-later
"""cig.conf, compiled once to an immutable object that remembers line and column.

`load` and `loads` are the only way in: check, start, reload and `cig-cli read` run the same
function, so what was checked is what runs. `routing.route` answers where a call goes.
"""

from __future__ import annotations

from cig_common.config.errors import ConfigError, Diagnostic
from cig_common.config.loader import load, loads
from cig_common.config.model import (
    AddressOverride,
    Configuration,
    Entry,
    Interface,
    Mailbox,
    MailboxKind,
    MapUse,
    PortRange,
    Position,
    Rule,
    SipInterface,
    TelInterface,
    TranslateMap,
    UriMap,
)

__all__ = [
    "AddressOverride",
    "ConfigError",
    "Configuration",
    "Diagnostic",
    "Entry",
    "Interface",
    "Mailbox",
    "MailboxKind",
    "MapUse",
    "PortRange",
    "Position",
    "Rule",
    "SipInterface",
    "TelInterface",
    "TranslateMap",
    "UriMap",
    "load",
    "loads",
]
