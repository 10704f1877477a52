# SPDX-License-Identifier: GPL-3.0-or-later
import contextlib

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from umsg import cbor
from umsg.errors import CborError, FieldError

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.binary(max_size=30)
    | st.text(st.characters(codec="utf-8"), max_size=30)
)
KEYS = st.text(st.characters(codec="utf-8"), max_size=30)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def depth(value: object) -> int:
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 0


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_a_map_survives_the_round_trip_unless_it_is_too_deep(value):
    data = cbor.encode(value)
    if depth(value) > cbor.MAX_DEPTH:
        with pytest.raises(CborError):
            cbor.decode_map(data)
    else:
        assert cbor.decode_map(data) == value


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_else(data):
    try:
        value = cbor.decode_map(data)
    except CborError as error:
        assert error.closes
    else:
        assert cbor.encode(value) == data


@given(st.dictionaries(KEYS, VALUES, max_size=3), st.data())
def test_a_damaged_map_raises_nothing_else(value, data):
    encoded = bytearray(cbor.encode(value))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CborError):
        assert cbor.encode(cbor.decode_map(bytes(encoded))) == encoded


def test_keys_are_in_the_order_of_rfc_8949():
    keys = ["b", "aa", "z" * 23, "a" * 24, "a" * 300, ""]
    encoded = cbor.encode(dict.fromkeys(keys))
    at = [encoded.index(cbor2.dumps(key) + b"\xf6") for key in keys]
    by_octets = sorted(keys, key=cbor2.dumps)
    assert [key for _, key in sorted(zip(at, keys, strict=True))] == by_octets


def nested(depth_: int) -> bytes:
    return b"\xa1\x61a" * depth_ + b"\x00"


REFUSED = {
    "empty": b"",
    "not a map": b"\x80",
    "an octet too many": b"\xa0\x00",
    "cut off": b"\xa1\x61a",
    "cut off in a string": b"\xa1\x62a",
    "cut off in a head": b"\xa1\x61a\x19\x01",
    "key not text": b"\xa1\x01\x01",
    "inner key not text": b"\xa1\x61a\xa1\x41a\x01",
    "key twice": b"\xa2\x61a\x01\x61a\x02",
    "keys out of order": b"\xa2\x61b\x01\x61a\x02",
    "long head": b"\xa1\x61a\x18\x01",
    "indefinite map": b"\xbf\xff",
    "indefinite text": b"\xa1\x61a\x7f\x61a\xff",
    "tag": b"\xa1\x61a\xc0\x61a",
    "bignum": b"\xa1\x61a\xc2\x49\x01" + bytes(8),
    "self reference": b"\xa1\x61a\xd8\x1c\x81\xd8\x1d\x00",
    "undefined": b"\xa1\x61a\xf7",
    "simple value": b"\xa1\x61a\xf8\x20",
    "reserved head": b"\xa1\x61a\x1c",
    "bad utf-8": b"\xa1\x61a\x61\xff",
    "float that fits in fewer octets": b"\xa1\x61a\xfb\x3f\xf0" + bytes(6),
    "nine deep": nested(9),
    "very deep": nested(20000),
    "text of 4097": b"\xa1\x61a\x79\x10\x01" + b"x" * 4097,
    "huge array": b"\xa1\x61a\x9b" + b"\xff" * 8,
    "huge string": b"\xa1\x61a\x5b" + b"\xff" * 8,
    "too many items": b"\xa1\x61a\x99\x10\x00" + bytes(4096),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    with pytest.raises(CborError):
        cbor.decode_map(REFUSED[name])


def test_the_bounds_themselves_are_allowed():
    assert depth(cbor.decode_map(nested(8))) == 8
    assert cbor.decode_map(cbor.encode({"a": "x" * 4096}))
    assert len(cbor.decode_map(cbor.encode({"a": bytes(60000)}))["a"]) == 60000


@pytest.mark.parametrize("value", ["\ud800", object()])
def test_what_cannot_be_encoded_is_a_local_error(value):
    with pytest.raises(FieldError):
        cbor.encode({"a": value})
