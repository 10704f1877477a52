# SPDX-License-Identifier: GPL-3.0-or-later
"""Frozen dataclasses that know how to become a CBOR map and to be read back, types checked."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum
from functools import cache
from typing import Any, Self

from cig_common.errors import ControlError


class Record:
    """Base of every control message: ``to_map`` and ``from_map`` side by side.

    Field types may be int, float, str, bytes, bool, a StrEnum, another Record, ``X | None``,
    ``tuple[X, ...]`` and ``dict[str, int]``.
    """

    __slots__ = ()

    def to_map(self) -> dict[str, Any]:
        """Give the message as a map of plain CBOR values."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_map(cls, values: Mapping[str, Any]) -> Self:
        """Read the message from a map; a missing, surplus or ill-typed field is a ControlError."""
        hints = _hints(cls)  # type: ignore[arg-type]  # a class is hashable
        if not isinstance(values, Mapping) or set(values) != set(hints):
            raise ControlError(f"control message {cls.__name__}: wrong set of fields")
        return cls(**{n: _typed(h, values[n], cls.__name__, n) for n, h in hints.items()})


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_map()
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _typed(hint: Any, value: Any, message: str, name: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and types.NoneType in args:
            return None
        hint = next(a for a in args if a is not types.NoneType)
        return _typed(hint, value, message, name)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_typed(args[0], item, message, name) for item in value)
    if origin is dict and isinstance(value, Mapping):
        return {
            _typed(str, k, message, name): _typed(args[1], v, message, name)
            for k, v in value.items()
        }
    if isinstance(hint, type):
        if issubclass(hint, Record):
            return hint.from_map(value)
        if issubclass(hint, StrEnum) and value in set(hint):
            return hint(value)
        if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if type(value) is hint:
            return value
    raise ControlError(f"control message {message}: field {name} has a wrong type or value")
