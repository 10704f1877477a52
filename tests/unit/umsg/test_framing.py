# SPDX-License-Identifier: GPL-3.0-or-later
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umsg.errors import ErrorCode, FieldError, FrameError
from umsg.framing import MAX_FRAME, FrameDecoder, encode_frame

PAYLOADS = st.lists(st.binary(min_size=1, max_size=40), max_size=8)


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted({min(c, len(stream)) for c in cuts}), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(edges)]


@given(PAYLOADS, st.lists(st.integers(0, 400), max_size=12))
def test_any_split_of_the_stream_gives_the_same_frames(payloads, cuts):
    decoder = FrameDecoder()
    stream = b"".join(map(encode_frame, payloads))
    got = [frame for piece in pieces(stream, cuts) for frame in decoder.feed(piece)]
    assert got == payloads


@given(PAYLOADS, st.sampled_from([0, 65, 2**32 - 1]), st.lists(st.integers(0, 400), max_size=12))
def test_a_bad_length_is_found_in_any_split_and_loses_no_frame_before_it(payloads, bad, cuts):
    decoder = FrameDecoder(max_length=64)
    stream = b"".join(map(encode_frame, payloads)) + bad.to_bytes(4, "big")
    got = []
    with pytest.raises(FrameError) as caught:
        for piece in pieces(stream, cuts):
            got += decoder.feed(piece)
    assert got + caught.value.frames == payloads
    assert caught.value.length == bad
    assert caught.value.closes
    assert caught.value.code is ErrorCode.PROTOCOL


def test_limits_of_a_payload():
    assert FrameDecoder().feed(encode_frame(bytes(MAX_FRAME))) == [bytes(MAX_FRAME)]
    for payload in (b"", bytes(MAX_FRAME + 1)):
        with pytest.raises(FieldError):
            encode_frame(payload)


def test_the_limit_may_be_raised_between_frames():
    decoder = FrameDecoder(max_length=4)
    assert decoder.feed(encode_frame(b"1234")) == [b"1234"]
    decoder.max_length = 8
    assert decoder.feed(encode_frame(b"12345678")) == [b"12345678"]
