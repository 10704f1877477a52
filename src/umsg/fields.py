# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fields of messages may hold, and the base class that reads and writes them.

A message is a frozen dataclass whose fields say with `wire()` what they hold. The same
check runs when a message is built here and when one is parsed, so what is sent can
always be read.
"""

import dataclasses
import ipaddress
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, ClassVar, Self

from umsg.cbor import MAX_TEXT
from umsg.errors import FieldError

MAX_URI = 256
MAX_MIKEY = 4096
"""Octets of an I_MESSAGE."""
MAX_IDS = 500
"""Call ids in one `resume` or `alive`."""
SIGNATURE_OCTETS = 129
"""An ECCSI signature on P-256 (RFC 6507 section 5.2.1): r, s and PVT."""


def _same(value: Any) -> Any:
    return value


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """One kind of field: what it holds in words, its check, its form on the wire.

    `check` sees the Python value. `from_wire` may raise ValueError or TypeError.
    """

    words: str
    check: Callable[[Any], bool]
    from_wire: Callable[[Any], Any] = _same
    to_wire: Callable[[Any], Any] = _same


def integer(low: int, high: int) -> Kind:
    """Return the kind of an integer from `low` to `high`."""
    return Kind(f"an integer {low} to {high}", lambda v: type(v) is int and low <= v <= high)


def octets(low: int, high: int) -> Kind:
    """Return the kind of an octet string of `low` to `high` octets."""
    words = f"{low} octets" if low == high else f"{low} to {high} octets"
    return Kind(words, lambda v: type(v) is bytes and low <= len(v) <= high)


def text(limit: int = MAX_TEXT) -> Kind:
    """Return the kind of a text of at most `limit` octets of UTF-8."""

    def check(value: Any) -> bool:
        if type(value) is not str:
            return False
        try:
            return len(value.encode()) <= limit
        except UnicodeEncodeError:  # a lone surrogate has no UTF-8
            return False

    return Kind(f"a text of at most {limit} octets", check)


def pattern(words: str, expression: str) -> Kind:
    """Return the kind of a text that matches the whole of a regular expression."""
    compiled = re.compile(expression, re.ASCII)
    return Kind(words, lambda v: type(v) is str and compiled.fullmatch(v) is not None)


def one_of(enum: type[StrEnum]) -> Kind:
    """Return the kind of a field that holds one of an enumeration's values."""
    return Kind("one of " + ", ".join(enum), lambda v: isinstance(v, enum), enum, str)


def list_of(kind: Kind, low: int, high: int) -> Kind:
    """Return the kind of `low` to `high` values of one kind: a tuple here, an array there."""

    def from_wire(value: Any) -> Any:
        if type(value) is not list:
            raise ValueError
        return tuple(kind.from_wire(item) for item in value)

    return Kind(
        f"a list of {low} to {high}, each {kind.words}",
        lambda v: type(v) is tuple and low <= len(v) <= high and all(map(kind.check, v)),
        from_wire,
        lambda v: [kind.to_wire(item) for item in v],
    )


def _is_address(value: Any) -> bool:
    if type(value) is not str or "%" in value:
        return False
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


CALL_ID = pattern("16 characters of base64", r"[A-Za-z0-9+/]{16}")
TEL_URI = pattern("a tel URI", r"tel:\+[0-9]{1,15}(;[A-Za-z0-9*#+._=-]{1,235})?")
BARE_TEL_URI = pattern("a tel URI without extension", r"tel:\+[0-9]{1,15}")
CODEC = pattern("a codec as name/rate", r"[A-Za-z0-9.+_-]{1,32}/[1-9][0-9]{3,5}")
PERIOD = pattern("a key period YYYY-MM-REVISION", r"[0-9]{4}-(0[1-9]|1[0-2])-[0-9]{1,9}")
ADDRESS = Kind("an IP address", _is_address)
SECONDS = integer(0, 2**53 - 1)
PAYLOAD_TYPE = integer(0, 127)


def wire(
    kind: Kind, *, key: str | None = None, optional: bool = False, secret: bool = False
) -> Any:
    """Declare a field: its kind, its key on the wire if not its name, whether it may be absent.

    An absent field is None here and has no key on the wire. A secret one is not in repr.
    """
    metadata = {"kind": kind, "key": key, "optional": optional}
    if optional:
        return dataclasses.field(default=None, metadata=metadata, repr=not secret)
    return dataclasses.field(metadata=metadata, repr=not secret)


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """Base of whatever is a map on the wire: checks, `from_map` and `to_map`."""

    TYPE: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            meta = field.metadata
            if value is None and meta["optional"]:
                continue
            if not meta["kind"].check(value):
                raise FieldError(self.TYPE, meta["key"] or field.name, meta["kind"].words)

    @classmethod
    def from_map(cls, values: Mapping[str, object]) -> Self:
        """Build one from a decoded map, ignoring keys that it does not know.

        Raises FieldError for a field that is missing or holds what it may not.
        """
        arguments: dict[str, object] = {}
        for field in dataclasses.fields(cls):
            meta = field.metadata
            key = meta["key"] or field.name
            if key not in values:
                if meta["optional"]:
                    continue
                raise FieldError(cls.TYPE, key, "present")
            try:
                value = meta["kind"].from_wire(values[key])
            except (ValueError, TypeError) as error:
                raise FieldError(cls.TYPE, key, meta["kind"].words) from error
            if value is None:  # null is not the same as absent
                raise FieldError(cls.TYPE, key, meta["kind"].words)
            arguments[field.name] = value
        return cls(**arguments)

    def to_map(self) -> dict[str, object]:
        """Return the map to encode; absent fields have no key."""
        values: dict[str, object] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None:
                meta = field.metadata
                values[meta["key"] or field.name] = meta["kind"].to_wire(value)
        return values


def record_of(cls: type[Record]) -> Kind:
    """Return the kind of a field that holds a map of its own."""

    def from_wire(value: Any) -> Any:
        if type(value) is not dict:
            raise ValueError
        return cls.from_map(value)

    return Kind(f"a {cls.TYPE} map", lambda v: isinstance(v, cls), from_wire, lambda v: v.to_map())
