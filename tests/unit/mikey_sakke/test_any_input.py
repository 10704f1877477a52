# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold for any octets: random ones, broken good ones, and all that fuzzing found."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz import make_mikey_corpus
from fuzz.mikey import check
from mikey_sakke.message import IMessage
from unit.mikey_sakke import strategies

CORPUS = sorted((Path(__file__).resolve().parents[2] / "fuzz" / "corpus" / "mikey").iterdir())
GOOD = [path.read_bytes() for path in CORPUS if path.stat().st_size]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A message with octets left out, put in, doubled and changed."""
    octets = draw(st.sampled_from(GOOD))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(octets)))
        stop = min(len(octets), start + draw(st.integers(0, 30)))
        target = draw(st.integers(0, len(octets)))
        put_in = draw(st.one_of(st.binary(max_size=4), st.just(octets[start:stop])))
        kept = octets[:start] + octets[stop:] if draw(st.booleans()) else octets
        octets = kept[:target] + put_in + kept[target:]
    return octets


@given(st.binary(max_size=120))
def test_random_octets(octets: bytes) -> None:
    check(octets)


@settings(deadline=None)
@given(damaged())
def test_damaged_messages(octets: bytes) -> None:
    check(octets)


@settings(deadline=None)
@given(strategies.messages())
def test_random_messages(message: IMessage) -> None:
    check(message.encode())


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_corpus(path: Path) -> None:
    check(path.read_bytes())


def test_the_corpus_is_there_and_small() -> None:
    assert len(CORPUS) > 40
    assert sum(path.stat().st_size for path in CORPUS) < 60_000


def test_the_corpus_is_what_the_library_makes() -> None:
    there = {path.name: path.read_bytes() for path in CORPUS}
    for name, octets in make_mikey_corpus.files():
        assert there[name] == octets, name
