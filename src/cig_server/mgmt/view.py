# SPDX-License-Identifier: GPL-3.0-or-later
"""What the management port may see of the running gateway: plain rows, given by `GatewayView`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cig_common.config import Configuration, Diagnostic
from cig_server.texts.model import QueueFacts

Rows = tuple[tuple[str, str], ...]
"""More rows of a block of `status`: label and value."""


@dataclass(frozen=True, slots=True)
class CallRow:
    """One row of `show call`. `state`: ROUTED, TRY, RING, REJECT, ANSWER or HANGUP."""

    in_from: str
    in_to: str
    out_from: str
    out_to: str
    state: str
    id: str


@dataclass(frozen=True, slots=True)
class UmsgRow:
    """One row of `show umsg`. `state`: CREATE, BANG, GROWL, TALK or HANGUP; `seconds` of age."""

    from_: str
    to: str
    state: str
    seconds: int
    id: str


@dataclass(frozen=True, slots=True)
class PeriodView:
    """One key period: its state (`cig_common.control.messages.PeriodState`), and its moments.

    Its month ends at `ends`; calls are accepted from `accepted_from` until `accepted_until`, all in
    seconds since 1970.
    """

    period: str
    state: str
    accepted_from: float
    ends: float
    accepted_until: float
    kms: str
    kpak_sha256: str


@dataclass(frozen=True, slots=True)
class Keys:
    """What `show keys` prints; nothing of it is secret.

    `anchor` says by what the CRS's certificate is checked, `sealed_by` what protects the keystore
    at rest, `problem` what is wrong with the keys and `warning` what soon will be.
    """

    public_id: str
    security_domain: str
    crs: tuple[str, ...]
    anchor: str
    keystore: str
    sealed_by: str
    problem: str
    warning: str
    periods: tuple[PeriodView, ...]


@dataclass(frozen=True, slots=True)
class Texts:
    """What `show texts` prints: the queues, and what troubles them, empty where nothing does.

    `in_transit` texts are on their way to the CRS. `counters` count since the start.
    """

    queues: tuple[QueueFacts, ...] = ()
    in_transit: int = 0
    problem: str = ""
    counters: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Status:
    """What `status` prints, block by block.

    `umsg_problem` and `crypto_problem` say in a few words why the connection is down or the keys
    do not serve, and are empty otherwise. `crypto_periods` are `YYYY-MM-REVISION`, and
    `crypto_validity` says what each is good for. `crypto_warning` is a warning that the keys end;
    `crypto_ends` is when the last of them does (seconds since 1970), in `crypto_days_left` days,
    both None without keys.
    `texts_problem` says what keeps texts from being taken or handed on, and is empty otherwise.
    `sip_bind_address` is None where SIP is open on all addresses. The `…_rows` follow the rows of
    the manual in their block.
    """

    relay_connected: bool
    engines_available: int
    engines_total: int
    public_id: str
    security_domain: str
    crs_address: str
    umsg_connected: bool
    crypto_ok: bool
    crypto_periods: tuple[str, ...] = ()
    crypto_validity: tuple[PeriodView, ...] = ()
    crypto_warning: str = ""
    crypto_ends: float | None = None
    crypto_days_left: float | None = None
    sip_bind_address: str | None = None
    umsg_problem: str = ""
    crypto_problem: str = ""
    texts_ok: bool = True
    texts_problem: str = ""
    relay_rows: Rows = ()
    umsg_rows: Rows = ()
    sip_rows: Rows = ()


@dataclass(frozen=True, slots=True)
class NeedsRestart:
    """A value of cig.conf that waits for a restart. ``line`` is 0 where the file has it no more."""

    what: str
    old: str
    new: str
    line: int

    def words(self, filename: str) -> str:
        """Tell it to an operator."""
        place = f"{filename}:{self.line}" if self.line else filename
        return (
            f"{place}: {self.what} {self.new} is taken when cig-server is restarted; until then "
            f"it stays {self.old}"
        )


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """How a reload went. ``by`` says who asked for it, ``utc`` when it ended.

    ``refusal`` says why nothing changed and is empty where the file was taken. ``problems`` are
    all the file's mistakes, ``changes`` what new calls see. ``relay`` says why cig-relay could not
    take its part in the same act.
    """

    filename: str
    by: str
    utc: float
    refusal: str = ""
    problems: tuple[Diagnostic, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()
    changes: tuple[str, ...] = ()
    restart: tuple[NeedsRestart, ...] = ()
    relay: str = ""

    @property
    def taken(self) -> bool:
        """Whether the file is in use now."""
        return not self.refusal


class GatewayView(Protocol):
    """The gateway as the management port sees it; each call gives the state of this moment."""

    def calls(self) -> Sequence[CallRow]:
        """Return the calls, ended ones of the last few seconds included."""
        ...

    def umsg_rows(self) -> Sequence[UmsgRow]:
        """Return the UMSG sessions, without the standing message row."""
        ...

    async def status(self) -> Status:
        """Return the overview; it may have to ask other parts first."""
        ...

    async def keys(self) -> Keys:
        """Return what keys there are; raises CigError where cig-relay does not tell."""
        ...

    async def texts(self) -> Texts:
        """Return the queues of texts; raises CigError or TimeoutError where none can be told."""
        ...

    def uptime(self) -> int:
        """Return the seconds since the service started."""
        ...

    async def reload(self, by: str) -> ReloadReport:
        """Take cig.conf anew, or refuse it; ``by`` is who asks, for the log."""
        ...

    def configuration(self) -> Configuration:
        """Return the configuration that the next call will be routed by."""
        ...
