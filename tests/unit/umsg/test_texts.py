# SPDX-License-Identifier: GPL-3.0-or-later
"""Cutting a sealed content into parts and putting it together again."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umsg import texts
from umsg.errors import ErrorCode
from umsg.messages import MAX_TEXT_PARTS, Text, parse
from umsg.texts import MAX_PART, MAX_SEALED, Assembler, Envelope, PartError, TooLargeError
from unit.umsg.samples import IDS, MIKEY, URIS

MID = "q83vASNFZ4mrze8B"
ENVELOPE = Envelope(MID, "tel:+46701234567", "tel:+8888", b"mikey")
ENVELOPES = st.builds(Envelope, IDS, URIS, URIS, MIKEY)


def cut(sealed: bytes, stride: int, envelope: Envelope = ENVELOPE) -> list[Text]:
    """Cut as a sender may who prefers smaller parts."""
    pieces = [sealed[start : start + stride] for start in range(0, len(sealed), stride)]
    return [texts.part(envelope, seq, len(pieces), piece) for seq, piece in enumerate(pieces)]


def assemble(parts: list[Text]) -> Assembler:
    assembler = Assembler(parts[0])
    for part in parts[1:]:
        assert not assembler.complete
        assembler.add(part)
    return assembler


@given(ENVELOPES, st.binary(min_size=16, max_size=200), st.integers(1, 200))
def test_any_content_in_parts_of_any_size_comes_together(envelope, sealed, stride):
    parts = cut(sealed, stride, envelope)
    assembler = assemble([parse(part.encode()) for part in parts])
    assert assembler.complete
    assert assembler.envelope == envelope
    assert assembler.length == len(sealed)
    assert assembler.digest == hashlib.sha256(sealed).digest()


@pytest.mark.parametrize("length", [16, MAX_PART - 1, MAX_PART, MAX_PART + 1, 3 * MAX_PART + 5])
def test_the_usual_parts_are_full_but_the_last(length):
    sealed = bytes(length)
    parts = list(texts.parts(ENVELOPE, sealed))
    assert len(parts) == texts.part_count(length)
    assert {len(part.data) for part in parts[:-1]} <= {MAX_PART}
    assert b"".join(part.data for part in parts) == sealed
    assert assemble(parts).complete


def test_the_largest_text_has_the_most_parts():
    assert texts.part_count(MAX_SEALED) == MAX_TEXT_PARTS
    assert texts.part_count(0) == 1
    assert assemble(list(texts.parts(ENVELOPE, bytes(MAX_SEALED)))).length == MAX_SEALED


@given(st.data())
def test_parts_in_any_other_order_are_refused(data):
    parts = cut(bytes(range(60)), 10)
    order = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=8))
    wrong = next((n for n, seq in enumerate(order) if seq != n), None)
    if order[0] != 0:
        with pytest.raises(PartError):
            Assembler(parts[order[0]])
        return
    assembler = Assembler(parts[0])
    for number, seq in enumerate(order[1:], start=1):
        if number == wrong:
            with pytest.raises(PartError) as caught:
                assembler.add(parts[seq])
            assert caught.value.code is ErrorCode.PROTOCOL
            return
        assembler.add(parts[seq])


@given(st.integers(0, 40))
def test_parts_may_differ_in_size_but_none_is_empty(size):
    parts = cut(bytes(range(60)), 10)
    assembler = assemble(parts[:1])
    odd = replace(parts[1], data=bytes(size))
    if size:
        assembler.add(odd)
        assert assembler.length == 10 + size
    else:
        with pytest.raises(PartError):
            assembler.add(odd)


@pytest.mark.parametrize("change", [{"of": 7}, {"mid": "A" * 16}, {"seq": 3}, {"data": b""}])
def test_a_part_that_is_refused_changes_nothing(change):
    parts = cut(bytes(range(60)), 10)
    assembler = assemble(parts[:2])
    before = assembler.length, assembler.digest
    with pytest.raises(PartError):
        assembler.add(replace(parts[2], **change))
    assert (assembler.length, assembler.digest) == before
    for part in parts[2:]:
        assembler.add(part)
    assert assembler.digest == hashlib.sha256(bytes(range(60))).digest()


def test_a_part_after_the_last_is_refused():
    parts = cut(bytes(20), 10)
    assembler = assemble(parts)
    for part in parts:
        with pytest.raises(PartError):
            assembler.add(part)


@pytest.mark.parametrize("length", [0, 1, 15])
def test_what_is_shorter_than_the_tag_is_no_text(length):
    with pytest.raises(PartError):
        Assembler(texts.part(ENVELOPE, 0, 1, bytes(length)))


def test_a_text_beyond_the_limit_is_told_so(monkeypatch):
    monkeypatch.setattr(texts, "MAX_SEALED", 50)
    parts = cut(bytes(60), 10)
    assembler = assemble(parts[:5])
    with pytest.raises(TooLargeError) as caught:
        assembler.add(parts[5])
    assert caught.value.code is ErrorCode.TOO_LARGE
