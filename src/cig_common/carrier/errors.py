# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with a text, a PDF or a file that should carry sealed key material.

Each text says what is wrong, where, and what to do. What travels is sealed, but even so no text
shows any of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from cig_common.errors import LocalError

_SHOWN = 8


class CarrierError(LocalError):
    """No sealed key material can be got out of what was given."""

    log_code = "key-carrier"


class TornError(CarrierError):
    """The beginning or the end is missing: it was not copied as a whole."""

    log_code = "key-carrier-torn"


class MistypedError(CarrierError):
    """Lines of an armoured text are not as they were written. ``lines`` are their numbers."""

    log_code = "key-carrier-mistyped"

    def __init__(self, message: str, lines: Sequence[int]) -> None:
        super().__init__(message)
        self.lines = tuple(lines)


class MissingError(CarrierError):
    """Lines of a text or parts of a set are not there. ``numbers`` says which."""

    log_code = "key-carrier-missing"

    def __init__(self, message: str, numbers: Sequence[int]) -> None:
        super().__init__(message)
        self.numbers = tuple(numbers)


class OtherVersionError(CarrierError):
    """It was written in a format that this CIG does not know. ``version`` is that format's."""

    log_code = "key-carrier-version"

    def __init__(self, what: str, version: int, known: int) -> None:
        super().__init__(
            f"{what} has format version {version}, this CIG knows version {known}: "
            "install a newer CIG, or have the material exported for this one"
        )
        self.version = version


def listed(noun: str, numbers: Sequence[int]) -> str:
    """Name what has these numbers: ``line 7``, ``lines 7, 12 and 30``; a long list is cut."""
    names = [str(number) for number in numbers[:_SHOWN]]
    if len(names) < 2:
        return f"{noun} {''.join(names)}"
    more = len(numbers) - len(names)
    last = f"{more} more" if more else names.pop()
    return f"{noun}s {', '.join(names)} and {last}"
