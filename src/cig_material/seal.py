# SPDX-License-Identifier: GPL-3.0-or-later
"""Key material under a passphrase: what travels from a CMS to a gateway.

The passphrase and a salt give a key by scrypt (RFC 7914), and that key seals the document with
AES-256-GCM. Everything before the ciphertext is its associated data, so nothing of it can be
altered unnoticed. Numbers are big-endian:

| offset | octets | value |
| --- | --- | --- |
| 0 | 7 | ``CIGSEAL`` |
| 7 | 1 | 1, the format's version |
| 8 | 1 | log2 of scrypt's N |
| 9 | 1 | scrypt's r |
| 10 | 1 | scrypt's p |
| 11 | 4 | length of the document |
| 15 | 16 | scrypt's salt |
| 31 | 12 | AES-GCM's nonce |
| 43 | length | the document, encrypted |
| 43 + length | 16 | AES-GCM's tag |

How much work and memory a file asks for is checked before any of it is spent.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cig_material import document as _document
from cig_material.errors import MaterialError, NewerVersionError, PassphraseError
from mikey_sakke.secret import Secret

MAGIC = b"CIGSEAL"
VERSION = 1
SALT_OCTETS = 16
NONCE_OCTETS = 12
TAG_OCTETS = 16
KEY_OCTETS = 32
MAX_LOG_N = 20
MAX_R = 16
MAX_P = 4
MAX_MEMORY = 1 << 30
"""Octets that scrypt may take."""

_HEAD = struct.Struct(f">{len(MAGIC)}sBBBBI{SALT_OCTETS}s{NONCE_OCTETS}s")
HEAD_OCTETS = _HEAD.size
MAX_OCTETS = HEAD_OCTETS + _document.MAX_OCTETS + TAG_OCTETS
_WHAT = "the sealed key material"
_AGAIN = "copy the whole of it again"


@dataclass(frozen=True, slots=True)
class Cost:
    """What scrypt is given: N = 2^``log_n``, ``r`` and ``p``. It takes 128 N r octets of memory.

    Raises ValueError for what is out of bounds.
    """

    log_n: int
    r: int
    p: int

    def __post_init__(self) -> None:
        within = 1 <= self.log_n <= MAX_LOG_N and 1 <= self.r <= MAX_R and 1 <= self.p <= MAX_P
        # RFC 7914 section 6 wants N below 2^(128 r / 8).
        if not within or self.log_n >= 16 * self.r or self.memory > MAX_MEMORY:
            raise ValueError(
                f"scrypt's N = 2^{self.log_n}, r = {self.r}, p = {self.p} are out of bounds"
            )

    @property
    def memory(self) -> int:
        """The octets of memory that it takes."""
        return 128 * self.r << self.log_n


DEFAULT_COST = Cost(log_n=17, r=8, p=1)
"""128 MiB, and some tenths of a second on one core."""


def passphrase_from(text: str) -> Secret:
    """Give the octets of a passphrase as typed or as read from a file's line.

    One line end is taken off, and the text is normalised (NFC), so that keyboards that compose
    an accent differently agree. Raises `PassphraseError` where nothing is left or where it is no
    text.
    """
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise PassphraseError("the passphrase is empty")
    try:
        return Secret(unicodedata.normalize("NFC", text).encode())
    except UnicodeEncodeError:
        # The error's own text would show the passphrase.
        raise PassphraseError("the passphrase is no text in UTF-8") from None


def seal(
    document: bytes,
    passphrase: Secret,
    *,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    cost: Cost = DEFAULT_COST,
) -> bytes:
    """Seal a document. Each call draws a new salt and nonce.

    Raises `MaterialError` for an empty or too long document.
    """
    if not 1 <= len(document) <= _document.MAX_OCTETS:
        raise MaterialError(f"{_WHAT} must hold 1 to {_document.MAX_OCTETS} octets")
    salt, nonce = random_bytes(SALT_OCTETS), random_bytes(NONCE_OCTETS)
    head = _HEAD.pack(MAGIC, VERSION, cost.log_n, cost.r, cost.p, len(document), salt, nonce)
    return head + AESGCM(_key(passphrase, salt, cost)).encrypt(nonce, document, head)


def unseal(sealed: bytes, passphrase: Secret) -> bytes:
    """Give the document that was sealed; takes the time and memory that its head says.

    Raises `NewerVersionError`, `PassphraseError` where the tag is wrong, and `MaterialError` for
    anything else that is wrong.
    """
    cost, length, salt, nonce = _head(sealed)
    want = HEAD_OCTETS + length + TAG_OCTETS
    if len(sealed) < want:
        raise MaterialError(f"{_WHAT} is cut short ({len(sealed)} of {want} octets): {_AGAIN}")
    if len(sealed) > want:
        raise MaterialError(f"{_WHAT} goes on after its end: take its own octets alone")
    key = _key(passphrase, salt, cost)
    try:
        return AESGCM(key).decrypt(nonce, sealed[HEAD_OCTETS:], sealed[:HEAD_OCTETS])
    except InvalidTag:
        raise PassphraseError("the passphrase is wrong, or the key material was altered") from None


def cost_of(sealed: bytes) -> Cost:
    """Tell what opening it would cost; raises as `unseal` does for a head that is wrong."""
    return _head(sealed)[0]


def _head(sealed: bytes) -> tuple[Cost, int, bytes, bytes]:
    """Give cost, length of the document, salt and nonce."""
    if not sealed.startswith(MAGIC):
        raise MaterialError(
            f"this is no sealed key material: it does not begin with {MAGIC.decode()}"
        )
    if len(sealed) > len(MAGIC) and sealed[len(MAGIC)] > VERSION:
        raise NewerVersionError(_WHAT, sealed[len(MAGIC)], VERSION)
    if len(sealed) < HEAD_OCTETS:
        raise MaterialError(f"{_WHAT} is cut short: {_AGAIN}")
    _, version, log_n, r, p, length, salt, nonce = _HEAD.unpack_from(sealed)
    if version != VERSION:
        raise MaterialError(f"{_WHAT} is damaged: it has no format version {VERSION}")
    if not 1 <= length <= _document.MAX_OCTETS:
        raise MaterialError(f"{_WHAT} is damaged: its length cannot be")
    try:
        return Cost(log_n, r, p), length, salt, nonce
    except ValueError as error:
        raise MaterialError(f"{_WHAT} is damaged: {error}") from None


def _key(passphrase: Secret, salt: bytes, cost: Cost) -> bytes:
    try:
        return hashlib.scrypt(
            passphrase.reveal(),
            salt=salt,
            n=1 << cost.log_n,
            r=cost.r,
            p=cost.p,
            # Beside 128 N r, scrypt needs room for p blocks and two more.
            maxmem=cost.memory + 128 * cost.r * (cost.p + 2),
            dklen=KEY_OCTETS,
        )
    except (ValueError, MemoryError):
        raise MaterialError(
            f"the passphrase cannot be tried: that takes {cost.memory >> 20} MiB of memory, which "
            "this host does not give"
        ) from None
