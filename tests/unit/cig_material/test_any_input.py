# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold for any key material: random octets, broken good ones, what fuzzing found."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cig_common.carrier import CarrierError
from cig_material.errors import MaterialError
from fuzz import key_material
from fuzz.key_material import check

CORPUS = sorted((Path(__file__).parents[2] / "fuzz" / "corpus" / "key_material").iterdir())
READERS = {
    "document": key_material.read_document,
    "raw": key_material.read_raw,
    "sealed": key_material.read_sealed,
    "text": key_material.read_text,
    "part": key_material.read_part,
    "parts": key_material.read_parts,
}


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A file with octets left out, put in, doubled and moved."""
    octets = draw(st.sampled_from(CORPUS)).read_bytes()
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(octets)))
        stop = min(len(octets), start + draw(st.integers(0, 30)))
        target = draw(st.integers(0, len(octets)))
        put_in = draw(st.one_of(st.binary(max_size=4), st.just(octets[start:stop])))
        kept = octets[:start] + octets[stop:] if draw(st.booleans()) else octets
        octets = kept[:target] + put_in + kept[target:]
    return octets


@given(st.binary(max_size=80))
def test_random_octets(octets: bytes) -> None:
    check(octets)


@given(damaged())
def test_damaged_files(octets: bytes) -> None:
    check(octets)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_corpus(path: Path) -> None:
    check(path.read_bytes())


def test_the_corpus_is_small_and_has_good_material_in_each_form() -> None:
    assert sum(path.stat().st_size for path in CORPUS) < 40_000
    good = [path for path in CORPUS if path.name.startswith("good_")]
    readers = [READERS.get(path.name.split("_")[1], key_material.read_document) for path in good]
    assert set(readers) == set(READERS.values())
    for path, read in zip(good, readers, strict=True):
        read(path.read_bytes())


def test_the_rest_of_the_corpus_is_refused() -> None:
    for path in CORPUS:
        if path.name.startswith("bad_"):
            for read in READERS.values():
                with pytest.raises((MaterialError, CarrierError)):
                    read(path.read_bytes())
