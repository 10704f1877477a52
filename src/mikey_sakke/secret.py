# SPDX-License-Identifier: GPL-3.0-or-later
"""A holder for secret octets that no log, repr, format or pickle can show."""

import hmac
from typing import NoReturn, SupportsIndex

from mikey_sakke.errors import SecretError


class Guarded:
    """A holder of something secret: shows its class name only, refuses pickling and copying."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(redacted)"

    def __str__(self) -> str:
        return repr(self)

    def __format__(self, format_spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise SecretError(
            f"a {type(self).__name__} must not be pickled or copied: pass revealed octets instead"
        )

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        self.__reduce__()


class Secret(Guarded):
    """Secret octets, shown to nobody who does not ask for them by `reveal`.

    `repr`, `str` and `format` give a fixed text, pickling and copying are refused, comparison
    takes constant time. `wipe` overwrites the octets held here; copies that `reveal` gave out,
    and copies that the interpreter made on its own, are beyond its reach.
    """

    __slots__ = ("_octets", "_wiped")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, octets: bytes) -> None:
        self._octets = bytearray(octets)
        self._wiped = False

    def reveal(self) -> bytes:
        """Give a copy of the octets; raises `SecretError` after `wipe`."""
        if self._wiped:
            raise SecretError("a secret was used after it was wiped: get the key material anew")
        return bytes(self._octets)

    def wipe(self) -> None:
        """Overwrite the octets with zeros and refuse every later use."""
        for index in range(len(self._octets)):
            self._octets[index] = 0
        self._wiped = True

    def __len__(self) -> int:
        return len(self._octets)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.reveal(), other.reveal())
