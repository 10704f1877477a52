# SPDX-License-Identifier: GPL-3.0-or-later
"""HMAC_DRBG against NIST's vectors, and the standard's limits."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_relay.randomness.drbg import MAX_REQUEST, HmacDrbg
from mikey_sakke.errors import SecretError

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "hmac_drbg.json"
CASES: list[dict[str, Any]] = json.loads(VECTORS.read_text())["cases"]

ENTROPY, NONCE = bytes(range(32)), bytes(range(16))
inputs = st.binary(max_size=80)
seeds = st.binary(min_size=32, max_size=80)


def _name(case: dict[str, Any]) -> str:
    lengths = case["PersonalizationStringLen"], case["AdditionalInputLen"]
    return "{}-{}-{}-{}".format(case["kind"], *lengths, case["COUNT"])


def octets(case: dict[str, Any], field: str) -> bytes:
    return bytes.fromhex(case.get(field, ""))


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_nist_vectors(case: dict[str, Any]) -> None:
    drbg = HmacDrbg(
        octets(case, "EntropyInput"), octets(case, "Nonce"), octets(case, "PersonalizationString")
    )
    if case["kind"] == "pr_false":
        drbg.reseed(octets(case, "EntropyInputReseed"), octets(case, "AdditionalInputReseed"))
    fresh = map(bytes.fromhex, case.get("EntropyInputPR", ("", "")))
    additional = map(bytes.fromhex, case["AdditionalInput"])
    expected = octets(case, "ReturnedBits")
    outputs = [
        drbg.generate(len(expected), given, entropy=entropy)
        for given, entropy in zip(additional, fresh, strict=True)
    ]
    assert outputs[1] == expected
    assert outputs[0] != expected


def test_each_kind_of_vector_is_there_with_and_without_the_optional_inputs() -> None:
    sections = {
        (case["kind"], case["PersonalizationStringLen"], case["AdditionalInputLen"])
        for case in CASES
    }
    lengths = (0, 256)
    kinds = ("no_reseed", "pr_false", "pr_true")
    assert sections == {(kind, p, a) for kind in kinds for p in lengths for a in lengths}


@given(entropy=seeds, personalization=inputs, additional=inputs, count=st.integers(0, 200))
def test_the_same_inputs_give_the_same_octets_and_a_prefix_of_more(
    entropy: bytes, personalization: bytes, additional: bytes, count: int
) -> None:
    def generate(wanted: int) -> bytes:
        return HmacDrbg(entropy, NONCE, personalization).generate(wanted, additional)

    assert len(generate(count)) == count
    assert generate(count) == generate(200)[:count]


@given(entropy=seeds, fresh=seeds, additional=inputs)
def test_every_input_changes_what_comes(entropy: bytes, fresh: bytes, additional: bytes) -> None:
    def drbg() -> HmacDrbg:
        return HmacDrbg(entropy, NONCE)

    reseeded, reseeded_with = drbg(), drbg()
    reseeded.reseed(fresh)
    reseeded_with.reseed(fresh, additional + b"\x00")
    twice = drbg()
    outputs = [
        drbg().generate(32),
        drbg().generate(32, additional + b"\x00"),
        drbg().generate(32, entropy=fresh + b"\x01"),
        HmacDrbg(entropy, NONCE, b"other").generate(32),
        HmacDrbg(entropy, NONCE[::-1]).generate(32),
        reseeded.generate(32),
        reseeded_with.generate(32),
        twice.generate(64)[32:],
        twice.generate(32),
    ]
    assert len(set(outputs)) == len(outputs)


def test_prediction_resistance_is_a_reseed_before_the_request() -> None:
    fresh = bytes(range(100, 140))
    one, other = HmacDrbg(ENTROPY, NONCE), HmacDrbg(ENTROPY, NONCE)
    other.reseed(fresh, b"more")
    assert one.generate(32, b"more", entropy=fresh) == other.generate(32)


def test_the_largest_request_and_one_more() -> None:
    drbg = HmacDrbg(ENTROPY, NONCE)
    assert len(drbg.generate(MAX_REQUEST)) == 65536
    for count in (MAX_REQUEST + 1, -1):
        with pytest.raises(ValueError, match="octets, not"):
            drbg.generate(count)


def test_nothing_comes_once_the_seed_has_served_its_requests() -> None:
    drbg = HmacDrbg(ENTROPY, NONCE, reseed_interval=2)
    drbg.generate(1)
    assert not drbg.reseed_due
    drbg.generate(1)
    assert drbg.reseed_due
    with pytest.raises(ValueError, match="reseed first"):
        drbg.generate(1)
    drbg.generate(1, entropy=ENTROPY)
    drbg.reseed(ENTROPY)
    assert len(drbg.generate(1)) == 1


def test_inputs_that_are_too_short_or_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="entropy input of 31 octets is too short"):
        HmacDrbg(bytes(31), NONCE)
    with pytest.raises(ValueError, match="nonce of 15 octets is too short"):
        HmacDrbg(ENTROPY, bytes(15))
    with pytest.raises(ValueError, match="entropy input of 3 octets"):
        HmacDrbg(ENTROPY, NONCE).generate(1, entropy=b"abc")
    for interval in (0, (1 << 48) + 1):
        with pytest.raises(ValueError, match="reseed interval"):
            HmacDrbg(ENTROPY, NONCE, reseed_interval=interval)


def test_the_state_is_not_shown_nor_copied() -> None:
    drbg = HmacDrbg(ENTROPY, NONCE)
    assert {repr(drbg), str(drbg), f"{drbg}"} == {"HmacDrbg(redacted)"}
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(SecretError):
            take(drbg)
