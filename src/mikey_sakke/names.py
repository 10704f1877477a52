# SPDX-License-Identifier: GPL-3.0-or-later
"""The names that the RFCs and IANA give to the numbers of a message, for showing it."""

from collections.abc import Mapping

PAYLOAD_NAMES = {
    0: "last payload",
    1: "KEMAC",
    2: "PKE",
    3: "DH",
    4: "SIGN, signature",
    5: "T, timestamp",
    6: "ID",
    7: "CERT",
    8: "CHASH",
    9: "V",
    10: "SP, security policy",
    11: "RAND",
    12: "ERR",
    13: "TR",
    14: "IDR, identity with role",
    15: "RANDR",
    16: "TP",
    17: "TICKET",
    20: "key data",
    21: "general extension",
    26: "SAKKE",
}
"""Next payload (RFC 3830 §6.1, RFC 6043 §6.1, RFC 6509 §4.2)."""

MAP_NAMES = {0: "SRTP-ID", 1: "empty", 2: "GENERIC-ID"}
"""CS ID map types (RFC 3830 §6.1, RFC 4563 §5, RFC 6043 §6.1.1)."""

PRF_NAMES = {0: "MIKEY-1, HMAC-SHA-1", 1: "PRF-HMAC-SHA-256"}
"""PRF functions (RFC 3830 §6.1, RFC 6043 §6.1)."""

TS_NAMES = {0: "NTP-UTC", 1: "NTP", 2: "COUNTER"}
"""TS types (RFC 3830 §6.6)."""

ROLE_NAMES = {
    1: "IDRi, initiator",
    2: "IDRr, responder",
    3: "IDRkms",
    4: "IDRpsk",
    5: "IDRapp",
    6: "IDRkmsi, initiator's KMS",
    7: "IDRkmsr, responder's KMS",
    8: "IDRuidi, initiator's UID",
    9: "IDRuidr, responder's UID",
}
"""ID roles (RFC 6043 §6.6, RFC 6509 §4.4, 3GPP TS 33.180)."""

ID_TYPE_NAMES = {0: "NAI", 1: "URI", 2: "byte string"}
"""ID types (RFC 3830 §6.7, RFC 6043 §6.6)."""

ID_SCHEME_NAMES = {1: "tel URI with monthly keys", 2: "3GPP hashed UID"}
"""ID schemes (RFC 6509 §4.2, 3GPP TS 33.180)."""

SIGNATURE_NAMES = {0: "RSA PKCS #1", 1: "RSA PSS", 2: "ECCSI"}
"""Signature types (RFC 3830 §6.5, RFC 6509 §4.3)."""

POLICY_NAMES = {
    0: "encryption algorithm",
    1: "session encryption key length",
    2: "authentication algorithm",
    3: "session authentication key length",
    4: "session salt key length",
    5: "SRTP PRF",
    6: "key derivation rate",
    7: "SRTP encryption",
    8: "SRTCP encryption",
    9: "FEC order",
    10: "SRTP authentication",
    11: "authentication tag length",
    12: "SRTP prefix length",
    13: "ROC transmission rate",
    18: "SRTP authentication tag length",
    19: "SRTCP authentication tag length",
    20: "AEAD authentication tag length",
}
"""Types of SRTP policy parameters (RFC 3830 §6.10.1, RFC 7714 §14.3, IANA)."""

_ON_OFF = {0: "off", 1: "on"}
POLICY_VALUES: Mapping[int, Mapping[int, str]] = {
    0: {0: "NULL", 1: "AES-CM", 2: "AES-F8", 6: "AES-GCM"},
    2: {0: "NULL", 1: "HMAC-SHA-1", 4: "RCCm3"},
    5: {0: "AES-CM"},
    7: _ON_OFF,
    8: _ON_OFF,
    10: _ON_OFF,
}
"""Names of the values of some policy parameters."""


def named(number: int, names: Mapping[int, str]) -> str:
    """Give a number with its name, as `26 (SAKKE)`."""
    return f"{int(number)} ({names.get(number, 'unknown')})"
