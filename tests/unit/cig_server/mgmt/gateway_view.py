# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway at rest, for tests of what the management port says about one."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cig_common.config import Configuration, loads
from cig_server.mgmt.view import CallRow, ReloadReport, Status, UmsgRow

STATUS = Status(
    relay_connected=True,
    engines_available=3,
    engines_total=3,
    public_id="tel:+12345",
    security_domain="DOMAIN",
    crs_address="192.168.1.1",
    umsg_connected=True,
    crypto_ok=True,
    crypto_periods=("2026-11-0",),
    sip_bind_address="192.168.1.2",
)
CALL = CallRow("tel:+46", "tel:+8888;1", "sip:46@gw", "sip:1@pbx.com", "ANSWER", "7")


TAKEN = ReloadReport("/opt/cig/cig.conf", "", 1_795_000_000.0, changes=("max_calls: 1 -> 2",))


@dataclass
class StillView:
    """A GatewayView that says what it is given."""

    call_rows: Sequence[CallRow] = ()
    sessions: Sequence[UmsgRow] = ()
    state: Status = field(default=STATUS)
    seconds: int = 43321
    broken: bool = False
    report: ReloadReport = field(default=TAKEN)
    config: Configuration = field(default_factory=lambda: loads(""))

    def calls(self) -> Sequence[CallRow]:
        if self.broken:
            raise RuntimeError("broken")
        return self.call_rows

    def umsg_rows(self) -> Sequence[UmsgRow]:
        return self.sessions

    async def status(self) -> Status:
        return self.state

    async def reload(self, by: str) -> ReloadReport:
        return replace(self.report, by=by)

    def uptime(self) -> int:
        return self.seconds

    def configuration(self) -> Configuration:
        return self.config
