# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold for any file: random ones, broken good ones, and all that fuzzing found."""

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cig_common.config import ConfigError, loads
from cig_common.config.statements import STATEMENTS
from fuzz.cig_conf import check

HERE = Path(__file__).parent
CORPUS = sorted((HERE.parents[2] / "fuzz" / "corpus" / "cig_conf").iterdir())
GOOD = [path.read_text() for path in sorted((HERE / "files").glob("*.conf"))]
BAD = [path.read_bytes().decode() for path in sorted((HERE / "bad").glob("*.conf"))]

WORDS = sorted({word for specs in STATEMENTS.values() for spec in specs for word in spec.keywords})
SIGNS = ["{", "}", ";", '"', "/*", "*/", "//", "\n", "#", "(", ")", ",", "=", "\u00e5", "'", "\r"]
VALUES = [
    "m",
    '"sip:{x}@h"',
    '"tel:+{x}"',
    "match",
    "translation",
    "1024",
    "::1",
    "1.2.3.4",
    "true",
]
SOUP = st.lists(st.sampled_from([*WORDS, *SIGNS, *VALUES]), max_size=60).map(" ".join)
TIGHT_SOUP = st.lists(st.sampled_from([*WORDS, *SIGNS, *VALUES, " "]), max_size=60).map("".join)

any_input = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A file with pieces left out, put in, doubled and moved."""
    text = draw(st.sampled_from(GOOD + BAD))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.integers(0, 30)))
        target = draw(st.integers(0, len(text)))
        put_in = draw(st.one_of(st.sampled_from(SIGNS + WORDS), st.just(text[start:stop])))
        kept = text[:start] + text[stop:] if draw(st.booleans()) else text
        text = kept[:target] + put_in + kept[target:]
    return text


@given(text=st.one_of(st.text(max_size=80), SOUP, TIGHT_SOUP))
@any_input
def test_random_text(text: str, tmp_path: Path) -> None:
    check(text.encode(errors="surrogatepass"), tmp_path / "cig.conf")


@given(octets=st.binary(max_size=80))
@any_input
def test_random_octets(octets: bytes, tmp_path: Path) -> None:
    check(octets, tmp_path / "cig.conf")


@given(text=damaged())
@any_input
def test_damaged_files(text: str, tmp_path: Path) -> None:
    check(text.encode(errors="surrogatepass"), tmp_path / "cig.conf")


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_corpus(path: Path, tmp_path: Path) -> None:
    check(path.read_bytes(), tmp_path / "cig.conf")


def test_the_corpus_is_there_and_small() -> None:
    assert len(CORPUS) > 100
    assert sum(path.stat().st_size for path in CORPUS) < 300_000


SHAPES = [
    *("{", "a {", "}", "} ", ";", '"', '" ', "/*", "/* ", "*/ ", "#\n", "// \n", "/**/\n", "=,"),
    *("map a ", "map a {", "map a { } ", "map a { } } ", "} map a { ", "map a ( ", "map a; "),
    *("tel ", "interfaces ", "interfaces { tel { ", "interfaces tel sip ", "extension map "),
    *("interfaces { sip { } } tel { } } ", "sip { map x ", "read { write { ", "\ufeff", "é{"),
    *(
        "entry ",
        'entry e sip "',
        'entry e sip "s" tel "t" ',
        "entry e sip {x} ",
        "entry e sip '{x} ",
    ),
    *('entry e sip "s"; tel "t"; ', 'x "y"z ', "{x}", "{x}{y}", "-._", "(", "\r"),
]
AROUND = ["%s", "map m { %s }", "interfaces { sip { %s } }", 'map m { entry e sip "%s" tel "t"; }']


@pytest.mark.parametrize("around", AROUND)
def test_no_shape_takes_more_than_linear_time(around: str) -> None:
    for shape in SHAPES:
        text = around.replace("%s", shape * (40_000 // len(shape)))
        begin = time.process_time()
        try:
            loads(text)
        except ConfigError as refused:
            assert len(str(refused)) < 300_000
        # Every one takes less than half a second; with a square in it, it would be minutes.
        assert time.process_time() - begin < 10, shape
