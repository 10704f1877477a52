# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the wrapping key of the keystore comes from.

1. The systemd credential ``cig-keystore-key``, if the service was given one.
2. The file that the environment variable CIG_KEYSTORE_KEY_FILE names.
3. ``.ks.key`` in userdata. It is made when a keystore is saved and no source is there.

Such a file holds 32 octets, or 64 hexadecimal digits and perhaps a line break. The first source
that is there seals. One that is there and cannot be used is an error: to go on to the next would
seal the keys with a key that is kept less well, and nobody would notice. Only to open a keystore
that was sealed before the first source came, the others are tried too.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cig_relay.keys.access import check_folder, read_own_file
from cig_relay.keys.errors import KeystoreError, KeystoreWrappingError
from cig_relay.keys.files import replace_durably
from mikey_sakke.prf import hkdf
from mikey_sakke.secret import Secret

CREDENTIAL = "cig-keystore-key"
CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"
KEY_FILE = "CIG_KEYSTORE_KEY_FILE"
FILE_NAME = ".ks.key"
KEY_OCTETS = 32
KEY_ID_OCTETS = 8
USERDATA_WORDS = "key file in userdata (a copy of userdata is a copy of the keys)"

_ID_LABEL = b"CIG keystore: id of the wrapping key"
_MAX_OCTETS = 2 * KEY_OCTETS + 1
_DIGITS = frozenset(string.hexdigits.encode())


@dataclass(frozen=True, slots=True)
class WrappingKey:
    """A wrapping key of 32 octets. ``words`` say where it comes from, for ``status``."""

    key: Secret = field(repr=False)
    words: str

    @property
    def key_id(self) -> bytes:
        """8 octets that tell this key from others and tell nothing about it."""
        return hkdf(self.key.reveal(), salt=b"", info=_ID_LABEL, length=KEY_ID_OCTETS)


class WrappingSources:
    """The three sources, as they are for ``directory`` (userdata) and ``environment``."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self.userdata_key = directory / FILE_NAME
        """The file in userdata, whether it is there or not."""
        credentials = environment.get(CREDENTIALS_DIRECTORY)
        self._credential = Path(credentials) / CREDENTIAL if credentials else None
        self._named = environment.get(KEY_FILE, "")

    def first(self) -> WrappingKey | None:
        """Give the key that seals, or None if there is no source yet.

        Raises KeystoreError for a source that is there and cannot be used.
        """
        return next((key for _, key in self._keys() if isinstance(key, WrappingKey)), None)

    def find(self, path: Path, key_id: bytes) -> tuple[WrappingKey, WrappingKey]:
        """Give the key whose id is ``key_id``, and the one that seals.

        Raises KeystoreError for a first source that cannot be used, and KeystoreWrappingError,
        about the keystore ``path``, if no source has the key.
        """
        looked_at = []
        first: WrappingKey | None = None
        for name, key in self._keys():
            if not isinstance(key, WrappingKey):
                looked_at.append(f"{name}: {key}")
                continue
            first = first or key
            if key.key_id == key_id:
                return key, first
            looked_at.append(f"{name}: another key")
        raise KeystoreWrappingError(
            path,
            "it is sealed with a wrapping key that is not here, or its header is damaged "
            f"(looked at {'; '.join(looked_at)})",
            f"restore {self.userdata_key} or the credential or key file that it was sealed with, "
            "or have new key material issued",
        )

    def make(self, random_bytes: Callable[[int], bytes]) -> WrappingKey:
        """Make the key file in userdata, where there is none. Raises OSError."""
        key = random_bytes(KEY_OCTETS)
        replace_durably(self.userdata_key, key.hex().encode() + b"\n")
        return WrappingKey(Secret(key), USERDATA_WORDS)

    def _keys(self) -> Iterator[tuple[str, WrappingKey | str]]:
        """Give each source's name and key, or words why it has none.

        Raises KeystoreError for one that cannot be used, unless one before it could.
        """
        usable = False
        for name, read in (
            (f"systemd credential {CREDENTIAL}", self._of_systemd),
            (f"{KEY_FILE} {self._named}".rstrip(), self._of_named_file),
            (str(self.userdata_key), self._of_userdata),
        ):
            try:
                key = read()
            except KeystoreError as error:
                if not usable:
                    raise
                key = error.problem
            usable = usable or isinstance(key, WrappingKey)
            yield name, key

    def _of_systemd(self) -> WrappingKey | str:
        if self._credential is None:
            return "none"
        try:
            octets = read_own_file(self._credential, _MAX_OCTETS, of_systemd=True)
        except FileNotFoundError:
            return "none"
        return WrappingKey(_key(self._credential, octets), f"systemd credential {CREDENTIAL}")

    def _of_named_file(self) -> WrappingKey | str:
        if not self._named:
            return "not set"
        path = Path(self._named)
        if not path.is_absolute():
            raise KeystoreWrappingError(
                path, f"{KEY_FILE} does not name it from the root on", "write the whole path"
            )
        try:
            octets = read_own_file(path, _MAX_OCTETS)
        except FileNotFoundError:
            raise KeystoreWrappingError(
                path,
                f"the wrapping key, which {KEY_FILE} names, is missing",
                f"restore it, or take {KEY_FILE} out of the service's environment",
            ) from None
        check_folder(path.parent, or_of_root=True)
        return WrappingKey(_key(path, octets), f"key file {path}")

    def _of_userdata(self) -> WrappingKey | str:
        try:
            octets = read_own_file(self.userdata_key, _MAX_OCTETS)
        except FileNotFoundError:
            return "none"
        return WrappingKey(_key(self.userdata_key, octets), USERDATA_WORDS)


def _key(path: Path, octets: bytes) -> Secret:
    digits = octets.removesuffix(b"\n")
    if len(digits) == 2 * KEY_OCTETS and _DIGITS.issuperset(digits):
        octets = bytes.fromhex(digits.decode())
    if len(octets) != KEY_OCTETS or len(set(octets)) == 1:
        raise KeystoreWrappingError(
            path,
            "it is no wrapping key: it holds neither 32 random octets nor 64 hexadecimal digits",
            "restore it from a back-up",
        )
    return Secret(octets)
