# SPDX-License-Identifier: GPL-3.0-or-later
"""The sealed form of the keystore, version 2.

| octets | content |
| --- | --- |
| 7 | ``CIGKEYS`` |
| 1 | the version, 2 |
| 8 | the wrapping key's id, which tells "another wrapping key" from "damaged" |
| 16 | salt, random for each file |
| 12 | nonce, random for each file |
| the rest | the document (`cig_material.document`) under AES-256-GCM, and its tag of 16 octets |

The key of AES is HKDF-SHA-256 of the wrapping key with the salt: each file has its own, so that
no nonce can occur twice under one key. The octets before the document and the file's name are
authenticated with it: a keystore under another name does not open. Version 1 was not sealed and
never released.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cig_relay.keys.errors import KeystoreFormatError, KeystoreVersionError
from cig_relay.keys.wrapping import KEY_ID_OCTETS, KEY_OCTETS, WrappingKey
from mikey_sakke.prf import hkdf

FORMAT_VERSION = 2
MAX_OCTETS = 262144
RESTORE = "restore it from a back-up, or have new key material issued"

_MAGIC = b"CIGKEYS"
_SALT_OCTETS = 16
_NONCE_OCTETS = 12
_TAG_OCTETS = 16
_FIXED_OCTETS = len(_MAGIC) + 1 + KEY_ID_OCTETS
_HEADER_OCTETS = _FIXED_OCTETS + _SALT_OCTETS + _NONCE_OCTETS
_LABEL = b"CIG keystore: AES-256-GCM"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A keystore file whose header was read: ``header`` is 44 octets, ``box`` the rest."""

    path: Path
    header: bytes
    box: bytes

    @property
    def key_id(self) -> bytes:
        """The id of the wrapping key that opens it."""
        return self.header[len(_MAGIC) + 1 : _FIXED_OCTETS]

    def open(self, key: WrappingKey) -> bytes:
        """Give the document in clear; raises KeystoreFormatError if it or its name was altered."""
        salt, nonce = _salt_and_nonce(self.header)
        try:
            return _cipher(key, salt).decrypt(nonce, self.box, _bound(self.header, self.path))
        except InvalidTag:
            raise KeystoreFormatError(
                self.path, "it is damaged or was renamed (its seal does not fit)", RESTORE
            ) from None


def seal(
    path: Path, document: bytes, key: WrappingKey, random_bytes: Callable[[int], bytes]
) -> bytes:
    """Give the octets of the file ``path`` that keep ``document``."""
    salt, nonce = random_bytes(_SALT_OCTETS), random_bytes(_NONCE_OCTETS)
    header = _MAGIC + bytes([FORMAT_VERSION]) + key.key_id + salt + nonce
    return header + _cipher(key, salt).encrypt(nonce, document, _bound(header, path))


def parse(path: Path, octets: bytes) -> Sealed:
    """Read a keystore's header; raises KeystoreFormatError."""
    if len(octets) > MAX_OCTETS:
        raise KeystoreFormatError(path, "it is no keystore (too long)", RESTORE)
    if octets[: len(_MAGIC)] != _MAGIC:
        raise KeystoreFormatError(path, "it is no keystore", RESTORE)
    version = octets[len(_MAGIC)] if len(octets) > len(_MAGIC) else 0
    if version > FORMAT_VERSION:
        raise KeystoreVersionError(
            path,
            f"its format is version {version}, this cig-relay knows version {FORMAT_VERSION}",
            "install the version of CIG that wrote it, or have new key material issued",
        )
    if version == 1:
        raise KeystoreFormatError(
            path,
            "its format is version 1, which was never released and is not sealed",
            "have new key material issued, since these keys lay on the disk in clear",
        )
    if version == 0 or len(octets) < _HEADER_OCTETS + _TAG_OCTETS:
        raise KeystoreFormatError(path, "it is damaged (its header is cut short or wrong)", RESTORE)
    return Sealed(path, octets[:_HEADER_OCTETS], octets[_HEADER_OCTETS:])


def _salt_and_nonce(header: bytes) -> tuple[bytes, bytes]:
    return header[_FIXED_OCTETS:-_NONCE_OCTETS], header[-_NONCE_OCTETS:]


def _cipher(key: WrappingKey, salt: bytes) -> AESGCM:
    return AESGCM(hkdf(key.key.reveal(), salt=salt, info=_LABEL, length=KEY_OCTETS))


def _bound(header: bytes, path: Path) -> bytes:
    return header + path.name.encode()
