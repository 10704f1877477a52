# SPDX-License-Identifier: GPL-3.0-or-later
"""Key identifiers: the octet strings that stand for a user in a key period.

ID scheme 1 is a tel URI with a month (RFC 6509 §3.2), ID scheme 2 a hash of URI, KMS and period
(3GPP TS 33.180 §F.2.1). The same number written in two ways would be two identities, so one
canonical form of tel URIs is taken and every other is refused. An extension (`;101`) is
signalling, not identity. `identity` has both schemes in a common form.
"""

import re
from hashlib import sha256

from mikey_sakke.errors import IdentifierError, ParameterError

ID_SCHEME_TEL = 1
"""ID scheme of the SAKKE payload: a tel URI with the month (RFC 6509 §4.2)."""
ID_SCHEME_HASHED_UID = 2
"""ID scheme of the SAKKE payload: a hashed UID (3GPP TS 33.180 §F.2.1)."""
UID_LENGTH = 32
"""Octets of a hashed UID."""

_MAX_URI_LENGTH = 1024
_TEL_URI = re.compile(r"tel:\+[1-9][0-9]{0,14}", re.ASCII)
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])", re.ASCII)


def check_tel_uri(uri: str) -> str:
    """Give the URI back if it is canonical: `tel:+` and 1 to 15 digits, the first not 0 (E.164).

    Raises `IdentifierError` otherwise: separators, parameters, NULs, other schemes.
    """
    if not _TEL_URI.fullmatch(uri):
        raise IdentifierError(
            f"not a canonical tel URI: {uri[:64]!r} (wanted: tel:+ and 1 to 15 digits, no more)"
        )
    return uri


def check_month(month: str) -> str:
    """Give the month back if it reads YYYY-MM, 7 octets; raises `IdentifierError` otherwise."""
    if not _MONTH.fullmatch(month):
        raise IdentifierError(f"not a month: {month[:64]!r} (wanted: YYYY-MM)")
    return month


def bare_tel_uri(uri: str) -> str:
    """Strip what follows the first `;` and give the canonical tel URI before it.

    Raises `IdentifierError` where that is not canonical.
    """
    return check_tel_uri(uri.partition(";")[0])


def tel_identifier(uri: str, month: str) -> bytes:
    """Give the identifier `YYYY-MM NUL tel:+digits NUL` of a canonical tel URI for a month.

    It has 15 to 29 octets (RFC 6509 §3.2): ("tel:+46701234567", "2026-11") gives
    b"2026-11\\0tel:+46701234567\\0". Raises `IdentifierError`.
    """
    return b"%s\0%s\0" % (check_month(month).encode("ascii"), check_tel_uri(uri).encode("ascii"))


def check_user_uri(uri: str) -> str:
    """Give a URI of a user or KMS of 3GPP TS 33.180 back if it can be one.

    Raises `IdentifierError` unless it is text of 1 to 1024 octets in UTF-8 without spaces,
    NULs and what cannot be printed. TS 33.180 compares URIs octet by octet, so no further form is
    asked: `sip:user@example.org`, `user@example.org`, `kms.example.org`.
    """
    # isprintable is false for lone surrogates too, so that encoding cannot fail.
    if not uri or not uri.isprintable() or " " in uri:
        raise IdentifierError(f"not a URI: {uri[:64]!r} (spaces and control characters refused)")
    if len(uri.encode("utf-8")) > _MAX_URI_LENGTH:
        raise IdentifierError(f"a URI must have at most {_MAX_URI_LENGTH} octets")
    return uri


def hashed_uid(
    user_uri: str, kms_uri: str, *, period_seconds: int, period_offset: int, period_number: int
) -> bytes:
    """Give the 32-octet UID of 3GPP TS 33.180 §F.2.1 (ID scheme 2).

    SHA-256 over FC = 00 and P0 L0 to P5 L5 of TS 33.220 Annex B: each parameter is followed
    by its length in two octets; numbers are big-endian, as short as they can be. The period
    number counts from 1900: (NTP seconds - offset) // period.
    """
    parameters = (
        b"MIKEY-SAKKE-UID",
        user_uri.encode("utf-8"),
        kms_uri.encode("utf-8"),
        _shortest(period_seconds),
        _shortest(period_offset),
        _shortest(period_number),
    )
    text = b"\0"
    for parameter in parameters:
        if len(parameter) > 0xFFFF:
            raise ParameterError("a UID parameter is longer than 65535 octets")
        text += parameter + len(parameter).to_bytes(2, "big")
    return sha256(text).digest()


def _shortest(number: int) -> bytes:
    if number < 0:
        raise ParameterError("a UID's period numbers must not be negative")
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")
