# SPDX-License-Identifier: GPL-3.0-or-later
"""Contents of texts to test with, and how to look at what was read."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from cig_common.texts.content import (
    Attachment,
    AutoSubmitted,
    Held,
    Octets,
    ResponderType,
    TextContent,
)
from cig_common.texts.entity import parse_entity
from cig_common.texts.filenames import clean

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
BOUNDARY = "e9lafbk45d361b43c2f051a6b732e44n"
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"

texts = (
    st.one_of(
        st.text(max_size=300),
        st.lists(
            st.sampled_from(["\n", "\r", "\r\n", "--", "ä", "€", "x" * 500, "\0", "=", ".", "\t"]),
            max_size=12,
        ).map("".join),
    )
    .map(lambda text: text.encode("utf-8", "replace").rstrip(b"\r\n"))
    .map(Held)
)
filenames = st.one_of(
    st.text(max_size=400),
    st.text("ab. \"';=?%*\\/\u20ac()", max_size=30),
).map(lambda name: clean(name) or "a.bin")
types = st.sampled_from(["image/png", "text/plain", "application/octet-stream", "audio/x-y+z"])
attachments = st.builds(Attachment, filenames, types, st.binary(max_size=400).map(Held))
dates = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
contents = st.builds(
    TextContent,
    dates,
    texts,
    st.lists(attachments, max_size=3).map(tuple),
    st.sampled_from(AutoSubmitted),
    st.one_of(st.none(), st.sampled_from(ResponderType)),
)


def seeded(seed: int = 1) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


def boundary_octets(*boundaries: str) -> Callable[[int], bytes]:
    """Random octets that make these boundaries, one after the other."""
    left = iter(boundaries)
    return lambda count: bytes(LETTERS.index(letter) for letter in next(left)[:count])


def joined(octets: Octets) -> bytes:
    chunks = list(octets.chunks())
    assert all(0 < len(chunk) <= 65536 for chunk in chunks)
    assert list(octets.chunks()) == chunks
    return b"".join(chunks)


def facts(content: TextContent) -> tuple[Any, ...]:
    """A content with all its octets, to be compared."""
    return (
        content.date,
        joined(content.text),
        [(one.filename, one.content_type, joined(one.octets)) for one in content.attachments],
        content.auto_submitted,
        content.responder_type,
    )


def read(*octets: bytes) -> TextContent:
    return parse_entity(io.BytesIO(b"".join(octets)), NOW)[1]


def lengths(chunks: Iterable[bytes]) -> list[int]:
    return [len(line) for line in b"".join(chunks).split(b"\n")]
