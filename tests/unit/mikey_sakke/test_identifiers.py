# SPDX-License-Identifier: GPL-3.0-or-later
"""Canonical URIs, identifiers, hashed UIDs."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mikey_sakke import IdentifierError, MikeySakkeError, identifiers
from unit.mikey_sakke.support import vector


def test_rfc_identifier():
    expected = bytes.fromhex(vector("eccsi")["ID"])
    assert identifiers.tel_identifier("tel:+447700900123", "2011-02") == expected
    assert len(expected) == 26


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "tel:",
        "tel:+",
        "tel:46701234567",
        "tel:+46-70",
        "tel:+46 70",
        "TEL:+4670",
        "tel:+4670;101",
        "tel:+4670;phone-context=x",
        "tel:+4670\0",
        "tel:+4670\n",
        "tel:+4670\0tel:+1",
        "tel:+04670",
        "tel:+1234567890123456",
        "tel:+٤٦",
        "sip:+4670@example.org",
        " tel:+4670",
    ],
)
def test_other_forms_are_refused(uri):
    with pytest.raises(IdentifierError):
        identifiers.tel_identifier(uri, "2026-11")


@pytest.mark.parametrize(
    "month", ["", "2026", "2026-13", "2026-00", "2026-1", "26-01", "2026-01\n", "2026-01-01"]
)
def test_other_months_are_refused(month):
    with pytest.raises(IdentifierError):
        identifiers.tel_identifier("tel:+8888", month)


def test_extension_is_stripped():
    assert identifiers.bare_tel_uri("tel:+8888;101") == "tel:+8888"
    assert identifiers.bare_tel_uri("tel:+8888") == "tel:+8888"
    for uri in ("", ";101", "tel:8888;101", "x;tel:+8888"):
        with pytest.raises(IdentifierError):
            identifiers.bare_tel_uri(uri)


@given(st.text(max_size=30), st.text(max_size=10))
def test_any_text_gives_an_identifier_or_the_one_error(uri, month):
    try:
        octets = identifiers.tel_identifier(uri, month)
    except IdentifierError:
        return
    assert octets.count(b"\0") == 2


def test_hashed_uid_is_put_together_as_ts_33_180_says():
    expected = hashlib.sha256(
        b"\0"
        + b"MIKEY-SAKKE-UID\0\x0f"
        + b"user@example.org\0\x10"
        + b"kms.example.org\0\x0f"
        + b"\x27\x8d\x00\0\x03"
        + b"\0\0\x01"
        + b"\x05\xea\0\x02"
    ).digest()
    uid = identifiers.hashed_uid(
        "user@example.org",
        "kms.example.org",
        period_seconds=2_592_000,
        period_offset=0,
        period_number=1514,
    )
    assert uid == expected


def test_hashed_uid_refuses_what_it_cannot_write():
    numbers = {"period_seconds": 1, "period_offset": 0, "period_number": 1}
    with pytest.raises(MikeySakkeError):
        identifiers.hashed_uid("u" * 65536, "k", **numbers)
    with pytest.raises(MikeySakkeError):
        identifiers.hashed_uid("u", "k", **(numbers | {"period_offset": -1}))
