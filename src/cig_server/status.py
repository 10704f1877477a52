# SPDX-License-Identifier: GPL-3.0-or-later
"""The running gateway as the management port sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cig_common.clock import Clock
from cig_common.config import Configuration
from cig_common.control.key_facts import PeriodRow
from cig_common.control.messages import KeysReply, StatusReply
from cig_common.errors import CigError
from cig_server.gateway import Gateway
from cig_server.key_warnings import KeyWarnings
from cig_server.mgmt.server import Counters
from cig_server.mgmt.view import (
    CallRow,
    Keys,
    PeriodView,
    ReloadReport,
    Rows,
    Status,
    Texts,
    UmsgRow,
)
from cig_server.reload import Reloader, summary
from cig_server.text_facts import TextFacts, text_rows, texts_of, trouble_of
from cig_server.uif.period import current_period


class ServerView:
    """Gives `cig_server.mgmt.view.GatewayView` from the gateway's parts."""

    def __init__(
        self, gateway: Gateway, reloader: Reloader, warnings: KeyWarnings, clock: Clock
    ) -> None:
        self._gateway = gateway
        self._reloader = reloader
        self._warnings = warnings
        self._clock = clock
        self._started = clock.monotonic()
        self.management: Counters | None = None
        """The management port's own counters, once it is open."""
        self.text_service: TextFacts | None = None
        """What tells of texts, once it is set up."""

    def uptime(self) -> int:
        """Return the seconds since the service started."""
        return int(self._clock.monotonic() - self._started)

    def configuration(self) -> Configuration:
        """Return the configuration that the next call will be routed by."""
        return self._gateway.config

    async def reload(self, by: str) -> ReloadReport:
        """Take cig.conf anew, or refuse it."""
        return await self._reloader.reload(by)

    def calls(self) -> Sequence[CallRow]:
        """Return the calls, those that ended within the last 5 s included."""
        rows = []
        for call in self._gateway.manager:
            p = call.parties
            rows.append(
                CallRow(p.in_from, p.in_to, p.out_from, p.out_to, call.shown.value, call.handle)
            )
        return rows

    def umsg_rows(self) -> Sequence[UmsgRow]:
        """Return the UMSG sessions."""
        now = self._clock.monotonic()
        return [
            UmsgRow(
                machine.from_uri,
                machine.to_uri,
                machine.state.value,
                int(now - machine.created_at),
                machine.id,
            )
            for machine in self._gateway.uif
        ]

    async def status(self) -> Status:
        """Return the overview, with what the relay says at this moment."""
        gateway = self._gateway
        relay = await gateway.relay_status()
        identity = gateway.uif.identity
        connection = gateway.uif.connection
        problem = self._crypto_problem(relay)
        texts_problem = trouble_of(self.text_service)
        sip = self._reloader.listening
        ends = max((row.ends for row in relay.periods), default=None) if relay else None
        return Status(
            relay_connected=gateway.relay.connected,
            engines_available=relay.engines_available if relay else 0,
            engines_total=relay.engines_total if relay else 0,
            public_id=identity.public_id if identity else "",
            security_domain=identity.domain if identity else "",
            crs_address=connection.address if connection else "",
            umsg_connected=gateway.uif.connected,
            crypto_ok=not problem,
            crypto_periods=identity.periods if identity else (),
            crypto_validity=_periods(relay.periods) if relay else (),
            crypto_warning=relay.keys_ending.text if relay and relay.keys_ending else "",
            crypto_ends=ends,
            crypto_days_left=None if ends is None else _days(ends - self._clock.utc()),
            sip_bind_address=str(sip.bind) if sip.bind else None,
            umsg_problem="" if gateway.uif.connected else gateway.uif.complaint,
            crypto_problem=problem,
            texts_ok=not texts_problem,
            texts_problem=texts_problem,
            relay_rows=(
                *self._relay_rows(relay),
                *self._management_rows(),
                *self._configuration_rows(),
            ),
            umsg_rows=(
                *_keystore_rows(relay),
                *_counted(gateway.uif.counters, "UMSG"),
                *_counted(self._warnings.all_counters(), "Keys"),
                *(await text_rows(self.text_service)),
            ),
            sip_rows=(
                ("SIP port", str(sip.port)),
                ("Calls up", str(gateway.manager.live_count)),
                ("Calls at most", str(gateway.config.max_calls)),
                ("Calls since start", str(gateway.manager.counters["calls"])),
                *_counted(gateway.sif.counters(), "SIP"),
            ),
        )

    async def keys(self) -> Keys:
        """Return what keys there are; raises CigError or TimeoutError."""
        return _keys(await self._gateway.relay_keys())

    async def texts(self) -> Texts:
        """Return the queues of texts; raises CigError or TimeoutError where none can be told."""
        return await texts_of(self.text_service)

    def _crypto_problem(self, relay: StatusReply | None) -> str:
        gateway = self._gateway
        identity = gateway.uif.identity
        if not gateway.relay.connected:
            return "cig-relay is not connected"
        if identity is None:
            return "no keys are loaded"
        try:
            current_period(identity.periods, self._clock.utc())
        except CigError as error:
            return str(error)
        return "" if relay is None or relay.crypto_state == "OK" else relay.crypto_state

    def _relay_rows(self, relay: StatusReply | None) -> Rows:
        if relay is None:
            return (("Relay problem", self._gateway.relay.complaint or "it does not answer"),)
        return (
            ("Calls in the relay", str(relay.calls)),
            ("SIP ports free", str(relay.ports_free)),
            ("Random source", relay.random),
            *_counted(relay.counters, "Relay"),
        )

    def _configuration_rows(self) -> Rows:
        last = self._reloader.last
        rows = [("Last reload", "none since the start" if last is None else summary(last))]
        for item in self._reloader.waiting():
            rows.append((f"Restart for {item.what}", f"{item.new}; until then {item.old}"))
        if self._reloader.relay_differs:
            rows.append(("Relay configuration", "another cig.conf: `cig-cli reload` mends it"))
        return tuple(rows)

    def _management_rows(self) -> Rows:
        seen = self.management or Counters()
        troubles = {"garbage": seen.garbage, "refused": seen.refused, "failures": seen.failures}
        return _counted(troubles, "Management")


def _counted(counters: Mapping[str, int], prefix: str) -> Rows:
    """Give a row for each counter that is not 0."""
    return tuple((f"{prefix} {name}", str(n)) for name, n in sorted(counters.items()) if n)


def _periods(rows: Sequence[PeriodRow]) -> tuple[PeriodView, ...]:
    return tuple(
        PeriodView(
            period=row.period,
            state=row.state.value,
            accepted_from=row.accepted_from,
            ends=row.ends,
            accepted_until=row.accepted_until,
            kms=row.kms,
            kpak_sha256=row.kpak_digest.hex(),
        )
        for row in rows
    )


def _keys(reply: KeysReply) -> Keys:
    identity = reply.identity
    return Keys(
        public_id=identity.public_id if identity else "",
        security_domain=identity.domain if identity else "",
        crs=identity.crs if identity else (),
        anchor=reply.anchor,
        keystore=reply.path,
        sealed_by=reply.sealed_by,
        problem=reply.problem,
        warning=reply.keys_ending.text if reply.keys_ending else "",
        periods=_periods(reply.periods),
    )


def _days(seconds: float) -> float:
    return round(seconds / 86_400, 2)


def _keystore_rows(relay: StatusReply | None) -> Rows:
    return () if relay is None else (("Keystore sealed by", relay.keystore),)
