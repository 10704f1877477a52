# SPDX-License-Identifier: GPL-3.0-or-later
"""The token that a client shows before a command that changes something: new at each start."""

from __future__ import annotations

import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

_OCTETS = 32
_MODE = 0o640


class Token:
    """A secret word of 64 hex digits, which no log or traceback shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        """Return a text without the token."""
        return "Token(…)"

    def __reduce__(self) -> str:
        """Refuse to be pickled."""
        raise TypeError("a token is not pickled")

    def matches(self, given: str) -> bool:
        """Compare in a time that tells nothing of the token."""
        return hmac.compare_digest(self._value.encode(), given.encode())


def create_token(path: Path) -> Token:
    """Make a token and write it to `path`, mode 0640, in place of what was there.

    Who may read it is the file's group: the folder's set-group-id bit or the service's own group
    gives it. Raises OSError.
    """
    value = secrets.token_hex(_OCTETS)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    # Never through a link that somebody laid, and whole or not at all.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    handle = os.open(fresh, flags, _MODE)
    try:
        with os.fdopen(handle, "w") as file:
            os.fchmod(file.fileno(), _MODE)
            file.write(f"{value}\n")
        fresh.replace(path)
    except BaseException:
        with suppress(OSError):
            fresh.unlink()
        raise
    return Token(value)
