# SPDX-License-Identifier: GPL-3.0-or-later
"""What only the machine knows: its address and its folders. The one place that looks at it.

The linter asks a `Host`; without one the warnings that need it are not looked for. Nothing here
changes the machine or sends a packet.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

from cig_common.config.model import IpAddress
from cig_common.local_address import default_address


class Stands(Enum):
    """What stands at a path."""

    NOTHING = "nothing"
    FOLDER = "a folder"
    OTHER = "something that is no folder"
    HIDDEN = "a path that the running user may not look at"


@dataclass(frozen=True, slots=True)
class Found:
    """What was found at a path. `mode` (permission bits, 12) and `group` are those of a folder.

    `group` is the group's name, or its number where the machine has no name for it.
    """

    stands: Stands
    mode: int = 0
    group: str = ""


class Host(Protocol):
    """The facts about a machine that the linter asks for."""

    def default_address(self) -> IpAddress:
        """Return the address of the default route, which the tel side's media uses."""
        ...

    def look(self, path: str) -> Found:
        """Return what stands at an absolute path; symbolic links are followed."""
        ...

    def user(self) -> str:
        """Return the name of the user as whom the facts are looked at."""
        ...


class SystemHost:
    """The machine that this process runs on."""

    def default_address(self) -> IpAddress:
        """Return the address of the default route, the loopback address where there is none."""
        return ip_address(default_address())

    def look(self, path: str) -> Found:
        """Return what stands at `path`. Raises nothing: where no path can be, NOTHING stands."""
        try:
            status = Path(path).stat()
        except PermissionError:
            return Found(Stands.HIDDEN)
        except (OSError, ValueError):
            return Found(Stands.NOTHING)
        if not stat.S_ISDIR(status.st_mode):
            return Found(Stands.OTHER)
        return Found(Stands.FOLDER, stat.S_IMODE(status.st_mode), _group_name(status.st_gid))

    def user(self) -> str:
        """Return the effective user's name, or its number where it has no name."""
        return _user_name(os.geteuid())


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
