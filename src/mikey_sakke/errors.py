# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of the library: one tree, each error carrying its consequence as data.

`reason` says in one machine-readable word what was wrong (for counters and logs);
`error_number` is the MIKEY error number of RFC 3830 §6.12 (RFC 6043 §6.9 for 13 to 15) that a
peer would be told. Nobody needs to look into an error's text, and no text holds a secret.
"""

from enum import IntEnum, StrEnum


class ErrorNumber(IntEnum):
    """MIKEY error numbers (RFC 3830 §6.12, RFC 6043 §6.9)."""

    AUTH_FAILURE = 0
    INVALID_TIMESTAMP = 1
    INVALID_PRF = 2
    INVALID_MAC = 3
    INVALID_EA = 4
    INVALID_HA = 5
    INVALID_DH = 6
    INVALID_ID = 7
    INVALID_CERT = 8
    INVALID_SP = 9
    INVALID_SP_PARAMETER = 10
    INVALID_DATA_TYPE = 11
    UNSPECIFIED = 12
    UNSUPPORTED_MESSAGE = 13
    INVALID_TICKET = 14
    INVALID_TP_PARAMETER = 15


class Reason(StrEnum):
    """What was wrong, in one word."""

    PARAMETER = "parameter"
    """An argument has the wrong size or range: the caller's own mistake."""
    KEY = "key"
    """Key material does not satisfy its equations, or is of another identity or month."""
    IDENTIFIER = "identifier"
    """A URI or a month is not in the one canonical form."""
    SIGNATURE = "signature"
    """An ECCSI signature does not verify."""
    DECAPSULATION = "decapsulation"
    """SAKKE encapsulated data is not for this identity, or was altered."""
    MALFORMED = "malformed"
    """A message breaks the wire format or lacks a payload that it needs."""
    UNSUPPORTED = "unsupported"
    """A message uses a payload, type or algorithm outside of the profile."""
    STALE = "stale"
    """A message's timestamp is too far from now."""
    PERIOD = "period"
    """A message's month is outside of the window in which its keys count."""
    REPLAYED = "replayed"
    """A message was seen before, or is too old for the replay cache to know."""
    IDENTITY = "identity"
    """A message's initiator or responder is not the expected one."""
    POLICY = "policy"
    """A message asks for weaker SRTP protection than is acceptable."""
    BIDDING = "bidding"
    """The key management protocols of an offer are not those that its maker signed."""
    SECRET = "secret"
    """A secret was used after it was wiped, or was about to leave by a forbidden way."""


class MikeySakkeError(Exception):
    """Root of all errors that this library raises.

    Attributes: `reason` (a `Reason`) and `error_number` (an `ErrorNumber`).
    """

    reason: Reason = Reason.PARAMETER
    error_number: ErrorNumber = ErrorNumber.UNSPECIFIED


class ParameterError(MikeySakkeError):
    """An argument has the wrong octet length or lies outside of its range."""


class IdentifierError(MikeySakkeError):
    """A URI or a period is not in its form, so no identifier can be made of it (RFC 6509 §3.2)."""

    reason = Reason.IDENTIFIER
    error_number = ErrorNumber.INVALID_ID


class KeyValidationError(MikeySakkeError):
    """Key material fails the checks of RFC 6507 §5.1.2 or RFC 6508 §6.1.2."""

    reason = Reason.KEY


class VerificationError(MikeySakkeError):
    """An ECCSI signature is not valid for this message and identifier (RFC 6507 §5.2.2)."""

    reason = Reason.SIGNATURE
    error_number = ErrorNumber.AUTH_FAILURE


class DecapsulationError(MikeySakkeError):
    """SAKKE data were refused (RFC 6508 §6.2.2); deliberately one error for every cause."""

    reason = Reason.DECAPSULATION
    error_number = ErrorNumber.AUTH_FAILURE


class MalformedError(MikeySakkeError):
    """A message breaks the wire format (RFC 3830 §6)."""

    reason = Reason.MALFORMED


class UnsupportedError(MikeySakkeError):
    """A well-formed message uses something that is not supported (RFC 3830 §6.12)."""

    reason = Reason.UNSUPPORTED
    error_number = ErrorNumber.UNSUPPORTED_MESSAGE

    def __init__(
        self, text: str, *, error_number: ErrorNumber = ErrorNumber.UNSUPPORTED_MESSAGE
    ) -> None:
        super().__init__(text)
        self.error_number = error_number


class StaleError(MikeySakkeError):
    """A message's T payload lies outside of the allowed clock skew (RFC 3830 §5.4)."""

    reason = Reason.STALE
    error_number = ErrorNumber.INVALID_TIMESTAMP


class PeriodError(MikeySakkeError):
    """The month of a message's T payload is outside of the key window (RFC 6509 §3.3)."""

    reason = Reason.PERIOD
    error_number = ErrorNumber.INVALID_TIMESTAMP


class ReplayError(MikeySakkeError):
    """A message was accepted before, or is older than the replay cache knows (RFC 3830 §5.4)."""

    reason = Reason.REPLAYED
    error_number = ErrorNumber.INVALID_TIMESTAMP


class IdentityError(MikeySakkeError):
    """A message names another initiator or responder than the expected one (RFC 6509 §4.4)."""

    reason = Reason.IDENTITY
    error_number = ErrorNumber.INVALID_ID


class PolicyError(MikeySakkeError):
    """A message's SRTP policy is not acceptable (RFC 3830 §6.10)."""

    reason = Reason.POLICY
    error_number = ErrorNumber.INVALID_SP_PARAMETER


class BiddingDownError(MikeySakkeError):
    """An offer's list of key management protocols is not the signed one (RFC 4567 §4.1.4)."""

    reason = Reason.BIDDING


class SecretError(MikeySakkeError):
    """A wiped secret was used, or a secret was to be pickled or copied."""

    reason = Reason.SECRET
