# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints rows in the shapes of the manual, chapter CLI commands; columns grow with their values."""

from __future__ import annotations

from collections.abc import Sequence

from cig_common.clock import minute
from cig_common.config.errors import printable
from cig_common.control.key_facts import PeriodState
from cig_server.mgmt.view import CallRow, Keys, PeriodView, Rows, Status, Texts, UmsgRow
from cig_server.texts.model import QueueFacts

PRODUCT = "Cryptify Interconnect Gateway"

_CALL_HEAD = ("IN-FROM", "IN-TO", "OUT-FROM", "OUT-TO", "STATE")
_CALL_WIDTHS = (11, 11, 11, 11, 0)
_UMSG_HEAD = ("FROM", "TO", "STATE", "TIME", "ID")
_UMSG_WIDTHS = (10, 12, 11, 10, 0)
_KEYS_HEAD = ("PERIOD", "VALID FROM", "VALID UNTIL", "STATE", "KMS")
_KEYS_WIDTHS = (11, 18, 18, 12, 0)
_TEXTS_HEAD = ("KIND", "NAME", "WAITING", "OLDEST", "FAILED", "LAST ERROR")
_TEXTS_WIDTHS = (7, 12, 9, 18, 8, 0)
_LABEL_WIDTH = 26
_GAP = 2
_RULE = "-----"


def call_table(calls: Sequence[CallRow]) -> list[str]:
    """Return the lines of `show call`."""
    rows = [(call.in_from, call.in_to, call.out_from, call.out_to, call.state) for call in calls]
    return _table(_CALL_HEAD, _CALL_WIDTHS, rows)


def umsg_table(sessions: Sequence[UmsgRow], uptime: int) -> list[str]:
    """Return the lines of `show umsg`, with the standing row of the message descriptor."""
    rows = [(row.from_, row.to, row.state, str(row.seconds), row.id) for row in sessions]
    rows.append(("ZERO", "ZERO", "ZERO", str(uptime), "umsg"))
    return _table(_UMSG_HEAD, _UMSG_WIDTHS, rows)


def keys_text(keys: Keys) -> list[str]:
    """Return the lines of `show keys`: what the keys are for, and a row for each period."""
    rows = [
        ("Public ID", keys.public_id or "-"),
        ("Security Domain", keys.security_domain or "-"),
        ("CRS Address", ", ".join(keys.crs) or "-"),
        ("CRS trust anchor", keys.anchor or "-"),
        ("Keystore", keys.keystore or "none"),
        ("Keystore sealed by", keys.sealed_by),
    ]
    rows += [(label, text) for label, text in (("Problem", keys.problem),) if text]
    rows += [(label, text) for label, text in (("Warning", keys.warning),) if text]
    periods = [
        (
            period.period,
            minute(period.accepted_from),
            minute(period.accepted_until, end=True),
            period.state,
            f"{period.kms} (KPAK {period.kpak_sha256[:16]})",
        )
        for period in keys.periods
    ]
    return [*_labelled(tuple(rows), _LABEL_WIDTH), *_table(_KEYS_HEAD, _KEYS_WIDTHS, periods)]


def texts_text(texts: Texts) -> list[str]:
    """Return the lines of `show texts`: a row for each queue, then what is true of all."""
    queues = [
        (
            queue.kind,
            queue.name,
            str(queue.waiting),
            "-" if queue.oldest is None else minute(queue.oldest),
            str(queue.failed),
            _last_error(queue),
        )
        for queue in texts.queues
    ]
    rows = [("In transit", str(texts.in_transit)), ("Problem", texts.problem or "none")]
    rows += [(name, str(count)) for name, count in sorted(texts.counters.items()) if count]
    width = max(_LABEL_WIDTH, _GAP + max(len(label) for label, _ in rows))
    return [*_table(_TEXTS_HEAD, _TEXTS_WIDTHS, queues), *_labelled(tuple(rows), width)]


def _last_error(queue: QueueFacts) -> str:
    when = "" if queue.error_at is None else f"{minute(queue.error_at)} "
    return f"{when}{queue.error}" if queue.error else "-"


def status_text(status: Status, version: str) -> list[str]:
    """Return the lines of `status`: the manual's three blocks, our rows below theirs."""
    validity = {
        period.period: f"{period.period}  {_words(period)}" for period in status.crypto_validity
    }
    periods = [validity.get(period, period) for period in status.crypto_periods] or ["none"]
    blocks = {
        f"{PRODUCT} v{version}": (
            ("Relay connection state", _connection(status.relay_connected, "")),
            ("Crypto engines available", f"{status.engines_available}/{status.engines_total}"),
            *status.relay_rows,
        ),
        "UMSG status:": (
            ("Public ID", status.public_id or "-"),
            ("Security Domain", status.security_domain or "-"),
            ("CRS Address", status.crs_address or "-"),
            ("Connection state", _connection(status.umsg_connected, status.umsg_problem)),
            ("Crypto state", _explained("OK" if status.crypto_ok else "ERROR", status)),
            *((f"Crypto period {n}", period) for n, period in enumerate(periods, 1)),
            *status.umsg_rows,
        ),
        "SIP status:": (
            ("SIP Bind address", status.sip_bind_address or "all addresses"),
            *status.sip_rows,
        ),
    }
    labels = [label for rows in blocks.values() for label, _ in rows]
    width = max(_LABEL_WIDTH, _GAP + max(map(len, labels)))
    lines: list[str] = []
    for title, rows in blocks.items():
        lines += ["", title, _RULE] if lines else [title, _RULE]
        lines += _labelled(rows, width)
    return lines


def _connection(connected: bool, problem: str) -> str:
    if connected:
        return "CONNECTED"
    return f"DISCONNECTED ({problem})" if problem else "DISCONNECTED"


def _explained(state: str, status: Status) -> str:
    why = status.crypto_problem or status.crypto_warning
    return f"{state} ({why})" if why else state


def _words(period: PeriodView) -> str:
    """Say what a period is good for, after its name in `status`."""
    return {
        PeriodState.VALID: f"valid until {minute(period.ends, end=True)}",
        PeriodState.ACCEPTED: f"accepted until {minute(period.accepted_until, end=True)}",
        PeriodState.TEXTS: "for stored texts only",
        PeriodState.COMING: f"accepted from {minute(period.accepted_from)}",
        PeriodState.SUPERSEDED: "superseded by a later revision",
        PeriodState.OVER: "over",
    }[PeriodState(period.state)]


def _labelled(rows: Rows, width: int) -> list[str]:
    return [f"{printable(label):<{width}}{printable(value)}" for label, value in rows]


def _table(
    head: tuple[str, ...], widths: tuple[int, ...], rows: Sequence[tuple[str, ...]]
) -> list[str]:
    clean = [head, *(tuple(map(printable, row)) for row in rows)]
    full = [
        max(width, _GAP + max(len(row[column]) for row in clean)) if width else 0
        for column, width in enumerate(widths)
    ]
    return [
        "".join(f"{cell:<{width}}" for cell, width in zip(row, full, strict=True)) for row in clean
    ]
