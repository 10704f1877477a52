# SPDX-License-Identifier: GPL-3.0-or-later
"""MIKEY-SAKKE as mission critical services of 3GPP use it (TS 33.180): names and small helpers.

A message carries one key, which is the SSV itself, and the CSB ID says which: its 4 top bits are
the purpose, the other 28 are random. Users are `identity.HashedUid` identities. A private call
key (PCK) has an empty CS ID map and CS IDs 0 and 1 by agreement; a key that many share (GMK,
CSK) has a GENERIC-ID map of one session, whose SPI names the key.

`PROFILE` takes such messages, `PRIVATE_CALL` makes them; both are for `receiver` and
`initiator`. Not here: the encrypted key parameters (General Extension type 7) are kept as they are.
"""

import hmac
from enum import IntEnum

from mikey_sakke.errors import ParameterError
from mikey_sakke.header import GenericCs, GenericIdMap, MapType
from mikey_sakke.identifiers import check_user_uri
from mikey_sakke.initiator import BuildOptions
from mikey_sakke.policy import AEAD_AES_128_GCM, PROTOCOL_SRTP
from mikey_sakke.prf import PrfFunction
from mikey_sakke.profile import Profile
from mikey_sakke.wire import check_octets, check_uint

CS_ID_INITIATOR = 0
"""CS ID of the initiator's stream in a private call."""
CS_ID_RECEIVER = 1
"""CS ID of the receiver's stream in a private call."""
CS_ID_GROUP = 4
"""CS ID of a group's streams."""
CS_ID_CSK = 6
"""CS ID of what a client and its server send under a CSK."""

_RANDOM_BITS = 28
_RANDOM_MASK = (1 << _RANDOM_BITS) - 1
_FC_USER_SALT = b"\x50"


class Purpose(IntEnum):
    """Purpose tags, the 4 top bits of a key's ID (TS 33.180)."""

    GMK = 0
    """Group master key; the CSB ID is the GUK-ID of the one user."""
    PCK = 1
    """Private call key."""
    CSK = 2
    """Client-server key."""


def key_id(purpose: int, random_number: int) -> int:
    """Make the 32-bit ID of a key, which is the CSB ID, of its purpose and 28 random bits."""
    check_uint(purpose, 4, "purpose")
    return purpose << _RANDOM_BITS | random_number & _RANDOM_MASK


def purpose_of(csb_id: int) -> int:
    """Give the purpose of a 32-bit key ID; see `Purpose` for the names."""
    check_uint(csb_id, 32, "CSB ID")
    return csb_id >> _RANDOM_BITS


def guk_id(gmk: bytes, gmk_id: int, user_uri: str) -> int:
    """Give the GUK-ID by which one user knows a group's key (TS 33.180 §F.1.3).

    It is the GMK-ID (32 bits) with its 28 random bits changed by the user salt, the last 28
    bits of HMAC-SHA-256(GMK, 50 || URI || length of the URI in 2 octets). The GMK has 16
    octets. The same function gives the GMK-ID of a GUK-ID.
    """
    check_uint(gmk_id, 32, "GMK-ID")
    if len(gmk) != 16:
        raise ParameterError(f"a GMK must have 16 octets, got {len(gmk)}")
    uri = check_user_uri(user_uri).encode("utf-8")
    digest = hmac.digest(gmk, _FC_USER_SALT + uri + len(uri).to_bytes(2, "big"), "sha256")
    return gmk_id ^ int.from_bytes(digest[-4:], "big") & _RANDOM_MASK


def shared_key_map(cs_id: int, spi: bytes) -> GenericIdMap:
    """Make the GENERIC-ID map of a key that many share: one session of policy 0.

    The SPI (at most 255 octets) is GMK-ID || GUK-ID for a GMK, and the CSK-ID for a CSK.
    """
    check_octets(spi, 0xFF, "SPI")
    return GenericIdMap((GenericCs(cs_id, PROTOCOL_SRTP, False, b"\0", b"", spi),))


PROFILE = Profile(
    prf_functions=frozenset(PrfFunction),
    map_types=frozenset(MapType),
    sessions=None,
    extension_magic=None,
    default_policy_only=False,
    agreed_cs_ids=(CS_ID_INITIATOR, CS_ID_RECEIVER),
    min_sessions=1,
)
"""What a receiver of mission critical services takes. SP beside an empty map is tolerated, which
RFC 4563 §5 rules out, because such messages are what products send."""

PRIVATE_CALL = BuildOptions(
    prf_func=PrfFunction.HMAC_SHA_256,
    policy=AEAD_AES_128_GCM,
    map_type=MapType.EMPTY,
    profile=PROFILE,
    name_uris=False,
    name_uids=True,
    name_kms=True,
)
"""A private call's message: empty map, AES-128-GCM, parties and KMS named by UIDs and URI."""
