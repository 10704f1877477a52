# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts cut into parts and put together again, and sealed piece by piece."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from umsg import binding
from umsg.errors import FieldError
from umsg.messages import Text, parse
from umsg.sealing import SealError, TextOpener, TextSealer
from umsg.texts import MAX_PART, MAX_SEALED, Assembler, Envelope, PartError, part_count, parts

ENVELOPE = Envelope("SxU+cQAE66+12m5j", "tel:+1", "tel:+2;101", b"mikey")
KEY = bytes(range(16))
AAD = binding.text_associated_data(mid="SxU+cQAE66+12m5j", from_uri="tel:+1", to_uri="tel:+2;101")


def _assembled(wire: list[Text]) -> Assembler:
    assembler = Assembler(wire[0])
    for part in wire[1:]:
        assert not assembler.complete
        assembler.add(part)
    return assembler


@given(st.sampled_from([16, 17, MAX_PART - 1, MAX_PART, MAX_PART + 1, 3 * MAX_PART + 5]))
@settings(deadline=None)
def test_what_is_cut_is_put_together(length: int) -> None:
    sealed = bytes(i % 251 for i in range(length))
    wire = [parse(part.encode()) for part in parts(ENVELOPE, sealed)]
    assert all(isinstance(part, Text) for part in wire)
    texts = [part for part in wire if isinstance(part, Text)]
    assert len(texts) == part_count(length)
    assert b"".join(part.data for part in texts) == sealed
    assembler = _assembled(texts)
    assert assembler.complete
    assert (assembler.envelope, assembler.length) == (ENVELOPE, length)
    assert assembler.digest == hashlib.sha256(sealed).digest()


def test_the_longest_text() -> None:
    assert part_count(MAX_SEALED) == 512
    assert part_count(MAX_SEALED + 1) == 513
    assert part_count(0) == 1


@given(st.permutations(range(4)), st.integers(0, 3))
def test_parts_out_of_turn_are_refused(order: list[int], twice: int) -> None:
    wire = list(parts(ENVELOPE, bytes(3 * MAX_PART + 20)))
    wrong = [wire[i] for i in order] if order != [0, 1, 2, 3] else [*wire, wire[twice]]
    with pytest.raises(PartError):
        _assembled_or_not(wrong)


def _assembled_or_not(wire: list[Text]) -> None:
    assembler = Assembler(wire[0])
    for part in wire[1:]:
        assembler.add(part)


def test_another_count_of_parts_is_refused() -> None:
    first, second = parts(ENVELOPE, bytes(MAX_PART + 20))
    with pytest.raises(PartError, match="out of turn"):
        Assembler(first).add(Text(mid=second.mid, seq=1, of=3, data=b"x"))


def test_a_text_is_at_least_its_tag() -> None:
    with pytest.raises(PartError, match="shorter"):
        _assembled(list(parts(ENVELOPE, bytes(15))))


@given(st.binary(max_size=3000), st.lists(st.integers(1, 999), max_size=12))
def test_sealing_in_pieces_is_sealing_at_once(content: bytes, cuts: list[int]) -> None:
    sealer, opener, sealed, opened = TextSealer(KEY, AAD), TextOpener(KEY, AAD), b"", b""
    for piece in _pieces(content, cuts):
        sealed += sealer.update(piece)
    sealed += sealer.finish()
    assert sealed == AESGCM(KEY).encrypt(bytes(12), content, AAD)
    for piece in _pieces(sealed, cuts[::-1]):
        opened += opener.update(piece)
    opener.finish()
    assert opened == content


def _pieces(octets: bytes, cuts: list[int]) -> list[bytes]:
    found = []
    for cut in cuts:
        found.append(octets[:cut])
        octets = octets[cut:]
    return [*found, octets]


@given(st.binary(max_size=60), st.data())
def test_whatever_is_altered_is_refused(content: bytes, data: st.DataObject) -> None:
    sealed = bytearray(AESGCM(KEY).encrypt(bytes(12), content, AAD))
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    opener = TextOpener(KEY, AAD)
    opener.update(bytes(sealed))
    with pytest.raises(SealError):
        opener.finish()


@pytest.mark.parametrize("field", ["mid", "from_uri", "to_uri"])
def test_a_text_cannot_be_moved_to_another_name_or_party(field: str) -> None:
    named = {"mid": "SxU+cQAE66+12m5j", "from_uri": "tel:+1", "to_uri": "tel:+2;101"}
    other = {**named, field: {"mid": "SxU+cQAE66+12m5k"}.get(field, "tel:+3")}
    assert binding.text_associated_data(**named) != binding.text_associated_data(**other)
    assert binding.text_digest(**named) != binding.text_digest(**other)
    opener = TextOpener(KEY, binding.text_associated_data(**other))
    opener.update(AESGCM(KEY).encrypt(bytes(12), b"content", AAD))
    with pytest.raises(SealError):
        opener.finish()


def test_a_truncated_text_is_refused() -> None:
    sealed = AESGCM(KEY).encrypt(bytes(12), b"content", AAD)
    for length in range(len(sealed)):
        opener = TextOpener(KEY, AAD)
        opener.update(sealed[:length])
        with pytest.raises(SealError):
            opener.finish()


def test_what_a_receipt_signs() -> None:
    text = binding.receipt_text(
        mid="SxU+cQAE66+12m5j", status="delivered", content_digest=bytes(32)
    )
    assert text == b"UMSG/1 receipt\0SxU+cQAE66+12m5jdelivered" + bytes(32)
    with pytest.raises(FieldError):
        binding.receipt_text(mid="SxU+cQAE66+12m5j", status="delivered", content_digest=b"short")
