# SPDX-License-Identifier: GPL-3.0-or-later
"""What cig-relay may tell of the keys that it holds. Nothing here is secret."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cig_common.control.record import Record


class PeriodState(StrEnum):
    """What a key period is good for at the moment."""

    VALID = "valid"
    """Its month is the present one: what the gateway makes is of it."""
    ACCEPTED = "accepted"
    """The neighbour of the present month: messages of it are taken."""
    TEXTS = "texts"
    """The month is over for calls, but texts of it that were stored are still opened."""
    COMING = "coming"
    """Its time has not come."""
    SUPERSEDED = "superseded"
    """There is a higher revision of its month."""
    OVER = "over"
    """Nothing may use its keys any more."""


@dataclass(frozen=True, slots=True)
class Identity(Record):
    """The public part of the loaded keystore.

    ``periods`` are ``YYYY-MM-REVISION``, oldest first; ``crs`` are ``host:port``, in order of
    preference; of ``anchor_pin`` (SHA-256 of the CRS's DER certificate) and ``anchor_ca`` (PEM)
    at least one is set.
    """

    public_id: str
    domain: str
    periods: tuple[str, ...]
    crs: tuple[str, ...]
    anchor_pin: bytes | None
    anchor_ca: str | None


@dataclass(frozen=True, slots=True)
class PeriodRow(Record):
    """One period of the keystore. Its month ends at ``ends``; calls are accepted with its keys
    from ``accepted_from`` until ``accepted_until`` (seconds since 1970, UTC).

    ``kms`` is the URI of the KMS, ``kpak_digest`` the SHA-256 of its KPAK, 32 octets.
    """

    period: str
    state: PeriodState
    accepted_from: float
    ends: float
    accepted_until: float
    kms: str
    kpak_digest: bytes


@dataclass(frozen=True, slots=True)
class KeysEnding(Record):
    """A warning that the keys come to an end.

    ``days`` is the threshold that was passed: 14, 7, 3 or 1 days before the last period's end, 0
    when it is over. ``period`` is that last period, ``ends`` when its month ends (seconds since
    1970, UTC), ``text`` the sentence for the operator.
    """

    period: str
    ends: float
    days: int
    text: str
