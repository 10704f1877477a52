# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway at rest, for tests of what the management port says about one."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cig_common.config import Configuration, loads
from cig_common.errors import RelayUnavailableError
from cig_server.mgmt.view import (
    CallRow,
    Keys,
    PeriodView,
    ReloadReport,
    Status,
    Texts,
    UmsgRow,
)
from cig_server.texts.model import QueueFacts, StorageError

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


NOVEMBER, DECEMBER, JANUARY = 1_793_491_200.0, 1_796_083_200.0, 1_798_761_600.0
"""The first moments of three months, from 2026-11 on."""
DAY = 86_400.0


def period(name: str, state: str, begins: float, ends: float) -> PeriodView:
    return PeriodView(
        name, state, begins - 2 * DAY, ends, ends + 2 * DAY, "kms.example.com", "ab" * 32
    )


VALID = period("2026-11-1", "valid", NOVEMBER, DECEMBER)
COMING = period("2026-12-2", "coming", DECEMBER, JANUARY)
KEYS = Keys(
    public_id="tel:+12345",
    security_domain="DOMAIN",
    crs=("crs.example.com:5223", "192.0.2.1:5223"),
    anchor="pinned certificate, SHA-256 cd",
    keystore="/opt/cig/userdata/.ks.tel:+12345",
    sealed_by="a key",
    problem="",
    warning="",
    periods=(VALID, COMING),
)
TEXTS = Texts(
    (
        QueueFacts("read", "/var/spool/cig/send", 12, NOVEMBER, 2, "not-found", DECEMBER),
        QueueFacts("write", "/var/spool/cig/received", 0, None),
        QueueFacts("crs", "-", 3, NOVEMBER),
    ),
    in_transit=3,
    counters={"sent": 7, "refused": 0},
)
TAKEN = ReloadReport("/opt/cig/cig.conf", "", 1_795_000_000.0, changes=("max_calls: 1 -> 2",))


@dataclass
class StillView:
    """A GatewayView that says what it is given."""

    call_rows: Sequence[CallRow] = ()
    sessions: Sequence[UmsgRow] = ()
    state: Status = field(default=STATUS)
    seconds: int = 43321
    broken: bool = False
    key_facts: Keys = field(default=KEYS)
    text_facts: Texts = field(default=TEXTS)
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

    async def keys(self) -> Keys:
        if self.broken:
            raise RelayUnavailableError("cig-relay is not connected")
        return self.key_facts

    async def texts(self) -> Texts:
        if self.broken:
            raise StorageError("/var/spool/cig/send", "Permission denied")
        return self.text_facts

    def uptime(self) -> int:
        return self.seconds

    def configuration(self) -> Configuration:
        return self.config
