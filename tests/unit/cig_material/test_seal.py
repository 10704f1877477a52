# SPDX-License-Identifier: GPL-3.0-or-later
"""The seal against its vectors; every truncation and every flipped bit; bounds; passphrases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_material import document, seal
from cig_material.errors import MaterialError, NewerVersionError, PassphraseError
from cig_material.seal import Cost, passphrase_from, unseal
from mikey_sakke.secret import Secret

VECTOR: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[2] / "vectors" / "key_material.json").read_text()
)
DOCUMENT = bytes.fromhex(VECTOR["document"])
CHEAP = Cost(log_n=4, r=1, p=1)
PASSPHRASE = Secret(b"passphrase")
SEALED = seal.seal(b"a document", PASSPHRASE, cost=CHEAP)

any_cost = st.builds(Cost, st.integers(1, 8), st.integers(1, 4), st.integers(1, 4))


@pytest.mark.parametrize("case", VECTOR["sealed"], ids=lambda case: str(case["log_n"]))
def test_vectors(case: dict[str, Any]) -> None:
    sealed = bytes.fromhex(case["sealed"])
    passphrase = passphrase_from(case["typed"])
    assert passphrase.reveal().hex() == case["passphrase"]
    assert unseal(sealed, passphrase) == DOCUMENT
    drawn = iter((bytes.fromhex(case["salt"]), bytes.fromhex(case["nonce"])))
    cost = Cost(case["log_n"], case["r"], case["p"])
    assert seal.seal(DOCUMENT, passphrase, random_bytes=lambda _: next(drawn), cost=cost) == sealed
    assert seal.cost_of(sealed) == cost


def test_the_vector_holds_keys_that_satisfy_their_equations() -> None:
    material = document.decode(DOCUMENT)
    assert document.encode(material) == DOCUMENT
    assert material.user_keys(material.periods[0]).month == "2011-02"


@given(content=st.binary(min_size=1, max_size=300), typed=st.text(min_size=1), cost=any_cost)
def test_round_trip(content: bytes, typed: str, cost: Cost) -> None:
    try:
        passphrase = passphrase_from(typed)
    except PassphraseError:
        assert not typed.strip("\r\n")
        return
    sealed = seal.seal(content, passphrase, cost=cost)
    assert unseal(sealed, passphrase) == content
    assert len(sealed) == seal.HEAD_OCTETS + len(content) + seal.TAG_OCTETS
    assert sealed != seal.seal(content, passphrase, cost=cost)


def test_every_truncation_is_refused_and_told_from_a_wrong_passphrase() -> None:
    for length in range(len(SEALED)):
        with pytest.raises(MaterialError) as caught:
            unseal(SEALED[:length], PASSPHRASE)
        assert type(caught.value) is MaterialError
    with pytest.raises(MaterialError, match="goes on after its end"):
        unseal(SEALED + b"\0", PASSPHRASE)


def test_every_flipped_bit_is_refused() -> None:
    for position in range(len(SEALED)):
        for bit in range(8):
            octets = bytearray(SEALED)
            octets[position] ^= 1 << bit
            with pytest.raises(MaterialError):
                unseal(bytes(octets), PASSPHRASE)


@given(st.binary(max_size=200))
def test_no_octets_raise_anything_else(octets: bytes) -> None:
    with pytest.raises(MaterialError):
        unseal(octets, PASSPHRASE)
    # A head that is right, with a rest that is not.
    with pytest.raises(MaterialError):
        unseal(SEALED[: seal.HEAD_OCTETS] + octets, PASSPHRASE)


def test_a_wrong_passphrase_is_told_and_not_shown() -> None:
    with pytest.raises(PassphraseError, match="passphrase is wrong") as caught:
        unseal(SEALED, Secret(b"Passphrase"))
    assert "Passphrase" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_newer_version_is_told_as_such() -> None:
    newer = SEALED[:7] + b"\x02" + b"anything else"
    for octets in (newer, newer[:8]):
        with pytest.raises(NewerVersionError, match="version 2, this CIG knows version 1"):
            unseal(octets, PASSPHRASE)


@pytest.mark.parametrize(
    ("log_n", "r", "p"),
    [(0, 8, 1), (21, 8, 1), (255, 8, 1), (17, 0, 1), (17, 17, 1), (17, 8, 0), (17, 8, 5),
     (16, 1, 1), (20, 9, 1), (20, 16, 4)],
)  # fmt: skip
def test_costs_out_of_bounds_are_refused_before_any_work(
    log_n: int, r: int, p: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="out of bounds"):
        Cost(log_n, r, p)
    monkeypatch.setattr("hashlib.scrypt", None)
    with pytest.raises(MaterialError, match="out of bounds"):
        unseal(SEALED[:8] + bytes((log_n, r, p)) + SEALED[11:], PASSPHRASE)


def test_the_default_is_what_the_page_says() -> None:
    assert Cost(log_n=17, r=8, p=1) == seal.DEFAULT_COST
    assert seal.DEFAULT_COST.memory == 128 << 20
    assert seal.cost_of(seal.seal(b"x", PASSPHRASE)) == seal.DEFAULT_COST


def test_too_little_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cost, "memory", 1024)
    with pytest.raises(MaterialError, match="cannot be tried"):
        unseal(SEALED, PASSPHRASE)


def test_no_empty_or_endless_document_is_sealed() -> None:
    for content in (b"", bytes(document.MAX_OCTETS + 1)):
        with pytest.raises(MaterialError, match="1 to 61440"):
            seal.seal(content, PASSPHRASE, cost=CHEAP)
    longest = bytes(document.MAX_OCTETS)
    sealed = seal.seal(longest, PASSPHRASE, cost=CHEAP)
    assert unseal(sealed, PASSPHRASE) == longest
    assert len(sealed) == seal.MAX_OCTETS


@pytest.mark.parametrize(
    ("text", "octets"),
    [("a", b"a"), (" a b ", b" a b "), ("a\n", b"a"), ("a\r\n", b"a"), ("a\n\n", b"a\n"),
     ("A\u030a", "\u00c5".encode()), ("\u00c5", "\u00c5".encode())],
)  # fmt: skip
def test_passphrases(text: str, octets: bytes) -> None:
    assert passphrase_from(text).reveal() == octets


@pytest.mark.parametrize("text", ["", "\n", "\r\n", "secret\udcff"])
def test_no_passphrases(text: str) -> None:
    with pytest.raises(PassphraseError) as caught:
        passphrase_from(text)
    assert "secret" not in str(caught.value)
