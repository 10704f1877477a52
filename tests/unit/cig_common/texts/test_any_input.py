# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold for any content of a text: random octets, broken good ones, what fuzzing found."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cig_common.texts.errors import ContentError
from fuzz.text_content import NOW, check, read_entity, read_message
from unit.cig_common.texts.strategies import joined, read

CORPUS = sorted((Path(__file__).parents[3] / "fuzz" / "corpus" / "text_content").iterdir())
LONG = 16 << 20
MULTIPART = b"Content-Type: multipart/mixed; boundary="
QP = b"Content-Transfer-Encoding: quoted-printable\n\n"
BASE64 = b"Content-Transfer-Encoding: base64\n\n"
NASTY = {
    "newlines": b"\n" + b"\n" * LONG,
    "carriage returns": b"\n" + b"\r" * LONG,
    "not UTF-8": b"\n" + b"\xff" * LONG,
    "escapes": QP + b"=" * LONG,
    "soft line breaks": QP + b"=\r\n" * (LONG // 3),
    "padding": BASE64 + b"=" * LONG,
    "blanks in base64": BASE64 + b" " * LONG,
    "lookalikes": MULTIPART + b"b\n\n--b\n" + b"\n--bX" * (LONG // 5),
    "blanks after boundaries": MULTIPART + b"b\n\n--b\n" + (b"\n--b" + b" " * 99) * (LONG // 103),
    "boundary of hyphens": MULTIPART + b"-----\n\n" + b"-" * LONG,
    "parts": MULTIPART + b"b\n\n" + b"--b\n" * (LONG // 4),
    "parameters": b"Content-Type: text/plain" + b';a="' * 16_000 + b"\n\n",
    "semicolons": b"Content-Type: text/plain" + b";" * 64_000 + b"=\n\n",
    "backslashes": b'Content-Type: text/plain;a="' + b"\\" * 64_000 + b"\n\n",
    "encoded words": MULTIPART + b'"' + b"=?utf-8?q?" * 6_000 + b'"\n\n',
    "blanks between words": MULTIPART + b'"' + (b"?=" + b" " * 9) * 5_000 + b'"\n\n',
    "comments": b"Date: " + b"(" * 64_000 + b"\n\n",
    "folded lines": b"A: b\n" + b" \n" * 32_000 + b"\n",
}
"""Contents that take long, or do not end, where a reader goes back and forth."""


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A file with octets left out, put in, doubled and moved."""
    octets = draw(st.sampled_from(CORPUS)).read_bytes()
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(octets)))
        stop = min(len(octets), start + draw(st.integers(0, 60)))
        target = draw(st.integers(0, len(octets)))
        put_in = draw(st.one_of(st.binary(max_size=4), st.just(octets[start:stop])))
        kept = octets[:start] + octets[stop:] if draw(st.booleans()) else octets
        octets = kept[:target] + put_in + kept[target:]
    return octets


@given(st.binary(max_size=200))
def test_random_octets(octets: bytes) -> None:
    check(octets)
    check(b"\n" + octets)


@settings(deadline=None, max_examples=300)
@given(damaged())
def test_damaged_files(octets: bytes) -> None:
    check(octets)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_corpus(path: Path) -> None:
    octets = path.read_bytes()
    check(octets)
    if path.name.startswith("good_"):
        read_message(octets)
    elif path.name.startswith("bad_"):
        for reader in (read_entity, read_message):
            with pytest.raises(ContentError):
                reader(octets)
    elif path.name.startswith("message_"):
        read_entity(octets)
        with pytest.raises(ContentError):
            read_message(octets)


def test_the_corpus_is_small() -> None:
    assert len(CORPUS) > 25
    assert sum(path.stat().st_size for path in CORPUS) < 40_000


@pytest.mark.parametrize("name", NASTY)
def test_nothing_takes_longer_than_its_length_demands(name: str) -> None:
    before = time.process_time()
    try:
        joined(read(NASTY[name]).text)
    except ContentError as error:
        assert str(error)
    assert time.process_time() - before < 5  # where it was quadratic: hours, or minutes


def test_the_time_of_reading_is_that_of_a_message_without_one() -> None:
    assert read(b"\nx").date == NOW
    assert read(io.BytesIO(b"Date: yesterday\n\nx").getvalue()).date == NOW
