# SPDX-License-Identifier: GPL-3.0-or-later
"""The one table between SIP status codes and the reasons of UMSG, in both directions.

How to read a row: when a SIP call of ours fails with ``status``, the secure side is told
``reason``. Where ``back`` is set, the row is also used the other way: a SIP caller whose call ends
with that reason before it was answered gets that status. The reasons that no status means in
itself stand in ``ANSWERS`` below; so every reason has just one status.

A status that no row names falls to its class (RFC 3261 section 8.1.3.2 treats an unknown one as
x00): 3xx is ``unreachable``, because the gateway follows no redirection (where a call may go is
the configuration's decision and not a stranger's); 6xx is ``declined``, as one final word for all
destinations; the rest is ``error``.
"""

from __future__ import annotations

from dataclasses import dataclass

from umsg.reasons import Reason


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; ``note`` says why, for the operator's manual."""

    status: int
    reason: Reason
    note: str
    back: bool = False


BYE = 0
"""Stands for no status at all: an answered call that was ended by BYE."""

TABLE: tuple[Row, ...] = (
    Row(BYE, Reason.NORMAL, "BYE: one of the two hung up"),
    Row(403, Reason.DECLINED, "the PBX forbids this call"),
    Row(404, Reason.NOT_FOUND, "no such number", back=True),
    Row(406, Reason.MEDIA, "no acceptable content"),
    Row(408, Reason.NO_ANSWER, "the phone was asked and did not answer"),
    Row(410, Reason.NOT_FOUND, "the number is no longer in use"),
    Row(415, Reason.MEDIA, "the body's type is not supported"),
    Row(416, Reason.NOT_FOUND, "the PBX does not know the scheme of the URI"),
    Row(480, Reason.NO_ANSWER, "nobody answers, or the phone is away", back=True),
    Row(482, Reason.UNREACHABLE, "the PBX's routing is a loop"),
    Row(483, Reason.UNREACHABLE, "too many hops"),
    Row(484, Reason.NOT_FOUND, "the number is incomplete"),
    Row(485, Reason.NOT_FOUND, "the number is ambiguous"),
    Row(486, Reason.BUSY, "the phone is busy", back=True),
    Row(487, Reason.NORMAL, "the caller gave up before the answer (CANCEL)"),
    Row(488, Reason.MEDIA, "no common codec", back=True),
    Row(500, Reason.ERROR, "the PBX failed", back=True),
    Row(502, Reason.UNREACHABLE, "a gateway behind the PBX failed"),
    Row(503, Reason.UNREACHABLE, "the PBX is away, out of service or full"),
    Row(504, Reason.UNREACHABLE, "a server behind the PBX did not respond"),
    Row(600, Reason.BUSY, "busy everywhere"),
    Row(603, Reason.DECLINED, "the callee declined", back=True),
    Row(604, Reason.NOT_FOUND, "no such number anywhere"),
    Row(606, Reason.MEDIA, "no acceptable session description"),
    Row(607, Reason.DECLINED, "the callee does not want the call (RFC 8197)"),
)
"""Every status that has a meaning of its own; see the head of this file."""

ANSWERS: dict[Reason, tuple[int, str]] = {
    Reason.NORMAL: (480, "the callee hung up before it answered; 487 would claim a CANCEL"),
    Reason.UNREACHABLE: (
        480,
        "the secure phone is not connected; 503 would make a PBX give up the whole trunk",
    ),
    Reason.CRYPTO: (500, "no keys for the callee's period, or a forged answer"),
    Reason.OVERLOAD: (503, "a limit of the gateway or of the CRS is reached"),
}
"""The reasons that no SIP status means in itself, with the status that a SIP caller gets."""

_BY_STATUS = {row.status: row.reason for row in TABLE}
_BY_CLASS = {3: Reason.UNREACHABLE, 6: Reason.DECLINED}
_BACK = {row.reason: row.status for row in TABLE if row.back} | {
    reason: status for reason, (status, _) in ANSWERS.items()
}


def reason_for_status(status: int) -> Reason:
    """Give the UMSG reason for a SIP final status; 0 stands for BYE."""
    return _BY_STATUS.get(status) or _BY_CLASS.get(status // 100, Reason.ERROR)


def sip_status_for(reason: Reason) -> int:
    """Give the SIP final status with which a call that was not answered ends for ``reason``."""
    return _BACK[reason]
