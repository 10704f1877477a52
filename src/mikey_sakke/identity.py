# SPDX-License-Identifier: GPL-3.0-or-later
"""Identity schemes: what a user's identifier is made of, and how long it counts.

A scheme turns a URI and a time into the octets that ECCSI and SAKKE take for the user
(the identifier), names the key period of a time, and says which periods count at a moment.
There are two, told apart by the ID scheme octet of the SAKKE payload (RFC 6509 §4.2):

1. `TelMonthly`, tel URIs with a month (RFC 6509 §3.2): `TEL_MONTHLY`, the default everywhere;
2. `HashedUid`, UIDs of 32 octets with periods in seconds (3GPP TS 33.180 §F.2.1).

Schemes hold nothing secret. Equal ones compare equal, also after pickling.
"""

import math
import re
from dataclasses import dataclass
from typing import Protocol

from mikey_sakke.errors import (
    ErrorNumber,
    IdentifierError,
    IdentityError,
    MalformedError,
    ParameterError,
    PeriodError,
    UnsupportedError,
)
from mikey_sakke.identifiers import (
    ID_SCHEME_HASHED_UID,
    ID_SCHEME_TEL,
    UID_LENGTH,
    bare_tel_uri,
    check_month,
    check_tel_uri,
    check_user_uri,
    hashed_uid,
    tel_identifier,
)
from mikey_sakke.message import IMessage
from mikey_sakke.payloads import Idr, IdRole, IdType
from mikey_sakke.periods import (
    DAY,
    DAYS_AFTER,
    DAYS_BEFORE,
    NTP_TO_UNIX,
    acceptable_months,
    month_of,
)

_PERIOD_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_UID_ROLES = {
    IdRole.INITIATOR: IdRole.INITIATOR_UID,
    IdRole.RESPONDER: IdRole.RESPONDER_UID,
}
_KMS_ROLES = {
    IdRole.INITIATOR: IdRole.INITIATOR_KMS,
    IdRole.RESPONDER: IdRole.RESPONDER_KMS,
}


@dataclass(frozen=True, slots=True)
class Party:
    """One end of a message: its URI and its identifier, under which keys and signature stand.

    Where a message names only a UID that is of no URI known here, `uri` is that UID as 64
    hexadecimal digits, for showing; whoever compares parties compares identifiers.
    """

    uri: str
    identifier: bytes


class IdentityScheme(Protocol):
    """What every identity scheme offers; a period is a text of its own form."""

    @property
    def id_scheme(self) -> int:
        """The ID scheme octet of the SAKKE payload (RFC 6509 §4.2)."""

    @property
    def kms_uri(self) -> str | None:
        """The KMS that is part of every identifier, or None where it is no part of it."""

    def check_uri(self, uri: str) -> str:
        """Give a URI back if it is in the form that keys are issued for, or `IdentifierError`."""

    def bare_uri(self, uri: str) -> str:
        """Strip what is signalling and not identity, and check the rest."""

    def check_period(self, period: str) -> str:
        """Give a period back if it is one of this scheme, or raise `IdentifierError`."""

    def identifier(self, uri: str, period: str) -> bytes:
        """Give the identifier of a URI in a period; raises `IdentifierError`."""

    def period_of(self, t: float) -> str:
        """Give the period of a time in seconds since 1970, or raise `PeriodError`."""

    def acceptable_periods(
        self, now: float, *, days_before: int = DAYS_BEFORE, days_after: int = DAYS_AFTER
    ) -> frozenset[str]:
        """Give the periods whose keys count now."""

    def party(self, message: IMessage, role: IdRole, *, period: str, known: str | None) -> Party:
        """Tell who a message's initiator or responder is.

        `known` is the URI that is expected there, or None. Raises `MalformedError` where nobody
        is named, `IdentityError` where the name is unfit or contradicts itself.
        """


@dataclass(frozen=True, slots=True)
class TelMonthly:
    """ID scheme 1: tel URIs, a period is a month `YYYY-MM` in UTC (RFC 6509 §3.2, §3.3)."""

    @property
    def id_scheme(self) -> int:
        """1."""
        return ID_SCHEME_TEL

    @property
    def kms_uri(self) -> str | None:
        """None: the KMS is no part of a tel identifier."""
        return None

    def check_uri(self, uri: str) -> str:
        """Give a canonical tel URI back; raises `IdentifierError` for any other text."""
        return check_tel_uri(uri)

    def bare_uri(self, uri: str) -> str:
        """Strip what follows the first `;`, such as an extension, and check the rest."""
        return bare_tel_uri(uri)

    def check_period(self, period: str) -> str:
        """Give a month `YYYY-MM` back; raises `IdentifierError` for any other text."""
        return check_month(period)

    def identifier(self, uri: str, period: str) -> bytes:
        """Give `YYYY-MM NUL tel:+digits NUL`, 15 to 29 octets."""
        return tel_identifier(uri, period)

    def period_of(self, t: float) -> str:
        """Give the month of a time."""
        return month_of(t)

    def acceptable_periods(
        self, now: float, *, days_before: int = DAYS_BEFORE, days_after: int = DAYS_AFTER
    ) -> frozenset[str]:
        """Give the present month and, near its ends, a neighbour (RFC 6509 §3.3)."""
        return acceptable_months(now, days_before=days_before, days_after=days_after)

    def party(self, message: IMessage, role: IdRole, *, period: str, known: str | None) -> Party:
        """Read IDRi or IDRr, which must be a canonical tel URI and stand alone.

        RFC 6509 knows no IDRuidi and IDRuidr: a second name that nobody compares is refused.
        """
        idr = message.identity(role)
        if message.identity(_UID_ROLES[role]) is not None:
            raise UnsupportedError(
                f"message refused: it names its {role.name.lower()} by a UID besides the tel URI",
                error_number=ErrorNumber.INVALID_ID,
            )
        if idr is None or idr.id_type is not IdType.URI:
            raise MalformedError(f"the message names no {role.name} by a URI")
        try:
            uri = check_tel_uri(idr.data.decode("ascii"))
        except (UnicodeDecodeError, IdentifierError):
            raise IdentityError(
                f"message refused: the {role.name.lower()} is no canonical tel URI"
            ) from None
        return Party(uri, tel_identifier(uri, period))


TEL_MONTHLY = TelMonthly()
"""The identity scheme of RFC 6509."""


@dataclass(frozen=True, slots=True)
class HashedUid:
    """ID scheme 2: UIDs of 3GPP TS 33.180 §F.2.1, SHA-256 over URI, KMS URI and period.

    `kms_uri` is the KMS of the domain, `period_seconds` the length of a key period (at least 1),
    `period_offset` when the first begins, in seconds since 1900. A period is named by its
    number in decimal digits: (NTP seconds - offset) // length. URIs are taken octet by octet,
    with no canonical form (TS 33.180 has none), so they must be written the same everywhere.
    """

    kms_uri: str
    period_seconds: int
    period_offset: int = 0

    def __post_init__(self) -> None:
        check_user_uri(self.kms_uri)
        if self.period_seconds < 1 or self.period_offset < 0:
            raise ParameterError("a key period lasts at least 1 second, its offset is not negative")

    @property
    def id_scheme(self) -> int:
        """2."""
        return ID_SCHEME_HASHED_UID

    def check_uri(self, uri: str) -> str:
        """Give a user's URI back; raises `IdentifierError` unless it is 1 to 1024 octets of text.

        Spaces and control characters are refused.
        """
        return check_user_uri(uri)

    def bare_uri(self, uri: str) -> str:
        """Check a URI; every octet of it is identity, so nothing is stripped."""
        return check_user_uri(uri)

    def check_period(self, period: str) -> str:
        """Give the number of a period back; raises `IdentifierError` for any other text."""
        if not _PERIOD_NUMBER.fullmatch(period):
            raise IdentifierError(f"not a key period: {period[:64]!r} (wanted: a number)")
        return period

    def identifier(self, uri: str, period: str) -> bytes:
        """Give the UID, 32 octets."""
        return hashed_uid(
            check_user_uri(uri),
            self.kms_uri,
            period_seconds=self.period_seconds,
            period_offset=self.period_offset,
            period_number=int(self.check_period(period)),
        )

    def period_of(self, t: float) -> str:
        """Give the number of the period of a time; raises `PeriodError` before the first."""
        number = (math.floor(t) + NTP_TO_UNIX - self.period_offset) // self.period_seconds
        if number < 0:
            raise PeriodError("a time before the first key period has no key period")
        return str(number)

    def period_begin(self, period: str) -> int:
        """Give when a period begins, in seconds since 1970."""
        number = int(self.check_period(period))
        return number * self.period_seconds + self.period_offset - NTP_TO_UNIX

    def acceptable_periods(
        self, now: float, *, days_before: int = DAYS_BEFORE, days_after: int = DAYS_AFTER
    ) -> frozenset[str]:
        """Give the present period and, near its ends, a neighbour.

        TS 33.180 leaves the window open, so it is that of RFC 6509 §3.3 in days, but never
        longer than a period: it reaches the neighbours and no further.
        """
        before, after = (
            min(days * DAY, float(self.period_seconds)) for days in (days_before, days_after)
        )
        first = self.period_offset - NTP_TO_UNIX
        times = (max(now - after, first), now, now + before)
        return frozenset(self.period_of(t) for t in times)

    def party(self, message: IMessage, role: IdRole, *, period: str, known: str | None) -> Party:
        """Read IDRi or IDRr as a URI or a UID, and IDRuidi or IDRuidr as a UID.

        Messages in the field name the parties by URIs (roles 1 and 2), by UIDs in the same
        roles, or by UIDs in roles 8 and 9; UIDs have the ID type URI there. All are taken. Where
        URI and UID are both there they must agree. The KMS, where it is named, must be ours.
        """
        kms = message.identity(_KMS_ROLES[role])
        if kms is not None and kms.data != self.kms_uri.encode("utf-8"):
            raise IdentityError(f"message refused: the {role.name.lower()} is of another KMS")
        named, hidden = message.identity(role), message.identity(_UID_ROLES[role])
        uri = None if named is None else _user_uri(named)
        uids = {idr.data for idr in (named if uri is None else None, hidden) if idr is not None}
        if not uids and uri is None:
            raise MalformedError(f"the message names no {role.name}")
        candidate = known if uri is None else uri
        if candidate is not None:
            identifier = self.identifier(candidate, period)
            if uids <= {identifier}:
                return Party(candidate, identifier)
        if uri is not None or len(uids) != 1 or any(len(uid) != UID_LENGTH for uid in uids):
            raise IdentityError(
                f"message refused: what it says of its {role.name.lower()} is no UID or "
                "contradicts itself"
            )
        (uid,) = uids
        return Party(uid.hex(), uid)


def _user_uri(idr: Idr) -> str | None:
    """Give an IDR's text where it is a URI, or None where it is octets (a UID)."""
    if idr.id_type is IdType.BYTE_STRING:
        return None
    try:
        return check_user_uri(idr.data.decode("utf-8"))
    except (UnicodeDecodeError, IdentifierError):
        return None
