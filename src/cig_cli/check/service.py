# SPDX-License-Identifier: GPL-3.0-or-later
"""The running service, if there is one: what its management port says of itself."""

from __future__ import annotations

import json
from dataclasses import dataclass

from cig_cli.client import Client, NoServerError


@dataclass(frozen=True, slots=True)
class Service:
    """A running cig-server: its version, the CRS that it uses, and whether that answers it."""

    version: str
    crs_address: str
    connected: bool
    problem: str


def running_service(host: str, port: int) -> Service | None:
    """Ask the management port; None if no CIG answers there."""
    try:
        with Client(host, port) as client:
            answer = client.ask("status --json")
        facts = json.loads("".join(answer.lines))
        return Service(
            version=str(facts["version"]),
            crs_address=str(facts["crs_address"]),
            connected=bool(facts["umsg_connected"]),
            problem=str(facts["umsg_problem"]),
        )
    except (NoServerError, ValueError, KeyError, TypeError):
        return None
