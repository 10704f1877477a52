# SPDX-License-Identifier: GPL-3.0-or-later
"""The keystore: the file ``.ks.tel:<number>`` in userdata, sealed (see `sealing`, `wrapping`).

The rules:

1. A file is replaced as a whole or not at all, whenever the power fails, and before that becomes
   the one back-up generation, ``.ks-previous.tel:<number>``. That stays sealed as it was.
2. Nothing is trusted: owner, mode, version, seal, sizes and forms are checked, and by `load` the
   keys' equations too (tenths of a second of computing, which the relay leaves to its engines).
3. What cannot be read is not replaced unless that is asked for: it may hold the only keys.
4. A keystore that opens with another source's key than the first is sealed anew with the first
   one's: that is how the wrapping key is moved.
5. There is one keystore. Saving another identity's takes three steps: the old file gets its back-up
   name besides its own, the new one is put there, the old name is removed. Where a crash came
   between the last two, the old keystore is the one that is the same file as its back-up.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cig_material import document
from cig_material.errors import MaterialError, NewerVersionError
from cig_material.material import KeyMaterial
from cig_relay.keys import sealing
from cig_relay.keys.access import check_folder, read_own_file, unreadable_folder
from cig_relay.keys.errors import (
    KeystoreAccessError,
    KeystoreError,
    KeystoreFormatError,
    KeystoreKeyError,
    KeystoreUnreadableError,
    KeystoreVersionError,
    KeystoreWrappingError,
)
from cig_relay.keys.files import keep_durably, prepared, remove_stale, replace_durably, sync_folder
from cig_relay.keys.wrapping import USERDATA_WORDS, WrappingKey, WrappingSources
from mikey_sakke.errors import MikeySakkeError

PREFIX = ".ks."
PREVIOUS_PREFIX = ".ks-previous."
NO_KEYSTORE = "no keystore yet"

_WORTH_KEEPING = (KeystoreWrappingError, KeystoreVersionError, KeystoreKeyError)
"""A file that cannot be read for one of these reasons may be read again one day."""

_log = logging.getLogger("Keystore")


@dataclass(frozen=True, slots=True)
class _Opened:
    """The content of a keystore, the key that opened it and the one that it should have."""

    material: KeyMaterial
    key: WrappingKey
    first: WrappingKey


class Keystore:
    """The keystore of one userdata folder.

    ``environment`` names the sources of the wrapping key. One process at a time may use a folder;
    within it, threads may share this object.
    """

    def __init__(
        self,
        directory: Path,
        *,
        environment: Mapping[str, str] = os.environ,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.directory = directory
        self._environment = environment
        self._random_bytes = random_bytes
        self._lock = threading.Lock()
        self._wrapping = "not read yet"

    @property
    def wrapping(self) -> str:
        """What the keystore was sealed with when it was last read or saved, for ``status``."""
        return self._wrapping

    def has_previous(self, path: Path) -> bool:
        """Tell whether the keystore ``path`` has its back-up generation beside it."""
        return _previous(path).exists()

    def find(self) -> Path | None:
        """Give the keystore's path, or None where there is none.

        Raises KeystoreAccessError when the folder cannot be listed, KeystoreFormatError when it
        holds more than one keystore.
        """
        found = self._named(PREFIX)
        counted = found if len(found) < 2 else [p for p in found if not _given_up(p)]
        if found and len(counted) != 1:
            names = ", ".join(path.name for path in found)
            raise KeystoreFormatError(
                self.directory,
                f"it holds more than one keystore ({names})",
                "move away those that this gateway shall not use",
            )
        return counted[0] if counted else None

    def read(self) -> KeyMaterial | None:
        """Read it; None where there is none. The keys' equations are not checked.

        Raises KeystoreError of the class that fits, which says what to do.
        """
        with self._lock:
            try:
                return self._read()
            except KeystoreError:
                self._wrapping = "cannot be told, since the keystore cannot be read"
                raise

    def load(self) -> KeyMaterial | None:
        """`read`, and check every key against its equations (RFC 6507 5.1.2, RFC 6508 6.1.2).

        Raises KeystoreKeyError that names the period, besides what `read` raises.
        """
        material = self.read()
        if material is not None:
            _check_equations(self._path(material), material)
        return material

    def save(self, material: KeyMaterial, *, replace_unreadable: bool = False) -> Path:
        """Write ``material``; gives the path when it is safe on disk.

        The keystore before it, of this or another identity, becomes the back-up generation.
        Raises KeystoreUnreadableError if that cannot be read, unless ``replace_unreadable``;
        another KeystoreError if the folder or the wrapping key cannot be used; OSError if it
        cannot be written. Whatever is raised, the old keystore or the new one is there, whole.
        """
        with self._lock:
            check_folder(self.directory)
            sources = self._sources()
            key = sources.first()
            current = self.find()
            keep = current is not None and self._check(current, replace_unreadable)
            remove_stale(self.directory, ".ks*")
            self._finish_replacing(current)
            if key is None:
                key = sources.make(self._random_bytes)
            path = self._path(material)
            self._replace(path, self._seal(path, material, key), current, keep)
            self._wrapping = key.words
            return path

    # --- reading --------------------------------------------------------------------------------

    def _read(self) -> KeyMaterial | None:
        path = self.find()
        if path is None:
            self._wrapping = NO_KEYSTORE
            return None
        opened = self._open(path)
        self._wrapping = opened.key.words
        with suppress(OSError):
            self._finish_replacing(path)
        if opened.key is not opened.first:
            self._move(path, opened)
        self._tell_needless_key()
        return opened.material

    def _open(self, path: Path) -> _Opened:
        check_folder(self.directory)
        try:
            octets = read_own_file(path, sealing.MAX_OCTETS)
        except FileNotFoundError:
            raise KeystoreAccessError(
                path, "it was removed just now", "load the keys again"
            ) from None
        sealed = sealing.parse(path, octets)
        key, first = self._sources().find(path, sealed.key_id)
        try:
            material = document.decode(sealed.open(key))
        except NewerVersionError as error:
            raise KeystoreVersionError(
                path,
                f"the key material in it has format version {error.version}, which this cig-relay "
                "does not know",
                "install the version of CIG that wrote it, or have new key material issued",
            ) from None
        except MaterialError as error:
            raise KeystoreKeyError(path, str(error), sealing.RESTORE) from None
        if path != self._path(material):
            raise KeystoreKeyError(
                path,
                f"the keys in it are those of {material.uri}",
                sealing.RESTORE,
            )
        return _Opened(material, key, first)

    def _move(self, path: Path, opened: _Opened) -> None:
        """Seal the keystore with the first source's key; where that fails, it stays as it is."""
        try:
            octets = self._seal(path, opened.material, opened.first)
            # The age of the keystore tells whether a missing replay journal is a loss.
            replace_durably(path, octets, modified=path.stat().st_mtime_ns)
        except OSError as error:
            _log.warning(
                "%s: it is still sealed by the %s; sealing it anew by the %s failed (%s)",
                path,
                opened.key.words,
                opened.first.words,
                error.strerror,
            )
            return
        self._wrapping = opened.first.words
        _log.warning(
            "%s: it was sealed by the %s and is now sealed by the %s",
            path,
            opened.key.words,
            opened.first.words,
        )

    def _tell_needless_key(self) -> None:
        path = self._sources().userdata_key
        if path.exists() and self._wrapping != USERDATA_WORDS:
            _log.warning(
                "%s: it is not needed any more, since the keystore is sealed by the %s: delete it, "
                "and with it %s* and old back-ups, which it opens",
                path,
                self._wrapping,
                PREVIOUS_PREFIX,
            )

    # --- writing --------------------------------------------------------------------------------

    def _check(self, current: Path, replace_unreadable: bool) -> bool:
        """Tell whether ``current``, which will be replaced, is worth keeping as the back-up.

        Raises KeystoreUnreadableError if it cannot be read and that is not allowed.
        """
        try:
            self._open(current).material.wipe()
        except KeystoreError as error:
            if not replace_unreadable:
                raise KeystoreUnreadableError(
                    error.path,
                    f"{error.problem}, so the keystore there is not replaced",
                    f"{error.remedy}; to give up what is there, install the keys with --replace",
                ) from None
            return isinstance(error, _WORTH_KEEPING)
        return True

    def _replace(self, path: Path, octets: bytes, current: Path | None, keep: bool) -> None:
        given_up = [] if current is None or current == path else [current]
        kept = _previous(current) if current is not None and keep else None
        with prepared(path, octets) as temporary:
            if current is not None and kept is not None:
                keep_durably(current, kept)
            else:
                self._remove(given_up)
            temporary.rename(path)
            sync_folder(self.directory)
        self._remove(given_up)
        if kept is not None:
            self._remove([other for other in self._named(PREVIOUS_PREFIX) if other != kept])

    def _finish_replacing(self, current: Path | None) -> None:
        """Remove what was given up for ``current`` when a crash came between."""
        others = [other for other in self._named(PREFIX) if other != current]
        self._remove([other for other in others if _given_up(other)])

    def _remove(self, paths: list[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)
        if paths:
            sync_folder(self.directory)

    def _seal(self, path: Path, material: KeyMaterial, key: WrappingKey) -> bytes:
        return sealing.seal(path, document.encode(material), key, self._random_bytes)

    # --- names ----------------------------------------------------------------------------------

    def _sources(self) -> WrappingSources:
        return WrappingSources(self.directory, self._environment)

    def _path(self, material: KeyMaterial) -> Path:
        return self.directory / f"{PREFIX}{material.uri}"

    def _named(self, prefix: str) -> list[Path]:
        try:
            return sorted(p for p in self.directory.iterdir() if p.name.startswith(f"{prefix}tel:"))
        except OSError as error:
            raise unreadable_folder(self.directory, error) from error


def _previous(path: Path) -> Path:
    return path.with_name(PREVIOUS_PREFIX + path.name.removeprefix(PREFIX))


def _check_equations(path: Path, material: KeyMaterial) -> None:
    for keys in material.periods:
        try:
            material.user_keys(keys).wipe()
        except MikeySakkeError as error:
            raise KeystoreKeyError(
                path, f"the keys of period {keys.period} are wrong ({error})", sealing.RESTORE
            ) from None


def _given_up(path: Path) -> bool:
    """Tell whether a crash cut short the replacing of ``path`` by another identity's keystore."""
    try:
        return os.path.samestat(path.lstat(), _previous(path).lstat())
    except OSError:
        return False
