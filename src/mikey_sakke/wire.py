# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading octets in bounds, and checking values before they are written."""

from mikey_sakke.errors import MalformedError, ParameterError


class Reader:
    """Reads big-endian fields one after the other; `MalformedError` beyond the end."""

    __slots__ = ("_data", "offset")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.offset = 0

    @property
    def remaining(self) -> int:
        """Octets not yet read."""
        return len(self._data) - self.offset

    def take(self, length: int) -> bytes:
        """Give the next `length` octets."""
        if length > self.remaining:
            raise MalformedError(
                f"message cut short: {length} octets wanted at octet {self.offset}, "
                f"{self.remaining} left"
            )
        start = self.offset
        self.offset += length
        return self._data[start : self.offset]

    def uint(self, length: int) -> int:
        """Give the next `length` octets as a number."""
        return int.from_bytes(self.take(length), "big")

    def block(self, length_of_length: int) -> bytes:
        """Give an octet string that is preceded by its own length."""
        return self.take(self.uint(length_of_length))


def check_uint(value: int, bits: int, name: str) -> None:
    """Raise `ParameterError` unless the value fits into so many bits."""
    if not 0 <= value < 1 << bits:
        raise ParameterError(f"{name} must be a number of {bits} bits")


def check_octets(value: bytes, maximum: int, name: str) -> None:
    """Raise `ParameterError` where an octet string is longer than its length field can say."""
    if len(value) > maximum:
        raise ParameterError(f"{name} must have at most {maximum} octets, got {len(value)}")
