# SPDX-License-Identifier: GPL-3.0-or-later
"""What cig-cli set-key and cig-relay say to each other on the keys socket.

The socket is cig-relay's own (0600): cig-server never sees it. What crosses it is key material that
is still sealed, and the passphrase; the relay opens and checks it, tells what it found and what an
installation would do, and installs it when it is told to. One connection, two requests:

1. `InspectKeysRequest`, answered by `KeysPreview`;
2. `InstallKeysRequest` with the preview's ``token``, answered by `KeysInstalled`.

Either may be answered by `ErrorReply` of code ``material``; then nothing was changed. What was
inspected and not installed is wiped when the connection ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from cig_common.control.codec import by_name
from cig_common.control.messages import ErrorReply
from cig_common.control.record import Record


class PeriodAction(StrEnum):
    """What an installation does with one period of the material."""

    ADD = "add"
    """There are no keys of its month: they are added."""
    REPLACE = "replace"
    """There are keys of its month, of a lower revision: they are replaced."""
    HELD = "held"
    """The keystore has just these keys already."""
    OLDER = "older"
    """The keystore has a higher revision of the month: these are left out."""
    EXPIRED = "expired"
    """The month is over and no message may use its keys any more: these are left out."""


@dataclass(frozen=True, slots=True)
class InspectKeysRequest(Record):
    """Asks what is in ``sealed`` (the octets that `cig_common.carrier` carries).

    ``passphrase`` is the UTF-8 of what the operator typed.
    """

    sealed: bytes = field(repr=False)
    passphrase: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PeriodPreview(Record):
    """One period of the material, whose keys count from ``accepted_from`` to ``accepted_until``.

    Both are seconds since 1970 in UTC. ``replaced`` is the period whose place it takes, empty but
    for `PeriodAction.REPLACE`.
    """

    period: str
    kms_uri: str
    accepted_from: float
    accepted_until: float
    action: PeriodAction
    replaced: str


@dataclass(frozen=True, slots=True)
class KeysPreview(Record):
    """What was found, all of it public, every key already checked against its equations.

    ``anchor`` says in words by what the CRS's certificate will be checked. ``replaces`` is empty,
    or names the identity (public id and domain) whose keystore would have to be given up: then
    `InstallKeysRequest.replace` must be true. ``changes`` tells in a sentence each what else than
    periods the installation changes (CRS addresses, trust anchor, domain).
    """

    token: bytes
    public_id: str
    domain: str
    crs: tuple[str, ...]
    anchor: str
    periods: tuple[PeriodPreview, ...]
    changes: tuple[str, ...]
    replaces: str


@dataclass(frozen=True, slots=True)
class InstallKeysRequest(Record):
    """Has what was inspected under ``token`` installed.

    ``replace`` allows to give up the keystore of another identity.
    """

    token: bytes
    replace: bool


@dataclass(frozen=True, slots=True)
class KeysInstalled(Record):
    """The keys are on disk at ``path`` and in use; the keystore holds ``periods`` now.

    ``notes`` are sentences for the operator, such as what is not in use yet.
    """

    path: str
    periods: tuple[str, ...]
    notes: tuple[str, ...]


KEYS = by_name(InspectKeysRequest, InstallKeysRequest, KeysPreview, KeysInstalled, ErrorReply)
"""What the keys socket carries."""
