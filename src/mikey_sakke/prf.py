# SPDX-License-Identifier: GPL-3.0-or-later
"""Key derivation: the MIKEY PRF (RFC 3830 §4.1.2, RFC 6043 §6.1) and HKDF (RFC 5869)."""

import hmac
from enum import IntEnum

from mikey_sakke.errors import ErrorNumber, ParameterError, UnsupportedError

MAX_OUTPUT = 4096
"""Octets that one derivation gives at most: far beyond any key, and it bounds the work."""

_BLOCK = 32
"""The input key is cut into blocks of 256 bits, whatever the hash (RFC 3830 §4.1.2)."""


class PrfFunction(IntEnum):
    """PRF functions of the HDR payload (RFC 3830 §6.1, RFC 6043 §6.1)."""

    MIKEY_1 = 0
    """HMAC-SHA-1."""
    HMAC_SHA_256 = 1


_HASHES = {PrfFunction.MIKEY_1: "sha1", PrfFunction.HMAC_SHA_256: "sha256"}


def derive(prf_func: int, inkey: bytes, label: bytes, length: int) -> bytes:
    """Derive `length` octets from an input key and a label by the PRF function 0 or 1.

    Raises `UnsupportedError` for another PRF function, `ParameterError` for an empty key and
    a length outside of 0 to 4096.
    """
    hash_name = _HASHES.get(prf_func)  # type: ignore[call-overload]
    if hash_name is None:
        raise UnsupportedError(
            f"PRF function {prf_func} is unknown", error_number=ErrorNumber.INVALID_PRF
        )
    if not inkey:
        raise ParameterError("the PRF needs an input key of at least one octet")
    if not 0 <= length <= MAX_OUTPUT:
        raise ParameterError(f"the PRF gives 0 to {MAX_OUTPUT} octets, not {length}")
    result = 0
    for start in range(0, len(inkey), _BLOCK):
        result ^= int.from_bytes(_p(hash_name, inkey[start : start + _BLOCK], label, length), "big")
    return result.to_bytes(length, "big")


def _p(hash_name: str, key: bytes, label: bytes, length: int) -> bytes:
    """Give P(s, label, m): HMAC(s, A_1 || label) || HMAC(s, A_2 || label) ... (RFC 3830 §4.1.2)."""
    a = label
    output = b""
    while len(output) < length:
        a = hmac.digest(key, a, hash_name)
        output += hmac.digest(key, a + label, hash_name)
    return output[:length]


def hkdf(inkey: bytes, *, salt: bytes, info: bytes, length: int) -> bytes:
    """Derive up to 8160 octets by HKDF with SHA-256 (RFC 5869)."""
    if not 0 <= length <= 255 * 32:
        raise ParameterError(f"HKDF-SHA-256 gives 0 to 8160 octets, not {length}")
    pseudo_random_key = hmac.digest(salt or bytes(32), inkey, "sha256")
    block = b""
    output = b""
    counter = 1
    while len(output) < length:
        block = hmac.digest(pseudo_random_key, block + info + bytes([counter]), "sha256")
        output += block
        counter += 1
    return output[:length]


def answer_key(ssv: bytes, rand: bytes, info: bytes) -> bytes:
    """Derive 32 octets that only the two holders of an SSV know, e.g. to authenticate an answer.

    HKDF-SHA-256 with the SSV as input key, the message's RAND as salt and `info` as the name
    of the purpose, so that it shares nothing with the SRTP keys.
    """
    return hkdf(ssv, salt=rand, info=info, length=32)
