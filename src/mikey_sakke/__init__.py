# SPDX-License-Identifier: GPL-3.0-or-later
"""MIKEY-SAKKE: identity-based key exchange for SRTP (RFC 6507, 6508, 6509, 3830).

`eccsi` signs and verifies, `sakke` encapsulates and decapsulates, `prf` derives keys; these
three are plain functions over octet strings. `initiator`, `receiver` and `replay` make and
take whole I_MESSAGEs with the keys of a `keys.UserKeys`; `identity` says what identifiers are
made of, `mcx` names what 3GPP's services use. `sdp` carries messages in session descriptions,
`dump` shows one as text, also as `python -m mikey_sakke FILE`. The library does no I/O and reads
no clock; every error is a `MikeySakkeError`.
"""

from mikey_sakke import eccsi, prf, sakke
from mikey_sakke.errors import (
    BiddingDownError,
    DecapsulationError,
    ErrorNumber,
    IdentifierError,
    IdentityError,
    KeyValidationError,
    MalformedError,
    MikeySakkeError,
    ParameterError,
    PeriodError,
    PolicyError,
    Reason,
    ReplayError,
    SecretError,
    StaleError,
    UnsupportedError,
    VerificationError,
)

__all__ = [
    "BiddingDownError",
    "DecapsulationError",
    "ErrorNumber",
    "IdentifierError",
    "IdentityError",
    "KeyValidationError",
    "MalformedError",
    "MikeySakkeError",
    "ParameterError",
    "PeriodError",
    "PolicyError",
    "Reason",
    "ReplayError",
    "SecretError",
    "StaleError",
    "UnsupportedError",
    "VerificationError",
    "eccsi",
    "prf",
    "sakke",
]
