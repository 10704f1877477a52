# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with key material. Each text says what to do; none shows key material."""

from __future__ import annotations

from cig_common.errors import LocalError


class MaterialError(LocalError):
    """Key material cannot be used: it is damaged, incomplete or of a wrong form."""

    log_code = "key-material"


class NewerVersionError(MaterialError):
    """The material was written by a newer version than this one knows. ``version`` is its own."""

    log_code = "key-material-version"

    def __init__(self, what: str, version: int, known: int) -> None:
        super().__init__(
            f"{what} has format version {version}, this CIG knows version {known}: "
            "install a newer CIG, or have the material exported for this one"
        )
        self.version = version


class PassphraseError(MaterialError):
    """The passphrase does not open the material (or the material was altered)."""

    log_code = "passphrase"
