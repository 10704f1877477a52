# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking I_MESSAGEs: the responder's procedure in steps that may run in different processes.

Cheap checks come first and the pairing last, so that a stranger cannot make us work:
1. `precheck`: parse in bounds, profile, clock skew, period, replay lookup, initiator (0.1 ms);
2. `verify`: the ECCSI signature (0.05 to 0.5 ms);
3. `accept`: insert into the replay cache, which then knows authenticated messages only; the
   caller writes the line that it gives to its disk before it goes on;
4. `open`: responder, SRTP policy, decapsulation, keys (4 ms).

`open` takes only what `verify` gave, so the signature cannot be forgotten. These are the steps of
RFC 3830 §5.3 and RFC 6509 §2.2 in the order of their cost.
"""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from mikey_sakke import eccsi
from mikey_sakke.errors import (
    ErrorNumber,
    IdentityError,
    PeriodError,
    ReplayError,
    StaleError,
    UnsupportedError,
    VerificationError,
)
from mikey_sakke.identity import TEL_MONTHLY, IdentityScheme
from mikey_sakke.keys import UserKeys
from mikey_sakke.message import IMessage
from mikey_sakke.payloads import IdRole, Sign
from mikey_sakke.periods import DAYS_AFTER, from_ntp
from mikey_sakke.profile import UMSG, Profile
from mikey_sakke.replay import ReplayCache
from mikey_sakke.session import SessionKeys, derive_session_keys, signed_prefix

DEFAULT_SKEW = 300.0
"""Seconds by which T may differ from now in a call's message."""
_SAKKE_PARAMETER_SET = 1


@dataclass(frozen=True, slots=True)
class Parsed:
    """A message after `precheck`: well-formed and timely, but of an unproven sender.

    `t` is its time in seconds since 1970, `month` the month (or other key period of its
    `scheme`) whose keys it needs, `initiator_identifier` the octets under which its signature must
    verify, `replay_key` the SHA-256 of the signed prefix (32 octets), `binding` the digest of its
    vendor extension (32 octets) or None. A party that the message names only by a UID which is
    nobody's known here has the UID as 64 hexadecimal digits in place of its URI.
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
    initiator_identifier: bytes
    scheme: IdentityScheme = TEL_MONTHLY

    @property
    def signed_prefix(self) -> bytes:
        """The octets that the signature covers."""
        return signed_prefix(self.raw, len(self.message.sign.signature))


class Coverage(StrEnum):
    """What the signature of a message covers (RFC 3830 §5.2)."""

    FULL = "full"
    """Up to and with the 2-octet SIGN header, as RFC 3830 §5.2 has it."""
    WITHOUT_SIGN_HEADER = "without-sign-header"
    """Two octets less, as some products sign. To be counted and logged by the caller."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A message whose signature is its initiator's; `coverage` tells what it covers."""

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
    scheme: IdentityScheme = TEL_MONTHLY,
) -> Parsed:
    """Parse a message of at most 4096 octets; make the checks that need no cryptography.

    T must lie between `max_age` (`skew` where None) seconds before `now` and `skew` after it, and
    its period's keys must count now; the last month's count through day `days_after`. `replay` is
    looked into where given. `own_uri` is our canonical URI: a message that names us as its
    initiator is our own, reflected. `initiator` is the URI that the initiator must have (an
    extension after `;` of a tel URI is left out of the comparison), or None for any. `scheme` is
    the identity scheme that the message must speak.

    Raises `MalformedError`, `UnsupportedError`, `StaleError`, `PeriodError`, `ReplayError` or
    `IdentityError` for what the message is, `IdentifierError` for an `own_uri` or `initiator` that
    is none of the scheme.
    """
    message = IMessage.parse(raw)
    profile.check(message)
    _check_scheme(message, scheme)
    t = from_ntp(message.timestamp.ntp, near=now)
    _check_time(t, now, skew=skew, max_age=max_age)
    period = scheme.period_of(t)
    if period not in scheme.acceptable_periods(now, days_after=days_after):
        raise PeriodError(f"message refused: keys of {period} do not count now")
    own = scheme.bare_uri(own_uri)
    expected = None if initiator is None else scheme.bare_uri(initiator)
    maker = scheme.party(message, IdRole.INITIATOR, period=period, known=expected)
    taker = scheme.party(message, IdRole.RESPONDER, period=period, known=own)
    parsed = Parsed(
        raw=bytes(raw),
        message=message,
        profile=profile,
        t=t,
        month=period,
        initiator_uri=maker.uri,
        responder_uri=taker.uri,
        binding=profile.binding(message),
        replay_key=sha256(signed_prefix(raw, len(message.sign.signature))).digest(),
        initiator_identifier=maker.identifier,
        scheme=scheme,
    )
    if replay is not None and replay.seen(parsed.replay_key, t):
        raise ReplayError("message refused: it was accepted before, or is too old to tell")
    if maker.identifier == scheme.identifier(own, period):
        raise IdentityError("message refused: it is our own, reflected")
    if expected is not None and maker.identifier != scheme.identifier(expected, period):
        raise IdentityError(f"message refused: made by {maker.uri}, not by {expected[:64]!r}")
    return parsed


def verify(
    parsed: Parsed, *, verifier: eccsi.Verifier, accept_short_coverage: bool = False
) -> Verified:
    """Check the signature (129 octets) under the initiator's identifier (RFC 6507 §5.2.2).

    `verifier` holds the KPAK of the initiator's KMS. `accept_short_coverage` also takes
    signatures that leave out the SIGN header (2 octets); it weakens nothing that is used, but is
    a deviation that `Verified.coverage` tells, to be counted. It is off unless it is asked for.
    Raises `VerificationError`.
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
    """Insert an authenticated message into the replay cache (RFC 3830 §5.4).

    Gives the line that must be on disk before the message is used. Raises `ReplayError` where
    an equal message came first.
    """
    return replay.insert(verified.parsed.replay_key, verified.parsed.t, now)


def open(verified: Verified, keys: UserKeys) -> SessionKeys:
    """Open a verified message with our own keys of its period (RFC 6508 §6.2.2).

    Raises `IdentityError` where it is for somebody else or another KMS, `PeriodError` where the
    keys are of another period, `PolicyError` for too weak an SRTP policy, `UnsupportedError` for
    another identity scheme, too few sessions or one that is not SRTP, and `DecapsulationError`.
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
    if parsed.scheme != keys.scheme:
        raise UnsupportedError("message refused: our keys are of another identity scheme")
    policy = parsed.profile.policy(message)
    sessions = parsed.profile.crypto_sessions(message.header)
    ssv = keys.decapsulator.decapsulate(message.sakke.data)
    return derive_session_keys(
        message, prefix=parsed.signed_prefix, ssv=ssv, policy=policy, sessions=sessions
    )


def _check_scheme(message: IMessage, scheme: IdentityScheme) -> None:
    payload = message.sakke
    if (payload.params, payload.id_scheme) != (_SAKKE_PARAMETER_SET, scheme.id_scheme):
        raise UnsupportedError(
            f"message refused: SAKKE parameter set {payload.params} with ID scheme "
            f"{payload.id_scheme} is not supported here (wanted: 1 with {scheme.id_scheme})",
            error_number=ErrorNumber.UNSPECIFIED,
        )


def _check_time(t: float, now: float, *, skew: float, max_age: float | None) -> None:
    age = now - t
    if age > (skew if max_age is None else max_age):
        raise StaleError(f"message refused: it is {age:.0f} s old (is a clock wrong?)")
    if -age > skew:
        raise StaleError(f"message refused: it is {-age:.0f} s in the future (is a clock wrong?)")
