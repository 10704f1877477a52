# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the keystore and the replay journal.

Each text tells an operator what is wrong, where, and what to do. None shows key material.
"""

from __future__ import annotations

from pathlib import Path

from cig_common.errors import CryptoError, LocalError


class KeystoreError(LocalError):
    """The keystore cannot be used. ``path`` is the file or folder that is at fault.

    ``problem`` says what is wrong with it, ``remedy`` what to do.
    """

    log_code = "keystore"

    def __init__(self, path: Path, problem: str, remedy: str) -> None:
        super().__init__(f"{path}: {problem}; {remedy}")
        self.path = path
        self.problem = problem
        self.remedy = remedy


class KeystoreAccessError(KeystoreError):
    """The file or its folder belongs to somebody else, or others may read or write it."""

    log_code = "keystore-access"


class KeystoreFormatError(KeystoreError):
    """The file is no keystore, is damaged, or is of a version that this cig-relay does not know."""

    log_code = "keystore-format"


class KeystoreVersionError(KeystoreFormatError):
    """The file was written by a newer version of CIG; it may be whole."""

    log_code = "keystore-version"


class KeystoreWrappingError(KeystoreError):
    """The wrapping key is missing or wrong, or the keystore is sealed with another one."""

    log_code = "keystore-wrapping"


class KeystoreUnreadableError(KeystoreError):
    """The keystore was not replaced, since what it holds cannot be read and would be given up."""

    log_code = "keystore-unreadable"


class KeystoreKeyError(KeystoreError):
    """The file is whole, but a key in it does not satisfy its equations or its fields are wrong."""

    log_code = "keystore-key"


class JournalError(LocalError):
    """The replay journal could not be written, so no message may be used."""

    log_code = "journal"
    retryable = True


class NoKeysError(CryptoError):
    """No keys are loaded that serve the month in question. ``month`` is ``YYYY-MM``."""

    log_code = "no-keys"

    def __init__(self, month: str, text: str) -> None:
        super().__init__(text)
        self.month = month
