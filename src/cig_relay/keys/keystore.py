# SPDX-License-Identifier: GPL-3.0-or-later
"""The keystore: the file ``.ks.tel:<number>`` in userdata.

The file is the 8 octets ``CIGKEYS`` and 0x01 (the format's version), one CBOR map (see
`cig_material.document`), and the SHA-256 of all before it, which tells a damaged file from one
whose keys are wrong. It is **not encrypted at rest**: its protection is its mode 0600, its
owner, and the 0700 of the folder; whoever can read the file or a copy of it has the keys.

`save` replaces the file as a whole or not at all, whenever the power fails. `read` trusts nothing:
it checks owner, mode, version, checksum, sizes and forms. `load` checks the keys' equations
besides (some tenths of a second of computing; the relay leaves that to its engines).
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from cig_material import document
from cig_material.errors import MaterialError
from cig_material.material import KeyMaterial, PeriodKeys
from cig_relay.keys.errors import KeystoreAccessError, KeystoreFormatError, KeystoreKeyError
from cig_relay.keys.files import replace_durably
from mikey_sakke.errors import MikeySakkeError

__all__ = ["KeyMaterial", "Keystore", "PeriodKeys", "find", "load", "read", "save", "validate"]

PREFIX = ".ks."
MAGIC = b"CIGKEYS"
FORMAT_VERSION = 1
MAX_OCTETS = 262144
_DIGEST_OCTETS = 32
_RESTORE = "restore it from a back-up, or have new key material issued"


class Keystore:
    """The keystore of one userdata folder."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def wrapping(self) -> str:
        """What protects the keystore at rest, in words for ``status``."""
        return "its file mode alone"

    def find(self) -> Path | None:
        """Give the keystore's path, or None where there is none; raises KeystoreError."""
        return find(self.directory)

    def read(self) -> KeyMaterial | None:
        """Read it; None where there is none. Raises KeystoreError."""
        return read(self.directory)

    def save(self, material: KeyMaterial) -> Path:
        """Write ``material``; gives the path when it is safe on disk. Raises OSError."""
        return save(self.directory, material)


def save(directory: Path, material: KeyMaterial) -> Path:
    """Write ``material`` to its file in ``directory``; gives the path when it is safe on disk.

    Raises OSError when the file cannot be written; the old one is then still whole.
    """
    path = directory / f"{PREFIX}{material.uri}"
    head = MAGIC + bytes([FORMAT_VERSION]) + document.encode(material)
    replace_durably(path, head + hashlib.sha256(head).digest())
    return path


def find(directory: Path) -> Path | None:
    """Give the keystore's path, or None where there is no such file.

    Raises KeystoreAccessError when the folder cannot be listed, KeystoreFormatError when it holds
    more than one keystore.
    """
    try:
        found = sorted(p for p in directory.iterdir() if p.name.startswith(PREFIX + "tel:"))
    except OSError as error:
        raise KeystoreAccessError(
            directory,
            f"the folder cannot be read ({error.strerror})",
            "create it, owned by the relay's user and with mode 0700",
        ) from error
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise KeystoreFormatError(
            directory,
            f"it holds more than one keystore ({names})",
            "move away those that this gateway shall not use",
        )
    return found[0] if found else None


def read(directory: Path) -> KeyMaterial | None:
    """Read the keystore in ``directory``; None where there is none.

    Raises KeystoreAccessError, KeystoreFormatError or KeystoreKeyError, each of which says what
    to do. The keys' equations are not checked: see `validate`.
    """
    path = find(directory)
    if path is None:
        return None
    octets = _read_own_file(path)
    _check_folder(directory)
    try:
        material = document.decode(_content(path, octets))
    except MaterialError as error:
        raise KeystoreKeyError(path, str(error), _RESTORE) from None
    if path.name != PREFIX + material.uri:
        raise KeystoreKeyError(
            path,
            f"the keys in it are those of {material.uri}",
            f"name it {PREFIX}{material.uri} if that is what this gateway shall be",
        )
    return material


def validate(path: Path, material: KeyMaterial) -> None:
    """Check every key against its equations (RFC 6507 5.1.2, RFC 6508 6.1.2).

    Raises KeystoreKeyError that names the period.
    """
    for keys in material.periods:
        try:
            material.user_keys(keys).wipe()
        except MikeySakkeError as error:
            raise KeystoreKeyError(
                path, f"the keys of period {keys.period} are wrong ({error})", _RESTORE
            ) from None


def load(directory: Path) -> KeyMaterial | None:
    """`read` and `validate` in one: the keystore in ``directory``, or None where there is none."""
    material = read(directory)
    if material is not None:
        validate(directory / f"{PREFIX}{material.uri}", material)
    return material


def _check_folder(directory: Path) -> None:
    status = directory.stat()
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022:
        raise KeystoreAccessError(
            directory,
            f"the folder belongs to uid {status.st_uid} with mode {_mode(status)}, so that others "
            "can replace the keystore in it",
            f"chown it to uid {os.geteuid()} and chmod it to 0700",
        )


def _read_own_file(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KeystoreAccessError(
            path,
            f"it cannot be opened ({error.strerror})",
            f"make it a plain file that belongs to uid {os.geteuid()} with mode 0600",
        ) from error
    try:
        _check_owner_and_mode(path, os.fstat(descriptor))
        return b"".join(iter(lambda: os.read(descriptor, MAX_OCTETS), b""))
    finally:
        os.close(descriptor)


def _check_owner_and_mode(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeystoreAccessError(path, "it is no plain file", _RESTORE)
    if status.st_uid != os.geteuid():
        raise KeystoreAccessError(
            path,
            f"it belongs to uid {status.st_uid}, cig-relay runs as uid {os.geteuid()}",
            f"chown it to uid {os.geteuid()} if you know where it comes from",
        )
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise KeystoreAccessError(
            path,
            f"its mode is {_mode(status)}, so others may have read the keys",
            "chmod it to 0600, and have new keys issued if others use this host",
        )
    if status.st_size > MAX_OCTETS:
        raise KeystoreFormatError(path, "it is no keystore (too long)", _RESTORE)


def _content(path: Path, octets: bytes) -> bytes:
    if octets[: len(MAGIC)] != MAGIC:
        raise KeystoreFormatError(path, "it is no keystore", _RESTORE)
    version = octets[len(MAGIC)] if len(octets) > len(MAGIC) else 0
    if version != FORMAT_VERSION:
        raise KeystoreFormatError(
            path,
            f"its format is version {version}, this cig-relay knows version {FORMAT_VERSION}",
            "install the version of CIG that wrote it, or have new key material issued",
        )
    head, digest = octets[:-_DIGEST_OCTETS], octets[-_DIGEST_OCTETS:]
    if hashlib.sha256(head).digest() != digest:
        raise KeystoreFormatError(path, "it is damaged (its checksum is wrong)", _RESTORE)
    return head[len(MAGIC) + 1 :]


def _mode(status: os.stat_result) -> str:
    return f"{stat.S_IMODE(status.st_mode):04o}"
