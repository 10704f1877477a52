# SPDX-License-Identifier: GPL-3.0-or-later
"""The SRTP policy of an SP payload (RFC 3830 §6.10.1, RFC 7714 §14.3): meaning and acceptance.

Named policies: `AES_CM_128_HMAC_SHA1_80`, which is SRTP's own default (RFC 3711 §5), and
`AEAD_AES_128_GCM` in the profile of 3GPP TS 33.180; `policy_name` gives the name back.
"""

from dataclasses import dataclass, fields, replace
from typing import Self

from mikey_sakke.errors import ErrorNumber, PolicyError
from mikey_sakke.payloads import SecurityPolicy

AES_CM = 1
AES_GCM = 6
HMAC_SHA1 = 1
PROTOCOL_SRTP = 0

_MIN_TAG_LENGTH = 10
_MAX_TAG_LENGTH = 20
"""Of a whole HMAC-SHA-1."""
_AEAD_TAG_LENGTH = 16
_MAX_VALUE_LENGTH = 4

_TYPES = {
    0: "encryption",
    1: "key_length",
    2: "authentication",
    3: "authentication_key_length",
    4: "salt_length",
    5: "prf",
    6: "key_derivation_rate",
    7: "srtp_encrypted",
    8: "srtcp_encrypted",
    9: "fec_order",
    10: "srtp_authenticated",
    11: "tag_length",
    12: "prefix_length",
    18: "srtp_tag_length",
    19: "srtcp_tag_length",
    20: "aead_tag_length",
}
_OPTIONAL = frozenset({9, 12, 18, 19, 20})
"""Written only where they differ from the default, since old receivers do not know them."""
_AEAD_DEFAULTS = {"authentication": 0, "authentication_key_length": 0, "salt_length": 12}
"""AEAD has no separate authentication, and a salt of 96 bits (RFC 7714 §12)."""
_AEAD_STATED = frozenset({0, 1, 4, 5, 6})
"""What an AEAD policy states in any case (the profile of 3GPP TS 33.180)."""


@dataclass(frozen=True, slots=True)
class SrtpPolicy:
    """SRTP parameters as numbers; the defaults are those of SRTP: AES_CM_128_HMAC_SHA1_80.

    Lengths are in octets. -1 stands for a tag length that is not stated.
    """

    encryption: int = AES_CM
    key_length: int = 16
    authentication: int = HMAC_SHA1
    authentication_key_length: int = 20
    salt_length: int = 14
    prf: int = 0
    key_derivation_rate: int = 0
    srtp_encrypted: int = 1
    srtcp_encrypted: int = 1
    fec_order: int = 0
    srtp_authenticated: int = 1
    tag_length: int = _MIN_TAG_LENGTH
    prefix_length: int = 0
    srtp_tag_length: int = -1
    srtcp_tag_length: int = -1
    aead_tag_length: int = -1

    @classmethod
    def from_payload(cls, payload: SecurityPolicy) -> Self:
        """Read an SP payload; a type not stated has its default.

        Raises `PolicyError` for another protocol than SRTP (number 9), and for a parameter
        that is unknown, comes twice or is no number of 1 to 4 octets (number 10).
        """
        if payload.protocol != PROTOCOL_SRTP:
            error = PolicyError(f"policy of protocol {payload.protocol}: only SRTP is supported")
            error.error_number = ErrorNumber.INVALID_SP
            raise error
        values: dict[str, int] = {}
        for number, value in payload.parameters:
            name = _TYPES.get(number)
            if name is None or name in values or not 1 <= len(value) <= _MAX_VALUE_LENGTH:
                raise PolicyError(f"policy parameter {number} is unknown, repeated or misshapen")
            values[name] = int.from_bytes(value, "big")
        if values.get("encryption") == AES_GCM:
            values = _AEAD_DEFAULTS | values
        return cls(**values)

    def to_payload(self, policy_no: int) -> SecurityPolicy:
        """Give the policy as an SP payload with this policy number (0 to 255).

        The default policy states 11 parameters, 37 octets in the payload; an AEAD policy states
        what has a meaning in it and what differs from its defaults: 6 parameters, 22 octets.
        """
        defaults = {field.name: field.default for field in fields(self)}
        optional = _OPTIONAL
        if self.encryption == AES_GCM:
            defaults |= _AEAD_DEFAULTS
            optional = frozenset(_TYPES) - _AEAD_STATED
        parameters = []
        for number, name in _TYPES.items():
            value = int(getattr(self, name))
            if number in optional and value == defaults[name]:
                continue
            parameters.append(
                (number, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))
            )
        return SecurityPolicy(policy_no, tuple(parameters))

    def check_acceptable(self) -> None:
        """Raise `PolicyError` (number 10) unless the policy protects as it must (RFC 3830 §6.12).

        Refused: no or unknown encryption, SRTP or SRTCP in clear, an authentication tag below
        80 bits (or beyond what HMAC-SHA-1 gives) without AEAD, and what this library derives no
        keys for.
        """
        tags = (self.tag_length, self.srtp_tag_length, self.srtcp_tag_length)
        authenticated = {
            AES_CM: self.authentication == HMAC_SHA1
            and self.authentication_key_length == 20
            and self.salt_length == 14
            and all(_MIN_TAG_LENGTH <= tag <= _MAX_TAG_LENGTH for tag in tags if tag != -1),
            AES_GCM: self.salt_length == 12 and self.aead_tag_length in (-1, _AEAD_TAG_LENGTH),
        }.get(self.encryption, False)
        plain_features = (
            self.prf,
            self.key_derivation_rate,
            self.fec_order,
            self.prefix_length,
        )
        if not (
            authenticated
            and self.key_length in (16, 32)
            and self.srtp_encrypted == 1
            and self.srtcp_encrypted == 1
            and self.srtp_authenticated == 1
            and not any(plain_features)
        ):
            raise PolicyError(
                "SRTP policy refused: it must be AES-CM with HMAC-SHA-1-80 or AES-GCM, "
                "with SRTP and SRTCP encrypted and authenticated"
            )


AES_CM_128_HMAC_SHA1_80 = SrtpPolicy()
"""AES in counter mode with a key of 16 octets, HMAC-SHA-1 with a tag of 10 (RFC 3711 §5)."""
DEFAULT_POLICY = AES_CM_128_HMAC_SHA1_80
"""What holds where a message states no policy."""
AEAD_AES_128_GCM = SrtpPolicy(
    encryption=AES_GCM,
    authentication=0,
    authentication_key_length=0,
    salt_length=12,
    aead_tag_length=_AEAD_TAG_LENGTH,
)
"""AES-GCM with a key of 16 octets, a salt of 12 and a tag of 16 (RFC 7714, 3GPP TS 33.180)."""

NAMED_POLICIES = {
    "AES_CM_128_HMAC_SHA1_80": AES_CM_128_HMAC_SHA1_80,
    "AES_CM_256_HMAC_SHA1_80": SrtpPolicy(key_length=32),
    "AEAD_AES_128_GCM": AEAD_AES_128_GCM,
    "AEAD_AES_256_GCM": replace(AEAD_AES_128_GCM, key_length=32),
}
"""Policies by the names of their SRTP crypto suites (RFC 4568 §6.2, RFC 6188, RFC 7714 §14.2)."""


def policy_name(policy: SrtpPolicy) -> str | None:
    """Give the name of a policy's crypto suite, or None for one that has none here."""
    return next((name for name, named in NAMED_POLICIES.items() if named == policy), None)
