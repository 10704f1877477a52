# SPDX-License-Identifier: GPL-3.0-or-later
"""Key material and its document: whole round trip, and every way in which it must be refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_material import document
from cig_material.errors import MaterialError, NewerVersionError
from cig_material.material import MAX_CA, KmsParameters, PeriodKeys, split_host_port
from mikey_sakke.secret import Secret
from umsg import cbor
from unit.cig_relay.keys.lab import kms, material, period_keys

Values = dict[str, object]


def _values() -> Values:
    return cbor.decode_map(document.encode(material()))


def _first(values: Values, name: str) -> Values:
    items = values[name]
    assert isinstance(items, list)
    return items[0]  # type: ignore[no-any-return]


def _in_period(values: Values, **changes: object) -> Values:
    return {**values, "periods": [{**_first(values, "periods"), **changes}]}


def _in_kms(values: Values, **changes: object) -> Values:
    return {**values, "kms": [{**_first(values, "kms"), **changes}]}


WRONG: list[tuple[str, Callable[[Values], Values]]] = [
    ("a field more", lambda v: {**v, "x": 1}),
    ("a field less", lambda v: {k: x for k, x in v.items() if k != "crs"}),
    ("no version", lambda v: {**v, "v": 0}),
    ("version no number", lambda v: {**v, "v": "1"}),
    ("version a truth", lambda v: {**v, "v": True}),
    ("extension in the URI", lambda v: {**v, "uri": "tel:+8888;101"}),
    ("URI no text", lambda v: {**v, "uri": 7}),
    ("domain empty", lambda v: {**v, "domain": ""}),
    ("domain with a line break", lambda v: {**v, "domain": "LAB\n[x] Relay[INFO]: forged"}),
    ("no CRS", lambda v: {**v, "crs": []}),
    ("CRS no list", lambda v: {**v, "crs": "127.0.0.1:5223"}),
    ("CRS without port", lambda v: {**v, "crs": ["127.0.0.1"]}),
    ("CRS no text", lambda v: {**v, "crs": [5223]}),
    ("no anchor", lambda v: {**v, "pin": None}),
    ("short pin", lambda v: {**v, "pin": bytes(31)}),
    ("CA not PEM", lambda v: {**v, "ca": b"certificate"}),
    ("CA no ASCII", lambda v: {**v, "ca": b"-----BEGIN CERTIFICATE-----\xff"}),
    ("no KMS", lambda v: {**v, "kms": []}),
    ("KMS no map", lambda v: {**v, "kms": [1]}),
    ("KMS that nobody names", lambda v: {**v, "kms": [_first(v, "kms"), _first(v, "kms")]}),
    ("another parameter set", lambda v: _in_kms(v, set=2)),
    ("KMS URI empty", lambda v: _in_kms(v, uri="")),
    ("short KPAK", lambda v: _in_kms(v, kpak=bytes(64))),
    ("Z no octets", lambda v: _in_kms(v, z="text")),
    ("no periods", lambda v: {**v, "periods": []}),
    ("periods no list", lambda v: {**v, "periods": {}}),
    ("period no map", lambda v: {**v, "periods": [1]}),
    ("period twice", lambda v: {**v, "periods": [_first(v, "periods")] * 2}),
    ("month malformed", lambda v: _in_period(v, month="2026-13")),
    ("month no text", lambda v: _in_period(v, month=b"2026-11")),
    ("month endless", lambda v: _in_period(v, month="2026-11" * 500)),
    ("revision negative", lambda v: _in_period(v, revision=-1)),
    ("revision huge", lambda v: _in_period(v, revision=10**9)),
    ("no such KMS", lambda v: _in_period(v, kms=1)),
    ("KMS before the first", lambda v: _in_period(v, kms=-1)),
    ("SSK no octets", lambda v: _in_period(v, ssk=5)),
    ("short SSK", lambda v: _in_period(v, ssk=bytes(31))),
    ("long PVT", lambda v: _in_period(v, pvt=bytes(66))),
    ("short RSK", lambda v: _in_period(v, rsk=bytes(256))),
]


@pytest.mark.parametrize(("name", "change"), WRONG, ids=[name for name, _ in WRONG])
def test_wrong_contents_are_refused(name: str, change: Callable[[Values], Values]) -> None:
    values = _values()
    with pytest.raises(MaterialError, match="the key material") as caught:
        document.decode(cbor.encode(change(values)))
    ssk = _first(values, "periods")["ssk"]
    assert isinstance(ssk, bytes)
    assert ssk.hex() not in str(caught.value)


def test_a_newer_version_is_told_as_such() -> None:
    with pytest.raises(NewerVersionError, match="version 2, this CIG knows version 1") as caught:
        document.decode(cbor.encode({"v": 2, "anything": b"else"}))
    assert caught.value.version == 2


@given(st.binary(max_size=400))
def test_no_octets_raise_anything_else(octets: bytes) -> None:
    with pytest.raises(MaterialError):
        document.decode(octets)


@given(position=st.integers(0, 10**6), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_document_is_read_as_another_or_refused(
    position: int, bit: int, cut: bool
) -> None:
    whole = document.encode(material())
    octets = bytearray(whole)
    position %= len(octets)
    if cut:
        del octets[position:]
    else:
        octets[position] ^= 1 << bit
    try:
        read = document.decode(bytes(octets))
    except MaterialError:
        return
    assert document.encode(read) == bytes(octets) != whole


def test_too_long_a_document_is_refused() -> None:
    with pytest.raises(MaterialError, match="longer"):
        document.decode(bytes(document.MAX_OCTETS + 1))


def test_round_trip_with_the_parameters_of_two_kms() -> None:
    other = KmsParameters("kms2.example.com", kms().kpak, kms().z)
    later = replace(period_keys("2026-12-3"), kms=other)
    held = material(
        periods=(later, period_keys("2026-11-1"), period_keys("2027-01-1")),
        anchor_ca="-----BEGIN CERTIFICATE-----\n",
        anchor_pin=None,
    )
    octets = document.encode(held)
    assert document.decode(octets) == held
    assert octets.count(kms().z) == 2
    assert document.encode(document.decode(octets)) == octets


def test_equal_material_has_one_document() -> None:
    held = material("2026-11-1", "2026-12-1")
    values = cbor.decode_map(document.encode(held))
    first, second = values["periods"]  # type: ignore[misc]
    one = _first(values, "kms")
    for others in (
        {"periods": [second, first]},
        {"periods": [first, {**second, "kms": 1}], "kms": [one, one]},
        {"periods": [{**first, "kms": 1}, second], "kms": [{**one, "uri": "other"}, one]},
    ):
        with pytest.raises(MaterialError, match="order"):
            document.decode(cbor.encode({**values, **others}))


def test_what_cannot_be_read_again_is_not_written() -> None:
    ca = "BEGIN CERTIFICATE".ljust(MAX_CA, "x")
    months = [f"{year}-{month:02}" for year in (2026, 2027, 2028) for month in range(1, 13)]
    periods = [
        replace(period_keys("2026-11-1"), period=f"{month}-1", kms=replace(kms(), uri=f"{i:0256}"))
        for i, month in enumerate(months)
    ]
    with pytest.raises(MaterialError, match="longer than 61440"):
        document.encode(material(periods=tuple(periods), anchor_ca=ca))
    with pytest.raises(ValueError, match="not in PEM"):
        material(anchor_ca="BEGIN CERTIFICATE \u00e5")


def test_nothing_shows_a_secret() -> None:
    held = material()
    secrets = [octets for k in held.periods for octets in (k.ssk.reveal(), k.rsk.reveal())]
    shown = f"{held!r} {held} {held.periods[0]!r} {held.identity!r}"
    for secret in secrets:
        assert secret.hex() not in shown
        assert repr(secret) not in shown


def test_material_is_checked_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="SSK"):
        PeriodKeys("2026-11-1", kms(), Secret(bytes(31)), bytes(65), Secret(bytes(257)))
    with pytest.raises(ValueError, match="occurs twice"):
        material("2026-11-1", "2026-11-01")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("crs.example.com:5223", ("crs.example.com", 5223)),
        ("192.0.2.1:1", ("192.0.2.1", 1)),
        ("[2001:db8::1]:65535", ("2001:db8::1", 65535)),
    ],
)
def test_host_and_port(text: str, parts: tuple[str, int]) -> None:
    assert split_host_port(text) == parts


@pytest.mark.parametrize(
    "text", ["", "crs", "crs:", "crs:0", "crs:65536", ":5", "2001::1:5", "a b:5"]
)
def test_no_host_and_port(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        split_host_port(text)
