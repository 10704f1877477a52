# SPDX-License-Identifier: GPL-3.0-or-later
"""The CBOR (RFC 8949) that UMSG allows: one map, bounded, in deterministic encoding.

Allowed are integers of at most 64 bits, octet strings, text strings, arrays, maps with
text keys, floating-point numbers, false, true and null. Tags, indefinite lengths and
other simple values are not. The shape of a payload is checked before the decoder sees
it, so that no tag or depth of nesting reaches code that was not written for strangers.
"""

import cbor2

from umsg.errors import CborError, FieldError

MAX_DEPTH = 8
"""Containers inside one another, the outermost map counted."""
MAX_TEXT = 4096
"""Octets of UTF-8 in one text string."""
MAX_ITEMS = 4096
"""Data items in one payload; the largest message of UMSG/1 has about 500."""

_ARGUMENT_OCTETS = {24: 1, 25: 2, 26: 4, 27: 8}
_OCTETS, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = 2, 3, 4, 5, 6, 7
_SIMPLE_ALLOWED = frozenset({20, 21, 22, 25, 26, 27})  # false true null, half to double


def encode(value: object) -> bytes:
    """Return the deterministic encoding (RFC 8949 section 4.2.1) of a value.

    All map keys must be text: then the order "shorter key first" that cbor2 sorts by
    is the bytewise order that the section asks for. Raises FieldError for a value that
    has no encoding.
    """
    try:
        return cbor2.dumps(value, canonical=True)
    except (cbor2.CBOREncodeError, ValueError, TypeError, OverflowError) as error:
        raise FieldError("cbor", "value", "encodable as CBOR") from error


def decode_map(data: bytes) -> dict[str, object]:
    """Return the one map that `data` encodes. Raises CborError for anything else.

    Compares the octets with the deterministic encoding of what was read, which also
    finds a key that comes twice.
    """
    if not data or data[0] >> 5 != _MAP:
        raise CborError("payload is not a CBOR map")
    _check_shape(data)
    try:
        value = cbor2.loads(data)
        canonical = cbor2.dumps(value, canonical=True)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise CborError("payload is not well-formed CBOR") from error
    if canonical != data or not isinstance(value, dict):
        raise CborError("payload is not in deterministic encoding")
    return value


def _check_shape(data: bytes) -> None:
    """Walk over the heads of all items, without recursion and without building values."""
    position = 0
    open_containers: list[tuple[bool, int]] = []  # (is a map, items still to come)
    for _ in range(MAX_ITEMS):
        major, argument, position = _head(data, position)
        if open_containers:
            is_map, left = open_containers.pop()
            if is_map and left % 2 == 0 and major != _TEXT:
                raise CborError("map key is not text")
            open_containers.append((is_map, left - 1))
        if major in (_OCTETS, _TEXT):
            if argument > (MAX_TEXT if major == _TEXT else len(data)):
                raise CborError(f"string of {argument} octets")
            position += argument
            if position > len(data):
                raise CborError("payload ends inside a string")
        elif major in (_ARRAY, _MAP):
            if len(open_containers) >= MAX_DEPTH:
                raise CborError(f"nesting deeper than {MAX_DEPTH}")
            open_containers.append((major == _MAP, argument * (2 if major == _MAP else 1)))
        while open_containers and open_containers[-1][1] == 0:
            open_containers.pop()
        if not open_containers:
            if position != len(data):
                raise CborError("octets after the end of the map")
            return
    raise CborError(f"more than {MAX_ITEMS} items")


def _head(data: bytes, position: int) -> tuple[int, int, int]:
    """Return major type, argument and the position after the head (RFC 8949 section 3)."""
    if position >= len(data):
        raise CborError("payload ends before its last item")
    major, info = data[position] >> 5, data[position] & 0x1F
    position += 1
    if major == _TAG:
        raise CborError("tags are not allowed")
    if major == _SIMPLE and info not in _SIMPLE_ALLOWED:
        raise CborError(f"simple value {info} is not allowed")
    if info < 24:
        return major, info, position
    octets = _ARGUMENT_OCTETS.get(info)
    if octets is None:
        raise CborError("indefinite lengths are not allowed")
    if position + octets > len(data):
        raise CborError("payload ends inside a head")
    return major, int.from_bytes(data[position : position + octets], "big"), position + octets
