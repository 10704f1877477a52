# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking I_MESSAGEs: the responder's procedure in steps that may run in different processes.

Cheap checks come first and the pairing last, so that a stranger cannot make us work:
1. `precheck`: parse in bounds, profile, clock skew, month, replay lookup, initiator (0.1 ms);
2. `verify`: the ECCSI signature (0.05 to 0.5 ms);
3. `accept`: insert into the replay cache, which then knows authenticated messages only; the
   caller writes the line that it gives to its disk before it goes on;
4. `open`: responder, SRTP policy, decapsulation, keys (4 ms).

`open` takes only what `verify` gave, so the signature cannot be forgotten.
"""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from mikey_sakke import eccsi
from mikey_sakke.errors import (
    ErrorNumber,
    IdentifierError,
    IdentityError,
    MalformedError,
    PeriodError,
    ReplayError,
    StaleError,
    UnsupportedError,
    VerificationError,
)
from mikey_sakke.identifiers import ID_SCHEME_TEL, bare_tel_uri, check_tel_uri, tel_identifier
from mikey_sakke.keys import UserKeys
from mikey_sakke.message import IMessage
from mikey_sakke.payloads import IdRole, Sign
from mikey_sakke.periods import DAYS_AFTER, acceptable_months, from_ntp, month_of
from mikey_sakke.profile import UMSG, Profile
from mikey_sakke.replay import ReplayCache
from mikey_sakke.session import SessionKeys, derive_session_keys, signed_prefix

DEFAULT_SKEW = 300.0
"""Seconds by which T may differ from now in a call's message."""
_SAKKE_PARAMETER_SET = 1


@dataclass(frozen=True, slots=True)
class Parsed:
    """A message after `precheck`: well-formed and timely, but of an unproven sender.

    `t` is its time in seconds since 1970, `month` the month whose keys it needs, `replay_key` the
    SHA-256 of the signed prefix (32 octets), `binding` the digest of its vendor extension.
    """

    raw: bytes
    message: IMessage
    profile: Profile
    t: float
    month: str
    initiator_uri: str
    responder_uri: str
    binding: bytes | None
    replay_key: bytes

    @property
    def signed_prefix(self) -> bytes:
        """The octets that the signature covers."""
        return signed_prefix(self.raw, len(self.message.sign.signature))

    @property
    def initiator_identifier(self) -> bytes:
        """The identifier under which the signature must verify."""
        return tel_identifier(self.initiator_uri, self.month)


class Coverage(StrEnum):
    """What the signature of a message covers."""

    FULL = "full"
    """Up to and with the 2-octet SIGN header, as RFC 3830 §5.2 has it."""
    WITHOUT_SIGN_HEADER = "without-sign-header"
    """Two octets less, as some products sign. To be counted and logged by the caller."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A message whose signature is its initiator's."""

    parsed: Parsed
    coverage: Coverage


def precheck(
    raw: bytes,
    *,
    now: float,
    own_uri: str,
    initiator: str | None = None,
    skew: float = DEFAULT_SKEW,
    max_age: float | None = None,
    days_after: int = DAYS_AFTER,
    replay: ReplayCache | None = None,
    profile: Profile = UMSG,
) -> Parsed:
    """Parse a message and make the checks that need no cryptography (steps 1 to 4).

    T must lie between `max_age` (`skew` where None) seconds before `now` and `skew` after it, and
    its month's keys must count now; the last month's count through day `days_after`. `replay` is
    looked into where given. `own_uri` is our canonical URI: a message that names us as its
    initiator is our own, reflected. `initiator` is the URI that the initiator must have (an
    extension after `;` is left out of the comparison), or None for any.

    Raises `MalformedError`, `UnsupportedError`, `StaleError`, `PeriodError`, `ReplayError` or
    `IdentityError`.
    """
    message = IMessage.parse(raw)
    profile.check(message)
    initiator_uri = _uri(message, IdRole.INITIATOR)
    responder_uri = _uri(message, IdRole.RESPONDER)
    t = from_ntp(message.timestamp.ntp, near=now)
    _check_time(t, now, skew=skew, max_age=max_age)
    month = month_of(t)
    if month not in acceptable_months(now, days_after=days_after):
        raise PeriodError(f"message refused: keys of {month} do not count now")
    parsed = Parsed(
        raw=bytes(raw),
        message=message,
        profile=profile,
        t=t,
        month=month,
        initiator_uri=initiator_uri,
        responder_uri=responder_uri,
        binding=profile.binding(message),
        replay_key=sha256(signed_prefix(raw, len(message.sign.signature))).digest(),
    )
    if replay is not None and replay.seen(parsed.replay_key, t):
        raise ReplayError("message refused: it was accepted before, or is too old to tell")
    if initiator_uri == bare_tel_uri(own_uri):
        raise IdentityError("message refused: it is our own, reflected")
    if initiator is not None and initiator_uri != bare_tel_uri(initiator):
        raise IdentityError(f"message refused: made by {initiator_uri}, not by {initiator[:64]!r}")
    return parsed


def verify(
    parsed: Parsed, *, verifier: eccsi.Verifier, accept_short_coverage: bool = False
) -> Verified:
    """Check the signature under the initiator's identifier (step 5).

    `verifier` holds the KPAK of the initiator's KMS. `accept_short_coverage` also takes
    signatures that leave out the SIGN header; it weakens nothing that is used, but is a
    deviation that the result tells. Raises `VerificationError`.
    """
    signature = parsed.message.sign.signature
    prefix = parsed.signed_prefix
    identifier = parsed.initiator_identifier
    try:
        verifier.verify(signature, prefix, identifier=identifier)
    except VerificationError:
        if not accept_short_coverage:
            raise
        verifier.verify(signature, prefix[: -Sign.header_length], identifier=identifier)
        return Verified(parsed, Coverage.WITHOUT_SIGN_HEADER)
    return Verified(parsed, Coverage.FULL)


def accept(verified: Verified, *, replay: ReplayCache, now: float) -> str:
    """Insert an authenticated message into the replay cache (step 6).

    Gives the line that must be on disk before the message is used. Raises `ReplayError` where
    an equal message came first.
    """
    return replay.insert(verified.parsed.replay_key, verified.parsed.t, now)


def open(verified: Verified, keys: UserKeys) -> SessionKeys:
    """Open a verified message with our own keys of its month (steps 7 to 10).

    Raises `IdentityError` where it is for somebody else or another KMS, `PeriodError` where the
    keys are of another month, `PolicyError` for too weak an SRTP policy, `UnsupportedError` and
    `DecapsulationError`.
    """
    parsed = verified.parsed
    message = parsed.message
    if parsed.responder_uri != keys.uri:
        raise IdentityError(f"message refused: it is for {parsed.responder_uri}, not for us")
    kms = message.identity(IdRole.RESPONDER_KMS)
    if kms is not None and keys.kms_uri is not None and kms.data != keys.kms_uri.encode("utf-8"):
        raise IdentityError("message refused: it is for a key of another KMS")
    if parsed.month != keys.month:
        raise PeriodError(f"message of {parsed.month} cannot be opened by keys of {keys.month}")
    sakke_payload = message.sakke
    if (sakke_payload.params, sakke_payload.id_scheme) != (_SAKKE_PARAMETER_SET, ID_SCHEME_TEL):
        raise UnsupportedError(
            "message refused: only SAKKE parameter set 1 with tel URI identifiers is supported",
            error_number=ErrorNumber.UNSPECIFIED,
        )
    policy = parsed.profile.policy(message)
    ssv = keys.decapsulator.decapsulate(sakke_payload.data)
    return derive_session_keys(message, prefix=parsed.signed_prefix, ssv=ssv, policy=policy)


def _check_time(t: float, now: float, *, skew: float, max_age: float | None) -> None:
    age = now - t
    if age > (skew if max_age is None else max_age):
        raise StaleError(f"message refused: it is {age:.0f} s old (is a clock wrong?)")
    if -age > skew:
        raise StaleError(f"message refused: it is {-age:.0f} s in the future (is a clock wrong?)")


def _uri(message: IMessage, role: IdRole) -> str:
    idr = message.identity(role)
    if idr is None:
        raise MalformedError(f"the message names no {role.name}")
    try:
        return check_tel_uri(idr.data.decode("ascii"))
    except (UnicodeDecodeError, IdentifierError):
        raise IdentityError(
            f"message refused: the {role.name.lower()} is no canonical tel URI"
        ) from None
