# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine of which the tests say what it is like."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from cig_common.config.host import Found, Stands
from cig_common.config.lint_mailboxes import GROUP
from cig_common.config.model import IpAddress

MAILBOX_FOLDER = Found(Stands.FOLDER, 0o2770, GROUP)


@dataclass
class Facts:
    """A host with these folders and nothing else."""

    address: IpAddress = field(default_factory=lambda: IPv4Address("192.0.2.10"))
    folders: dict[str, Found] = field(default_factory=dict)

    def default_address(self) -> IpAddress:
        return self.address

    def look(self, path: str) -> Found:
        return self.folders.get(path, Found(Stands.NOTHING))

    def user(self) -> str:
        return "operator"

    def make_mailbox(self, path: str) -> None:
        for folder in (path, f"{path}/new", f"{path}/cur", f"{path}/tmp"):
            self.folders[folder] = MAILBOX_FOLDER
