# SPDX-License-Identifier: GPL-3.0-or-later
"""cig.raw: key material **in clear**, on its way from pdftoraw into the keystore.

Whoever can read the file has the keys. It is meant to lie on the gateway alone, with mode 0600,
until the next start imports it, overwrites it and removes it.

The file is ``CIGRAW``, an octet 1 (the format's version), the document (`cig_material.document`),
and the SHA-256 of all before it, which tells a torn file from one whose keys are wrong.
"""

from __future__ import annotations

import hashlib

from cig_material import document
from cig_material.errors import MaterialError, NewerVersionError
from cig_material.material import KeyMaterial

MAGIC = b"CIGRAW"
VERSION = 1
DIGEST_OCTETS = 32
HEAD_OCTETS = len(MAGIC) + 1
MAX_OCTETS = HEAD_OCTETS + document.MAX_OCTETS + DIGEST_OCTETS
_WHAT = "cig.raw"
_AGAIN = "make it again with pdftoraw"


def encode(material: KeyMaterial) -> bytes:
    """Give the file of ``material``, secrets in clear. Raises `MaterialError` if it is too long."""
    head = MAGIC + bytes([VERSION]) + document.encode(material)
    return head + hashlib.sha256(head).digest()


def decode(octets: bytes) -> KeyMaterial:
    """Read such a file; keys' equations are not checked here.

    Raises `NewerVersionError` for a newer version, `MaterialError` for anything else that is wrong.
    """
    if not octets.startswith(MAGIC):
        raise MaterialError(f"{_WHAT} holds no key material: {_AGAIN}")
    version = octets[len(MAGIC)] if len(octets) > len(MAGIC) else 0
    if version > VERSION:
        raise NewerVersionError(_WHAT, version, VERSION)
    content, digest = octets[:-DIGEST_OCTETS], octets[-DIGEST_OCTETS:]
    if version != VERSION or hashlib.sha256(content).digest() != digest:
        raise MaterialError(f"{_WHAT} is damaged or cut short (its checksum is wrong): {_AGAIN}")
    return document.decode(content[HEAD_OCTETS:])
