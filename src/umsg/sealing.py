# SPDX-License-Identifier: GPL-3.0-or-later
"""The sealing of a text's content: AES-128-GCM, piece by piece (NIST SP 800-38D, RFC 5116).

A key seals one text, so the nonce may be 12 zero octets. The associated data are those of
`umsg.binding.text_associated_data`. The tag of 16 octets follows the content.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM

from umsg.errors import PeerError
from umsg.texts import TAG_OCTETS

KEY_OCTETS = 16
_NONCE = bytes(12)


class SealError(PeerError):
    """A sealed content is not what its sender made, or not under this key and these data."""


class TextSealer:
    """Seals one content under a `key` of 16 octets."""

    def __init__(self, key: bytes, associated_data: bytes) -> None:
        self._encryptor = Cipher(AES(key), GCM(_NONCE)).encryptor()
        self._encryptor.authenticate_additional_data(associated_data)

    def update(self, data: bytes) -> bytes:
        """Seal the next piece; gives as many octets."""
        return self._encryptor.update(data)

    def finish(self) -> bytes:
        """Give the tag, the last 16 octets; nothing can be sealed after it."""
        self._encryptor.finalize()
        return self._encryptor.tag


class TextOpener:
    """Opens one sealed content under a `key` of 16 octets.

    What `update` gives is not authentic before `finish` has returned.
    """

    def __init__(self, key: bytes, associated_data: bytes) -> None:
        self._decryptor = Cipher(AES(key), GCM(_NONCE)).decryptor()
        self._decryptor.authenticate_additional_data(associated_data)
        self._held = b""

    def update(self, data: bytes) -> bytes:
        """Take the next piece; what may be the tag is held back."""
        whole = self._held + data
        cut = max(0, len(whole) - TAG_OCTETS)
        self._held = whole[cut:]
        return self._decryptor.update(whole[:cut])

    def finish(self) -> None:
        """Check the tag; raises SealError."""
        if len(self._held) != TAG_OCTETS:
            raise SealError("the sealed content is shorter than its tag")
        try:
            self._decryptor.finalize_with_tag(self._held)
        except InvalidTag:
            raise SealError("the content is not what its sender sealed") from None
